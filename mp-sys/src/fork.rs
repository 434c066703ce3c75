//! `fork(2)`, the C library's, and what belongs to it.
#![expect(unsafe_code, reason = "after fork only the calling thread exists in the child")]

use crate::Errno;

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new one.
    Child,
    /// The old one, and the pid of its new child.
    Parent(i32),
}

/// `fork`: makes a copy of this process with the calling thread alone.
///
/// It is the C library's `fork`, never a bare `clone`: the library gives the child a robust list
/// of its own and runs the `pthread_atfork` handlers, on which [`robust`](crate::robust) relies.
///
/// # Safety
///
/// If the process has more than one thread, the child may call only async-signal-safe functions
/// (no allocation, no lock, no panic) until it ends or executes another program: what the other
/// threads held is held for ever there. See [`thread_count`].
///
/// # Errors
///
/// [`Errno::AGAIN`] when no more processes may be made, [`Errno::NOMEM`] when memory is short.
#[inline]
pub unsafe fn fork() -> Result<Fork, Errno> {
    // SAFETY: the caller keeps to what the child may do.
    match unsafe { libc::fork() } {
        -1 => Err(crate::last_errno()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// `stat("/proc/self/task")`: how many threads this process has.
///
/// # Errors
///
/// [`Errno::NOENT`] where `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// let before = mp_sys::fork::thread_count().unwrap();
/// let (hold, held) = std::sync::mpsc::channel::<()>();
/// let thread = std::thread::spawn(move || held.recv());
/// assert_eq!(mp_sys::fork::thread_count(), Ok(before + 1));
/// drop(hold);
/// thread.join().unwrap().unwrap_err();
/// ```
pub fn thread_count() -> Result<usize, Errno> {
    // Besides its own two links, the directory has one for each thread (proc_pid_task(5)).
    let links = rustix::fs::stat("/proc/self/task")?.st_nlink as usize;
    Ok(links.saturating_sub(2).max(1))
}

/// `getpid`: the number of the calling process.
#[inline]
pub fn pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// `_exit`: ends the process at once, with no destructor, no `atexit` handler and no flushing.
///
/// The way out of a forked child that shares its parent's buffers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no precondition.
    unsafe { libc::_exit(code) }
}

/// `atexit`: runs `handler` when this process, or a copy that `fork` makes of it, ends by
/// returning from `main` or calling `exit`. `false` if there is no room for one more.
pub fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: atexit(3) keeps a pointer to a function, which lives as long as the program.
    unsafe { libc::atexit(handler) == 0 }
}

/// `fork`, if this process has one thread: then the child is a whole process and may do anything.
///
/// # Errors
///
/// [`Errno::BUSY`] if there are other threads; otherwise as [`fork`].
#[inline]
pub fn fork_single() -> Result<Fork, Errno> {
    if thread_count()? > 1 {
        return Err(Errno::BUSY);
    }
    // SAFETY: no other thread exists, nor can one come into being before the call: only a thread
    // of this process could make it.
    unsafe { fork() }
}
