//! `clone(2)` and `execveat(2)`: another run of a program, at a cost that does not grow with the
//! caller's memory.
#![expect(unsafe_code, reason = "between clone and exec the child runs in its parent's memory")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::poll::{Interest, wait_for};
use crate::signal::{self, Blocked};
use crate::{Errno, pidfd, stdio};

/// How many 16-byte units the child's stack has until it executes the program: 64 KiB.
const STACK: usize = 4096;

/// What to run, and what it is given.
#[derive(Debug)]
pub struct Program<'a> {
    /// The file to execute, as an open descriptor ([`image::pin`](crate::image::pin)).
    pub image: BorrowedFd<'a>,
    /// The arguments, beginning with the name.
    pub args: &'a [CString],
    /// The whole environment, `NAME=value` each.
    pub env: &'a [CString],
    /// The descriptors that it gets, under the same numbers, beside 0, 1 and 2: all above 2.
    pub keep: &'a [BorrowedFd<'a>],
}

/// A process that has been started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id.
    pub pid: i32,
    /// Its pidfd, made in the same instant.
    pub process: OwnedFd,
}

/// `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)` + `execveat(AT_EMPTY_PATH)`: runs `program`.
///
/// The child begins with no blocked signals, default actions for the signals that had handlers,
/// and no descriptors but 0, 1, 2 and those to keep. The caller's mask, handlers and descriptors
/// are left as they are.
///
/// # Blocking
///
/// Waits until the child has executed the program, which needs nothing of anybody: the calling
/// thread is stopped meanwhile, other threads run on. If the child dies before that, the call
/// *reports* it as success, and the status tells.
///
/// # Errors
///
/// What `clone` and `execveat` say: [`Errno::AGAIN`] when no more processes may be made,
/// [`Errno::ACCESS`] for a file that may not be executed, [`Errno::TOOBIG`] for too long an
/// environment.
///
/// # Examples
///
/// ```
/// use std::{ffi::CString, fs::File, os::fd::AsFd};
/// use mp_sys::{pidfd, poll, spawn};
///
/// let image = File::open("/bin/sh").unwrap();
/// let args = ["sh", "-c", "exit 7"].map(|arg| CString::new(arg).unwrap());
/// let program =
///     spawn::Program { image: image.as_fd(), args: &args, env: &[], keep: &[] };
/// let child = spawn::spawn(&program).unwrap();
/// poll::wait_for(child.process.as_fd(), poll::Interest::Readable, None).unwrap();
/// assert_eq!(pidfd::try_reap(&child.process), Ok(Some(pidfd::Status::Exited(7))));
/// ```
pub fn spawn(program: &Program<'_>) -> Result<Spawned, Errno> {
    let argv = pointers(program.args);
    let envp = pointers(program.env);
    let mut keep: Vec<RawFd> = program.keep.iter().map(AsRawFd::as_raw_fd).collect();
    keep.sort_unstable();
    let mut open = keep.clone();
    open.push(program.image.as_raw_fd());
    open.sort_unstable();
    let job = Job {
        image: program.image.as_raw_fd(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        keep: &keep,
        open: &open,
        errno: AtomicI32::new(0),
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK);
    // The stack grows downward from its end, which a `u128` aligns to 16 bytes as the ABI wants.
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut fd: c_int = -1;
    // No handler of ours may run in the child while it shares our memory.
    let blocked = Blocked::new();
    // SAFETY: `run` keeps to what its doc says; its stack is ours alone and, as is all that `job`
    // points at, outlives the child's use of it, because CLONE_VFORK holds this thread until the
    // child has left this memory; the kernel writes one descriptor to `fd`.
    let pid = unsafe {
        libc::clone(run, top.cast(), flags, (&raw const job).cast_mut().cast(), &raw mut fd)
    };
    let failed = (pid < 0).then(crate::last_errno);
    drop(blocked);
    if let Some(errno) = failed {
        return Err(errno);
    }
    // SAFETY: clone(2) with CLONE_PIDFD put a descriptor there, and nobody else has it.
    let process = unsafe { OwnedFd::from_raw_fd(fd) };
    // Relaxed: the child wrote it before it ended, and vfork's return orders the two.
    match job.errno.load(Ordering::Relaxed) {
        0 => Ok(Spawned { pid, process: stdio::above(process)? }),
        errno => {
            // Takes the zombie away; if somebody else has, so much the better.
            let _ = wait_for(process.as_fd(), Interest::Readable, None);
            let _ = pidfd::try_reap(&process);
            Err(Errno::from_raw_os_error(errno))
        }
    }
}

struct Job<'a> {
    image: RawFd,
    argv: *const *const c_char,
    envp: *const *const c_char,
    /// Sorted.
    keep: &'a [RawFd],
    /// `keep` and the image, sorted.
    open: &'a [RawFd],
    /// Why the program was not executed.
    errno: AtomicI32,
}

/// What the child does between `clone` and `execveat`, in its parent's memory: system calls only,
/// no allocation, no lock, no panic.
extern "C" fn run(job: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes its own `Job`, alive until this process has left the memory.
    let job = unsafe { &*job.cast::<Job<'_>>() };
    signal::reset_all_handlers();
    let mut first: libc::c_uint = 3;
    for &fd in job.open {
        close_between(first, fd as libc::c_uint);
        first = fd as libc::c_uint + 1;
    }
    close_between(first, libc::c_uint::MAX);
    for &fd in job.keep {
        // SAFETY: fcntl(2) touches no memory; this process's table of descriptors is its own.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
    signal::unblock_all();
    // SAFETY: both lists end with a null pointer and, like the strings, outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            job.image,
            c"".as_ptr(),
            job.argv,
            job.envp,
            libc::AT_EMPTY_PATH,
        )
    };
    // The C library's errno is that of the thread which vfork holds: nobody else uses it.
    job.errno.store(crate::last_errno().raw_os_error(), Ordering::Relaxed);
    crate::fork::exit_now(127)
}

/// Closes the descriptors from `first` up to, but without, `end`.
fn close_between(first: libc::c_uint, end: libc::c_uint) {
    if first < end {
        // SAFETY: close_range(2) in a table of descriptors that no other process shares; the
        // owners in the parent's memory keep theirs.
        unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0) };
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}
