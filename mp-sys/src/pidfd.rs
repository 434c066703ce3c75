//! `pidfd_open(2)` and its family: a process that cannot be mistaken for another.

#![expect(
    unsafe_code,
    reason = "rustix takes no signal number that it cannot name, nor 0, and has no PIDFD_GET_INFO"
)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::Errno;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It ended by itself with this code, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// `pidfd_open`: a descriptor for the process `pid`, readable once it has ended.
///
/// # Errors
///
/// [`Errno::SRCH`] if there is no such process, [`Errno::INVAL`] for a pid below 1.
///
/// # Examples
///
/// ```
/// use mp_sys::{Errno, pidfd};
///
/// let me = pidfd::open(std::process::id() as i32).unwrap();
/// assert_eq!(pidfd::signal(&me, 0), Ok(()), "signal 0 asks whether it lives");
/// assert_eq!(pidfd::open(0).unwrap_err(), Errno::INVAL);
/// ```
pub fn open(pid: i32) -> Result<OwnedFd, Errno> {
    // `from_raw` panics below 0, and 0 would be ourselves.
    let pid = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
    pidfd_open(pid, PidfdFlags::empty())
}

/// `pidfd_send_signal`: sends `signal` to exactly the process that `process` stands for.
///
/// # Errors
///
/// [`Errno::SRCH`] if it has been reaped, [`Errno::PERM`] if it is not ours to signal,
/// [`Errno::INVAL`] for no such signal.
pub fn signal(process: impl AsFd, signal: i32) -> Result<(), Errno> {
    let fd = process.as_fd().as_raw_fd();
    // SAFETY: pidfd_send_signal(2) takes two integers, a null siginfo and flags 0; it touches no
    // memory of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<()>(), 0)
    };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}

/// `waitid(P_PIDFD, WEXITED | WNOHANG)`: takes the status of our child if it has ended.
///
/// `None` while it runs. Only the parent may ask, and the status can be taken once.
///
/// # Errors
///
/// [`Errno::CHILD`] if it is not our child, or somebody else has taken the status.
pub fn try_reap(process: impl AsFd) -> Result<Option<Status>, Errno> {
    let id = WaitId::PidFd(process.as_fd());
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = rustix::io::retry_on_intr(|| waitid(id.clone(), options))? else {
        return Ok(None);
    };
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(Status::Exited(code)),
        (None, Some(signal)) => Some(Status::Signaled(signal)),
        (None, None) => None,
    })
}

/// `waitid(P_ALL, WEXITED)`, again and again: waits until this process has no children.
///
/// Those that have ended are reaped, and their statuses thrown away.
///
/// # Blocking
///
/// Waits for the end of each child, which the kernel tells.
pub fn outlive_children() {
    // In the end it is ECHILD.
    while rustix::io::retry_on_intr(|| waitid(WaitId::All, WaitIdOptions::EXITED)).is_ok() {}
}

/// `ioctl(PIDFD_GET_INFO)`: the status of a process that has been reaped, by whomever.
///
/// `None` while it has not been reaped, and always where the kernel does not keep the status with
/// the pidfd (before Linux 6.15).
pub fn kept_status(process: impl AsFd) -> Option<Status> {
    // SAFETY: all-zero bytes are a valid `pidfd_info`.
    let mut info: libc::pidfd_info = unsafe { MaybeUninit::zeroed().assume_init() };
    info.mask = u64::from(libc::PIDFD_INFO_EXIT);
    let fd = process.as_fd().as_raw_fd();
    // SAFETY: the command carries the size of the structure, which the kernel fills at most.
    let result = unsafe { libc::ioctl(fd, libc::PIDFD_GET_INFO, &raw mut info) };
    if result < 0 || info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
        return None;
    }
    let status = info.exit_code;
    Some(if libc::WIFEXITED(status) {
        Status::Exited(libc::WEXITSTATUS(status))
    } else {
        Status::Signaled(libc::WTERMSIG(status))
    })
}
