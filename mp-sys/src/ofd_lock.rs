//! `fcntl(F_OFD_SETLK)`: locks on bytes of a file that belong to the open file.
//!
//! Such a lock ends when the last descriptor of that `open` is closed, so at the latest with the
//! death of the last process that holds one; another `open` of the same file neither shares nor
//! ends it. A forked child shares the open file, and so the lock.
#![expect(unsafe_code, reason = "fcntl with a pointer, and rustix has not these commands")]

use std::os::fd::{AsFd, AsRawFd};

use crate::Errno;

/// `fcntl(F_OFD_SETLK, F_WRLCK)`: takes the lock of `byte`, which need not exist, and says whether
/// it was to be had. Never waits.
///
/// # Errors
///
/// [`Errno::BADF`] if the file is not open for writing, [`Errno::NOLCK`] when locks run out.
///
/// # Examples
///
/// ```
/// use std::{fs::File, os::fd::AsRawFd};
/// use mp_sys::{memfd, ofd_lock};
///
/// let file = memfd::create(c"example", 1).unwrap();
/// let path = format!("/proc/self/fd/{}", file.as_raw_fd());
/// let again = File::options().read(true).write(true).open(path).unwrap();
/// assert_eq!(ofd_lock::try_lock(&file, 0), Ok(true));
/// assert_eq!(ofd_lock::try_lock(&again, 0), Ok(false), "another open file has it");
/// assert_eq!(ofd_lock::is_locked(&again, 0), Ok(true));
/// drop(file);
/// assert_eq!(ofd_lock::is_locked(&again, 0), Ok(false), "it went with its open file");
/// ```
pub fn try_lock(file: impl AsFd, byte: u32) -> Result<bool, Errno> {
    match control(file, libc::F_OFD_SETLK, byte) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// `fcntl(F_OFD_GETLK)`: whether another open file has the lock of `byte`.
///
/// # Errors
///
/// [`Errno::BADF`] if `file` is opened as a mere path.
pub fn is_locked(file: impl AsFd, byte: u32) -> Result<bool, Errno> {
    Ok(control(file, libc::F_OFD_GETLK, byte)?.l_type != libc::F_UNLCK as libc::c_short)
}

fn control(file: impl AsFd, command: libc::c_int, byte: u32) -> Result<libc::flock, Errno> {
    // SAFETY: a C structure of integers, for which zero is valid; `l_pid` has to be 0 here.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte.into();
    lock.l_len = 1;
    // SAFETY: fcntl(2): both commands read, and may write, one `flock` behind the pointer.
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) };
    if result == -1 { Err(crate::last_errno()) } else { Ok(lock) }
}
