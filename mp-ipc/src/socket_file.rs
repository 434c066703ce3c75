//! The file of a unix listener, which goes with its creator.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use mp_sys::{Deadline, Errno};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, lstat, open};
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketFlags, SocketType};
use rustix::process::{Pid, geteuid, getpid};

use crate::Error;

/// What the private folders' names begin with; 16 hexadecimal digits follow.
const PREFIX: &str = "mp-";
/// The socket in a private folder.
const FILE: &str = "socket";
/// Where private folders are if the path of the temporary ones leaves no room for a name.
const SHORT: &str = "/tmp";

/// How long to wait for others who bind anew in the same folder.
const LOCK: Duration = Duration::from_secs(1);

/// Removes the socket file when dropped, also while unwinding, but only in the process that
/// made it: a forked copy leaves it alone.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    folder: Option<Folder>,
    creator: Pid,
}

/// A folder that is locked for as long as its creator lives, so that others know when it is dead.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: OwnedFd,
}

impl SocketFile {
    pub(crate) fn at(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), folder: None, creator: getpid() }
    }

    /// A place in a fresh folder that only this user can enter.
    pub(crate) fn private() -> Result<SocketFile, Error> {
        static FIRST: Once = Once::new();
        // Failing is no reason to make nothing: the next process sweeps again.
        FIRST.call_once(|| drop(sweep()));
        loop {
            let random = mp_sys::random::bytes().map_err(Error::os("getrandom"))?;
            let name = format!("{PREFIX}{:016x}", u64::from_ne_bytes(random));
            let mut path = std::env::temp_dir().join(&name);
            if path.as_os_str().len() > 90 {
                path = Path::new(SHORT).join(&name);
            }
            fs::DirBuilder::new().mode(0o700).create(&path).map_err(io_error("mkdir"))?;
            // Without a lock yet, a sweep may take it for a dead one's; then another is made.
            if let Some(lock) = try_lock(&path).map_err(Error::os("flock"))? {
                let folder = Some(Folder { path: path.clone(), _lock: lock });
                return Ok(SocketFile { path: path.join(FILE), folder, creator: getpid() });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if getpid() != self.creator {
            return;
        }
        // Somebody may have removed them before; then there is nothing to do.
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(&folder.path);
        }
    }
}

/// Runs `bind`, which failed since a file is in its way, once more, after it has removed that file
/// if it is a socket that no process has any more.
///
/// Who removes holds the lock of the folder, so that nobody removes what another has just bound.
pub(crate) fn bind_anew(
    path: &Path,
    address: &SocketAddrAny,
    bind: impl Fn() -> Result<(), Errno>,
) -> Result<(), Errno> {
    if !is_dead(path, address) {
        return Err(Errno::ADDRINUSE);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(folder.unwrap_or(Path::new(".")), flags, Mode::empty());
    let folder = folder.map_err(|_| Errno::ADDRINUSE)?;
    let deadline = Deadline::after(LOCK);
    while let Err(errno) = flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        if errno != Errno::AGAIN || deadline.has_passed() {
            return Err(Errno::ADDRINUSE);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if is_dead(path, address) {
        let _ = fs::remove_file(path);
    }
    let bound = bind();
    // Not left to the descriptor's end: a child that was forked meanwhile has it, too.
    let _ = flock(&folder, FlockOperation::Unlock);
    bound
}

/// Whether `path` is a socket file, and the kernel knows of no socket that is bound to it.
fn is_dead(path: &Path, address: &SocketAddrAny) -> bool {
    let is_socket = lstat(path).is_ok_and(|file| FileType::from_raw_mode(file.st_mode).is_socket());
    // A datagram socket cannot connect to a listener and so does not disturb it: the kernel looks
    // whether there is a socket (ECONNREFUSED) before it looks which kind (EPROTOTYPE).
    is_socket
        && net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .is_ok_and(|probe| net::connect(&probe, address) == Err(Errno::CONNREFUSED))
}

/// Removes the private folders of this user whose creators are dead, and returns them.
pub(crate) fn sweep() -> Result<Vec<PathBuf>, Error> {
    let mut swept = Vec::new();
    let temporary = std::env::temp_dir();
    let short = Path::new(SHORT);
    let parents = [Some(temporary.as_path()), (temporary != short).then_some(short)];
    for parent in parents.into_iter().flatten() {
        for entry in fs::read_dir(parent).map_err(io_error("readdir"))?.flatten() {
            if entry.file_name().to_str().is_some_and(is_private) {
                let path = entry.path();
                // Whatever cannot be locked or removed is somebody's, or stays for the next sweep.
                if let Ok(Some(_lock)) = try_lock(&path) {
                    let _ = fs::remove_file(path.join(FILE));
                    if fs::remove_dir(&path).is_ok() {
                        swept.push(path);
                    }
                }
            }
        }
    }
    Ok(swept)
}

fn is_private(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX);
    digits.is_some_and(|d| d.len() == 16 && d.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The lock of a folder of this user's, unless somebody has it, or the folder is gone.
fn try_lock(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        folder => folder?,
    };
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::AGAIN) => return Ok(None),
        locked => locked?,
    }
    let (here, there) = (fstat(&folder)?, lstat(path));
    let is_there =
        there.is_ok_and(|there| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino));
    Ok((is_there && here.st_uid == geteuid().as_raw()).then_some(folder))
}

fn io_error(op: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Os { op, errno: Errno::from_io_error(&error).unwrap_or(Errno::IO) }
}
