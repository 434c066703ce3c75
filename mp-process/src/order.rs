//! What a child is told to do, and how it says that it cannot.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use mp_ipc::{Fd, Message};
use mp_sys::Errno;
use mp_sys::limits::Resource;
use serde::{Deserialize, Serialize};

use crate::error::{Error, FunctionError};
use crate::family::KEY_LEN;
use crate::function::FnId;
use crate::identity::Kinship;
use crate::logging::Logging;
use crate::post::{self, Kind};

/// Everything that a process begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) key: [u8; KEY_LEN],
    pub(crate) task: FnId,
    pub(crate) kinship: Kinship,
    pub(crate) logging: Logging,
    pub(crate) lifeline: Option<Fd>,
    pub(crate) update: Update,
    pub(crate) setup: Setup,
    /// Whether the parent waits to hear that the function is about to be called.
    pub(crate) hello: bool,
}

/// What the process changes about itself before it calls the function.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) stdio: [Stdio; 3],
    pub(crate) env_clear: bool,
    pub(crate) env: Vec<(OsString, Option<OsString>)>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) affinity: Option<Vec<usize>>,
    pub(crate) limits: Vec<(Limit, Option<u64>)>,
    pub(crate) ignore_interrupt: bool,
}

/// What has changed in the parent since the fork server was made, whose copy the child is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) stdio: [Stdio; 3],
    pub(crate) env: Option<Vec<(OsString, OsString)>>,
    pub(crate) current_dir: Option<Fd>,
    pub(crate) affinity: Option<Vec<usize>>,
}

impl Setup {
    /// Whether the parent must wait to hear that all is done: some of it can fail, and who ignores
    /// Ctrl-C does so from the start.
    pub(crate) fn must_be_done(&self) -> bool {
        self.current_dir.is_some()
            || self.affinity.is_some()
            || !self.limits.is_empty()
            || self.ignore_interrupt
    }
}

impl Update {
    /// As [`Setup::must_be_done`].
    pub(crate) fn must_be_done(&self) -> bool {
        self.current_dir.is_some() || self.affinity.is_some()
    }
}

/// What one of a child's standard descriptors is.
///
/// # Examples
///
/// ```no_run
/// use mp_process::{Process, Stdio};
///
/// fn report() { println!("done") }
///
/// let log = std::fs::File::create("report.log").unwrap();
/// let child = Process::call(report).stdout(Stdio::from(log)).start()?;
/// # Ok::<(), mp_process::Error>(())
/// ```
#[derive(Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stdio {
    /// That of the process that starts it.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// This file, pipe or socket.
    Fd(Fd),
}

impl<T: Into<std::os::fd::OwnedFd>> From<T> for Stdio {
    fn from(owner: T) -> Stdio {
        Stdio::Fd(Fd(owner.into()))
    }
}

/// What the kernel limits for a process (`setrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the kernel's own words, explained in setrlimit(2)")]
pub enum Limit {
    AddressSpace,
    Core,
    Cpu,
    Data,
    FileSize,
    LockedMemory,
    OpenFiles,
    Processes,
    Stack,
}

impl Limit {
    pub(crate) fn resource(self) -> Resource {
        match self {
            Limit::AddressSpace => Resource::As,
            Limit::Core => Resource::Core,
            Limit::Cpu => Resource::Cpu,
            Limit::Data => Resource::Data,
            Limit::FileSize => Resource::Fsize,
            Limit::LockedMemory => Resource::Memlock,
            Limit::OpenFiles => Resource::Nofile,
            Limit::Processes => Resource::Nproc,
            Limit::Stack => Resource::Stack,
        }
    }
}

/// Why a child does not carry out its order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Function(FunctionError),
    Setup { what: String, errno: i32 },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Function(error) => Error::Function(error),
            Refusal::Setup { what, errno } => {
                Error::Setup { what, errno: Errno::from_raw_os_error(errno) }
            }
        }
    }
}

/// Posts the order and the arguments behind it: `[length][descriptors][order][arguments]`.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    order: &Order,
    arguments: &Message,
) -> Result<(), Error> {
    let order = mp_ipc::encode(order).map_err(Error::Arguments)?;
    let mut lengths = [0; 8];
    lengths[..4].copy_from_slice(&(order.bytes.len() as u32).to_le_bytes());
    lengths[4..].copy_from_slice(&(order.fds.len() as u32).to_le_bytes());
    let fds: Vec<_> = order.fds.iter().chain(&arguments.fds).map(AsFd::as_fd).collect();
    let parts = [&lengths, &order.bytes[..], &arguments.bytes];
    post::send(socket, Kind::Order, &parts, &fds).map_err(Error::os("sendmsg"))
}

/// Takes apart what [`send`] put together.
pub(crate) fn open(letter: post::Letter) -> Option<(Order, Message)> {
    if letter.kind != Kind::Order {
        return None;
    }
    let Message { mut bytes, mut fds } = letter.message;
    let word = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    let (len, count) = (word(0)?, word(4)?);
    if 8 + len > bytes.len() || count > fds.len() {
        return None;
    }
    let arguments = Message { bytes: bytes.split_off(8 + len), fds: fds.split_off(count) };
    bytes.drain(..8);
    Some((mp_ipc::decode(Message { bytes, fds }).ok()?, arguments))
}

/// What tells one socket from every other, for the mark in a child's environment. `None` for what
/// is no socket.
pub(crate) fn socket_number(socket: BorrowedFd<'_>) -> Option<u64> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let copy = std::fs::File::from(socket.try_clone_to_owned().ok()?);
    let metadata = copy.metadata().ok()?;
    metadata.file_type().is_socket().then(|| metadata.ino())
}
