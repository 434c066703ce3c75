//! `ptrace(2)`: running a child one instruction at a time.
//!
//! For tests that ask what happens when a process dies, or stops, between any two instructions.
#![expect(unsafe_code, reason = "ptrace has a different signature for every request")]

use std::mem::{self, MaybeUninit};
use std::time::Duration;
use std::{ptr, thread};

use crate::{Deadline, Errno};

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

fn ptrace(request: libc::c_uint, pid: i32, addr: usize, data: usize) -> Result<usize, Errno> {
    // SAFETY: the requests of this module take a pid and integers, and write no memory of ours
    // (ptrace(2)).
    let result = unsafe { libc::ptrace(request, pid, addr, data) };
    if result == -1 { Err(crate::last_errno()) } else { Ok(result as usize) }
}

/// `PTRACE_TRACEME` + `SIGSTOP`: lets the parent trace this process, and stands still for it.
///
/// # Errors
///
/// [`Errno::PERM`] if it is traced already.
pub fn offer() -> Result<(), Errno> {
    ptrace(libc::PTRACE_TRACEME, 0, 0, 0)?;
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
    ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0).map(drop)
}

/// `PTRACE_CONT`: lets the stopped child go on until something stops it.
///
/// # Errors
///
/// As [`step`].
pub fn resume(pid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_CONT, pid, 0, 0).map(drop)
}

/// `PTRACE_DETACH`: lets the stopped child go on by itself, with `signal`, or with 0 for none.
/// `SIGSTOP` stops it as it stops any process.
///
/// # Errors
///
/// As [`step`].
pub fn detach(pid: i32, signal: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_DETACH, pid, 0, signal as usize).map(drop)
}

/// `PTRACE_PEEKUSER`: the address of the instruction that the stopped child executes next.
///
/// # Errors
///
/// As [`step`]; [`Errno::NOSYS`] elsewhere than on x86-64.
#[cfg(target_arch = "x86_64")]
pub fn next_instruction(pid: i32) -> Result<usize, Errno> {
    let rip = mem::offset_of!(libc::user, regs) + mem::offset_of!(libc::user_regs_struct, rip);
    ptrace(libc::PTRACE_PEEKUSER, pid, rip, 0)
}

/// `PTRACE_PEEKUSER`: what the system call has returned that the stopped child has just made; an
/// error is a negative number. After another instruction it is any number.
///
/// # Errors
///
/// As [`next_instruction`].
#[cfg(target_arch = "x86_64")]
pub fn returned(pid: i32) -> Result<isize, Errno> {
    let rax = mem::offset_of!(libc::user, regs) + mem::offset_of!(libc::user_regs_struct, rax);
    ptrace(libc::PTRACE_PEEKUSER, pid, rax, 0).map(|rax| rax as isize)
}

/// `PTRACE_POKEUSER`: the stopped child will stop again before it executes the instruction at
/// this address; `None` takes that back. It is told to the processor (in a debug register): no
/// memory changes, and the child runs at its own speed.
///
/// # Errors
///
/// As [`step`]; whatever a machine says that has no debug registers; [`Errno::NOSYS`] elsewhere
/// than on x86-64.
#[cfg(target_arch = "x86_64")]
pub fn stop_before(pid: i32, address: Option<usize>) -> Result<(), Errno> {
    let registers = mem::offset_of!(libc::user, u_debugreg);
    if let Some(address) = address {
        ptrace(libc::PTRACE_POKEUSER, pid, registers, address)?;
    }
    // DR7: bit 0 enables the first register, whose kind is execution by default.
    ptrace(libc::PTRACE_POKEUSER, pid, registers + 7 * 8, usize::from(address.is_some())).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
#[expect(missing_docs, clippy::missing_errors_doc, reason = "as above")]
pub fn next_instruction(_pid: i32) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_arch = "x86_64"))]
#[expect(missing_docs, clippy::missing_errors_doc, reason = "as above")]
pub fn returned(_pid: i32) -> Result<isize, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_arch = "x86_64"))]
#[expect(missing_docs, clippy::missing_errors_doc, reason = "as above")]
pub fn stop_before(_pid: i32, _address: Option<usize>) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// `waitpid(__WALL | WNOHANG)`: what the child does.
///
/// # Errors
///
/// [`Errno::CHILD`] if there is no such child.
pub fn look(pid: i32) -> Result<Seen, Errno> {
    wait_with(pid, libc::WNOHANG)
}

/// `waitpid(__WALL)`: waits until the child stands still or ends, or until `patience` is over and
/// it is [`Seen::Running`].
///
/// # Blocking
///
/// Waits for the child, and *reports* its death. `SIGCHLD` is blocked for the calling thread
/// from the first call on, and must not be wanted elsewhere in the process.
///
/// # Errors
///
/// [`Errno::CHILD`] if there is no such child.
pub fn wait(pid: i32, patience: Duration) -> Result<Seen, Errno> {
    let deadline = Deadline::after(patience);
    // Where both have one processor, the child runs now, and most steps need no sleep.
    thread::yield_now();
    let seen = look(pid)?;
    if seen != Seen::Running {
        return Ok(seen);
    }
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) fills the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: filled above.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: a set and a valid signal.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    // SAFETY: a filled set, and no wish to know the old one.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    loop {
        let seen = look(pid)?;
        let left = deadline.remaining();
        if seen != Seen::Running || left.is_zero() {
            return Ok(seen);
        }
        let left = libc::timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        // SAFETY: a filled set, no wish to know the details, a valid timespec. A signal that came
        // since the look is pending, so the call returns at once.
        unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const left) };
    }
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
