//! Descriptors 0, 1 and 2.
#![expect(unsafe_code, reason = "the standard descriptors have no owner in Rust")]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

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
