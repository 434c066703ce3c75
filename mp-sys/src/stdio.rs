//! Descriptors 0, 1 and 2.
#![expect(unsafe_code, reason = "the standard descriptors have no owner in Rust")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use crate::Errno;

/// `fcntl(F_DUPFD_CLOEXEC)`, if need be: moves `fd` out of the places 0, 1 and 2.
///
/// A process may have been started with its standard descriptors closed. What it opens then takes
/// their places, and would be replaced, or written to, as if it were the standard output.
///
/// # Errors
///
/// [`Errno::MFILE`] when descriptors run out.
pub fn above(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

/// `dup2`: makes `target` (0, 1 or 2) a duplicate of `fd` that stays open across `exec`.
///
/// # Errors
///
/// [`Errno::INVAL`] for another target, [`Errno::BUSY`] when two threads open at once.
pub fn replace(target: i32, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    if !(0..=2).contains(&target) {
        return Err(Errno::INVAL);
    }
    if fd.as_raw_fd() == target {
        return rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty());
    }
    loop {
        // SAFETY: dup2(2) touches no memory. The target is a standard descriptor, which no
        // `OwnedFd` of a program that keeps its descriptors `above` them owns.
        if unsafe { libc::dup2(fd.as_raw_fd(), target) } >= 0 {
            return Ok(());
        }
        match crate::last_errno() {
            Errno::INTR => {}
            errno => return Err(errno),
        }
    }
}

/// `fcntl(F_DUPFD_CLOEXEC)`: a duplicate of the standard descriptor `target`, for handing on.
/// `None` if it is closed.
pub fn duplicate(target: i32) -> Option<OwnedFd> {
    if !(0..=2).contains(&target) {
        return None;
    }
    // SAFETY: the borrow lasts for one call, and a closed descriptor is an error of that call.
    let fd = unsafe { BorrowedFd::borrow_raw(target) };
    rustix::io::fcntl_dupfd_cloexec(fd, 3).ok()
}

/// `fcntl(F_SETFD, FD_CLOEXEC)`: `fd` is for this program only.
///
/// # Errors
///
/// [`Errno::BADF`] for a closed descriptor.
pub fn close_on_exec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)
}

/// `open("/dev/null", O_RDWR)`, once a process and its copies.
///
/// # Errors
///
/// [`Errno::NOENT`] where there is no `/dev`.
#[inline]
pub fn null() -> Result<BorrowedFd<'static>, Errno> {
    if let Some(null) = NULL.get() { Ok(null.as_fd()) } else { open_null() }
}

static NULL: OnceLock<OwnedFd> = OnceLock::new();

#[cold]
fn open_null() -> Result<BorrowedFd<'static>, Errno> {
    let null =
        above(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)?;
    // Of two threads that come at once, the second one's descriptor is closed again.
    Ok(NULL.get_or_init(|| null).as_fd())
}

/// `kcmp(KCMP_FILE)`: whether the standard descriptor `target` is the very same open file in the
/// process `pid`. `false` also where the kernel does not tell.
pub fn is_that_of(pid: i32, target: i32) -> bool {
    const KCMP_FILE: i32 = 0;
    // SAFETY: getpid(2) has no precondition.
    let me = unsafe { libc::getpid() };
    // SAFETY: kcmp(2) with KCMP_FILE takes five integers and touches no memory.
    unsafe { libc::syscall(libc::SYS_kcmp, me, pid, KCMP_FILE, target, target) == 0 }
}
