//! `ptrace(2)`: running a child one instruction at a time.
//!
//! For tests that ask what happens when a process dies, or stops, between any two instructions.
#![expect(unsafe_code, reason = "ptrace has a different signature for every request")]

use std::ptr;

use crate::Errno;

/// How a traced child was found by [`wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It runs, or sleeps in a system call.
    Running,
    /// It stands still, because of this signal; `SIGTRAP` after a [`step`].
    Stopped(i32),
    /// It ended with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

fn ptrace(request: libc::c_uint, pid: i32, data: usize) -> Result<(), Errno> {
    // SAFETY: the requests of this module take a pid and an integer, and write no memory of ours
    // (ptrace(2)).
    let result = unsafe { libc::ptrace(request, pid, ptr::null_mut::<()>(), data) };
    if result == -1 { Err(crate::last_errno()) } else { Ok(()) }
}

/// `PTRACE_TRACEME` + `SIGSTOP`: lets the parent trace this process, and stands still for it.
///
/// # Errors
///
/// [`Errno::PERM`] if it is traced already.
pub fn offer() -> Result<(), Errno> {
    ptrace(libc::PTRACE_TRACEME, 0, 0)?;
    // SAFETY: raise(3) with a valid signal.
    unsafe { libc::raise(libc::SIGSTOP) };
    Ok(())
}

/// `PTRACE_SINGLESTEP`: lets the stopped child execute one instruction.
///
/// # Errors
///
/// [`Errno::SRCH`] if it is not a stopped, traced child.
pub fn step(pid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_SINGLESTEP, pid, 0)
}

/// `PTRACE_DETACH`: lets the stopped child go on by itself.
///
/// # Errors
///
/// As [`step`].
pub fn detach(pid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_DETACH, pid, 0)
}

/// `waitpid(__WALL | WNOHANG)`: what the child does.
///
/// # Errors
///
/// [`Errno::CHILD`] if there is no such child.
pub fn look(pid: i32) -> Result<Seen, Errno> {
    wait_with(pid, libc::WNOHANG)
}

/// `waitpid(__WALL)`: waits until the child stands still or ends.
///
/// # Blocking
///
/// Waits for the child, and *reports* its death. A child that sleeps in a system call is waited
/// for as long as it sleeps: [`look`] does not wait.
///
/// # Errors
///
/// [`Errno::CHILD`] if there is no such child.
pub fn wait(pid: i32) -> Result<Seen, Errno> {
    wait_with(pid, 0)
}

fn wait_with(pid: i32, options: i32) -> Result<Seen, Errno> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes one int.
    let result = unsafe { libc::waitpid(pid, &raw mut status, options | libc::__WALL) };
    Ok(match result {
        -1 => return Err(crate::last_errno()),
        0 => Seen::Running,
        _ if libc::WIFSTOPPED(status) => Seen::Stopped(libc::WSTOPSIG(status)),
        _ if libc::WIFEXITED(status) => Seen::Exited(libc::WEXITSTATUS(status)),
        _ => Seen::Signaled(libc::WTERMSIG(status)),
    })
}
