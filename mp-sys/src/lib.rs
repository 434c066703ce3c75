#![doc = include_str!("../README.md")]

pub mod dir;
pub mod epoll;
pub mod fd_table;
pub mod fork;
pub mod futex;
pub mod image;
pub mod lifeline;
pub mod limits;
pub mod memfd;
pub mod memory;
pub mod object;
pub mod ofd_lock;
pub mod pidfd;
pub mod poll;
pub mod pthread;
pub mod random;
pub mod robust;
pub mod sched;
pub mod signal;
pub mod signal_fd;
pub mod socket;
pub mod spawn;
pub mod stdio;
pub mod trace;

mod deadline;

pub use deadline::Deadline;
pub use rustix::io::Errno;

/// The error of the C library call that has just failed.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
