//! This process's fork server, and asking it for children.

use std::ffi::OsString;
use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use mp_ipc::Fd;
use mp_sys::fork::pid;
use mp_sys::poll::{Interest, wait_for};
use mp_sys::{Deadline, Errno, dir, sched, stdio};

use crate::error::Error;
use crate::function::{FnId, Task};
use crate::order::{self, Stdio, Update};
use crate::post::{self, Kind};
use crate::server;
use crate::start::{self, Errand};
use crate::watch::{Newborn, Outcome, Reaper, Watch};
use crate::{ExitStatus, PanicInfo};

const SIGKILL: i32 = 9;

/// How often a start is tried again when the server was killed under it.
const TRIES: usize = 3;

struct Server {
    owner: i32,
    /// Where requests go, and children come. The server ends when the last holder lets go.
    control: OwnedFd,
    watch: Watch,
    /// What the server had from this process when it was made, and its children have from it.
    seen: Seen,
}

static SERVER: Mutex<Option<Arc<Server>>> = Mutex::new(None);
/// What runs in the server before its first child.
static PRELOAD: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has `function` run once in the fork server, before its first child: what it does (load a table,
/// open a file, set a logger) every child of the server finds done.
///
/// Functions run in the order of the calls. If a server runs already, the next start makes another
/// one, which runs them all; children of the old one are not disturbed. Functions must not leave
/// threads behind. Under the other start methods nothing is preloaded.
///
/// Python: `set_forkserver_preload(module_names)`.
///
/// # Examples
///
/// ```
/// use std::sync::OnceLock;
/// use mp_process::Process;
///
/// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
///
/// fn build() { TABLE.get_or_init(|| (0..1000).map(|x| x * x).collect()); }
/// fn look_up(at: usize) -> Option<u64> { TABLE.get().map(|table| table[at]) }
///
/// fn main() -> Result<(), mp_process::Error> {
///     mp_process::init();
///     mp_process::preload(build);
///     assert_eq!(Process::new(look_up, 12).start()?.join()?, Some(144));
///     assert_eq!(look_up(12), None, "it ran in the server, not here");
///     Ok(())
/// }
/// ```
#[doc(alias = "set_forkserver_preload")]
pub fn preload(function: fn()) {
    PRELOAD.lock().unwrap_or_else(PoisonError::into_inner).push(function);
    retire(|_| true);
}

/// Lets go of the server, if `which` says so.
fn retire(which: impl Fn(&Server) -> bool) {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.as_deref().is_some_and(which) {
        *server = None;
    }
}

/// While this lives, no other thread is in the middle of changing what stands in this file.
pub(crate) fn hold() -> impl Sized {
    let server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    (server, PRELOAD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether a copy of this process has a server to [forget](forget).
pub(crate) fn is_there() -> bool {
    SERVER.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// In a copy of this process: the server is not ours.
pub(crate) fn forget() {
    retire(|server| server.owner != pid());
}

/// The running server of this process, made if there is none.
fn server() -> Result<Arc<Server>, Error> {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = &*server
        && running.owner == pid()
        && running.watch.status().is_none()
    {
        return Ok(Arc::clone(running));
    }
    *server = None;
    let made = Arc::new(make()?);
    *server = Some(Arc::clone(&made));
    Ok(made)
}

fn make() -> Result<Server, Error> {
    let (ours, theirs) = start::packet_pair()?;
    let preload = PRELOAD.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let preload: Result<Vec<FnId>, _> =
        preload.into_iter().map(|function| Task::nullary(function).id()).collect();
    let arguments = mp_ipc::encode(&(Fd(theirs), preload?)).map_err(Error::Arguments)?;
    let errand = Errand::for_server()?;
    let seen = Seen::now();
    let name = errand.kinship.name.clone();
    let newborn = start::spawn(Task::new(server::serve).id()?, errand, &arguments)?;
    let watch = Watch::new(newborn, name, true);
    let server = Server { owner: pid(), control: ours, watch, seen };
    server.ask(None);
    Ok(server)
}

/// Gives an order to a child that the server has made.
pub(crate) fn start(
    task: &FnId,
    mut errand: Errand,
    arguments: &mp_ipc::Message,
) -> Result<Newborn, Error> {
    let lifeline = errand.lifeline.take();
    let deadline = errand.deadline;
    let (lifeline, end) = lifeline.map_or((None, None), |(held, end)| (Some(held), Some(Fd(end))));
    let mut order = errand.into_order(task.clone(), end);
    let mut last = ExitStatus::Unknown;
    for _ in 0..TRIES {
        let server = server()?;
        order.update = server.update()?;
        order.hello = order.setup.must_be_done()
            || order.update.must_be_done()
            || !(task.entry.is_in_program() && task.function.is_in_program());
        let taken = server.take(deadline);
        // Whatever came was an answer. Asked before the order goes out, the server is at work on
        // another processor, and the child runs here as soon as this thread waits for it.
        server.ask(Some(task));
        let mut newborn = match taken? {
            Taken::Child(newborn) => newborn,
            Taken::Late => return Err(give_up(&server)),
            Taken::ServerLost => {
                last = lost(&server)?;
                continue;
            }
        };
        match order::send(newborn.socket.as_fd(), &order, arguments) {
            Ok(()) => {}
            // Somebody has killed it while it waited.
            Err(Error::Os { errno: Errno::PIPE | Errno::CONNRESET, .. }) => continue,
            Err(error) => return Err(error),
        }
        newborn.lifeline = lifeline;
        return if order.hello { start::await_hello(newborn, deadline) } else { Ok(newborn) };
    }
    Err(Error::DiedAtStart { status: last })
}

enum Taken {
    Child(Newborn),
    ServerLost,
    Late,
}

impl Server {
    /// Asks for one more child, which may have to call `likely`. There is always one that has been
    /// asked for and not been taken.
    fn ask(&self, likely: Option<&FnId>) {
        let likely = likely.and_then(|id| mp_ipc::encode(id).ok()).unwrap_or_default();
        // If the server is dead, or its socket full, whoever takes the child finds out.
        let _ = post::send(self.control.as_fd(), Kind::Fork, &[&likely.bytes], &[]);
    }

    /// The next child that the server has made; waits for it until `deadline`.
    fn take(&self, deadline: Deadline) -> Result<Taken, Error> {
        let letter = loop {
            match post::try_recv(self.control.as_fd()) {
                Ok(Some(letter)) => break letter,
                Ok(None) => return Ok(Taken::ServerLost),
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(Error::Os { op: "recvmsg", errno }),
            }
            let ready = wait_for(self.control.as_fd(), Interest::Readable, Some(deadline));
            if !ready.map_err(Error::os("poll"))? {
                return Ok(Taken::Late);
            }
        };
        let mut fds = letter.message.fds.into_iter();
        let number = letter.message.bytes.try_into().map_or(0, i32::from_le_bytes);
        let (Some(process), Some(socket)) = (fds.next(), fds.next()) else {
            return Err(Error::Os { op: "fork", errno: Errno::from_raw_os_error(-number) });
        };
        let above = |fd| stdio::above(fd).map_err(Error::os("fcntl"));
        Ok(Taken::Child(Newborn {
            pid: number,
            process: above(process)?,
            socket: above(socket)?,
            reaper: match fds.next() {
                Some(pipe) => Reaper::Server(PipeReader::from(above(pipe)?)),
                None => Reaper::Kernel,
            },
            lifeline: None,
        }))
    }
}

/// A server that is dead: how it ended, or why it could not be used.
fn lost(server: &Server) -> Result<ExitStatus, Error> {
    retire(|current| current.watch.pid == server.watch.pid);
    // It has closed its descriptors, so its end is near.
    let status = server.watch.wait_until(None).unwrap_or(ExitStatus::Unknown);
    server.watch.outcome(|outcome| match outcome {
        Outcome::Value(value) => {
            let value = mp_ipc::Message::from_bytes(value.bytes.clone());
            match mp_ipc::decode::<Result<(), String>>(value) {
                Ok(Err(reason)) => Err(Error::Preload(reason)),
                Ok(Ok(())) | Err(_) => Ok(status),
            }
        }
        Outcome::Failure(crate::TaskError::Panicked(PanicInfo { message, .. })) => {
            Err(Error::Preload(message.clone()))
        }
        Outcome::Failure(_) | Outcome::Refusal(_) | Outcome::Nothing => Ok(status),
    })
}

/// A server that does not answer is of no use to anybody.
fn give_up(server: &Server) -> Error {
    retire(|current| current.watch.pid == server.watch.pid);
    // If it has ended meanwhile, all the better.
    let _ = server.watch.signal(SIGKILL);
    Error::StartTimedOut
}

/// What a process can change about itself after its server was made.
struct Seen {
    env: Vec<(OsString, OsString)>,
    dir: Option<(u64, u64)>,
    affinity: Option<Vec<usize>>,
}

impl Seen {
    fn now() -> Seen {
        let dir = std::fs::metadata(".").ok().map(|dir| (dir.dev(), dir.ino()));
        Seen { env: std::env::vars_os().collect(), dir, affinity: sched::affinity().ok() }
    }
}

impl Server {
    /// What has changed here since the server was made.
    fn update(&self) -> Result<Update, Error> {
        let (seen, now) = (&self.seen, Seen::now());
        let stdio = [0, 1, 2].map(|target| {
            let present = || stdio::duplicate(target).map_or(Stdio::Null, |fd| Stdio::Fd(Fd(fd)));
            if stdio::is_that_of(self.watch.pid, target) { Stdio::Inherit } else { present() }
        });
        Ok(Update {
            stdio,
            env: (now.env != seen.env).then_some(now.env),
            current_dir: if now.dir == seen.dir {
                None
            } else {
                Some(Fd(dir::current().map_err(Error::os("open"))?))
            },
            affinity: now.affinity.filter(|now| Some(now) != seen.affinity.as_ref()),
        })
    }
}
