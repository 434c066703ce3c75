//! The working directory, as a descriptor.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::Errno;

/// `open(".", O_PATH)`: the present working directory, whatever becomes of its name.
///
/// # Errors
///
/// [`Errno::MFILE`] or [`Errno::NFILE`] when descriptors run out.
///
/// # Examples
///
/// ```
/// use std::os::fd::AsFd;
///
/// let here = mp_sys::dir::current().unwrap();
/// mp_sys::dir::enter(here.as_fd()).unwrap();
/// ```
pub fn current() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(".", flags, Mode::empty())
}

/// `fchdir`: makes `dir` the working directory.
///
/// # Errors
///
/// [`Errno::ACCESS`] without the right to search it, [`Errno::NOTDIR`] for something else.
pub fn enter(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(dir)
}
