//! A forked child that runs a closure, and can be killed.
#![expect(unsafe_code, reason = "fork")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mp_sys::fork::{Fork, exit_now, fork, thread_count};
use mp_sys::pidfd::{self, Status};
use mp_sys::poll::{Interest, wait_for};

/// Ended at the latest when dropped.
pub(crate) struct Child(OwnedFd);

impl Child {
    pub(crate) fn run(work: impl FnOnce()) -> Child {
        assert_eq!(thread_count(), Ok(1));
        // SAFETY: the process has this one thread.
        match unsafe { fork() }.unwrap() {
            Fork::Parent(pid) => Child(pidfd::open(pid).unwrap()),
            Fork::Child => {
                let result = catch_unwind(AssertUnwindSafe(work));
                exit_now(if result.is_ok() { 0 } else { 101 });
            }
        }
    }

    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    pub(crate) fn signal(&self, signal: i32) {
        let _ = pidfd::signal(&self.0, signal);
    }

    pub(crate) fn join(self) -> Status {
        self.reap()
    }

    /// Asserts that the closure came to its end.
    pub(crate) fn succeed(self) {
        assert_eq!(self.reap(), Status::Exited(0));
    }

    fn reap(&self) -> Status {
        wait_for(self.0.as_fd(), Interest::Readable, None).unwrap();
        pidfd::try_reap(&self.0).unwrap().expect("it has ended")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = wait_for(self.0.as_fd(), Interest::Readable, None);
        let _ = pidfd::try_reap(&self.0);
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
