//! A forked child, and its end.
#![expect(unsafe_code, reason = "forks")]

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mp_sys::Deadline;
use mp_sys::fork::{Fork, exit_now, fork};
use mp_sys::pidfd::{self, Status};
use mp_sys::poll::{Interest, wait_for};

/// No test waits longer for anything.
pub(crate) fn soon() -> Option<Deadline> {
    Some(Deadline::after(Duration::from_secs(30)))
}

pub(crate) struct Child {
    process: OwnedFd,
    ended: bool,
}

impl Child {
    /// Runs `body` in a copy of this process.
    pub(crate) fn start(body: impl FnOnce()) -> Child {
        // SAFETY: these tests run on the only thread of the process.
        match unsafe { fork() }.unwrap() {
            Fork::Child => {
                let result = catch_unwind(AssertUnwindSafe(body));
                exit_now(if result.is_ok() { 0 } else { 101 })
            }
            Fork::Parent(pid) => Child { process: pidfd::open(pid).unwrap(), ended: false },
        }
    }

    pub(crate) fn kill(&self) {
        pidfd::signal(&self.process, 9).unwrap();
    }

    #[track_caller]
    pub(crate) fn join(mut self) {
        assert_eq!(self.status(), Status::Exited(0));
    }

    pub(crate) fn status(&mut self) -> Status {
        let ended = wait_for(self.process.as_fd(), Interest::Readable, soon()).unwrap();
        assert!(ended, "a child does not end");
        self.ended = true;
        pidfd::try_reap(&self.process).unwrap().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended && pidfd::signal(&self.process, 9).is_ok() {
            self.status();
        }
    }
}

/// Ends this process as `kill -9` does, at exactly this point.
pub(crate) fn die() -> ! {
    let me = pidfd::open(std::process::id() as i32).unwrap();
    pidfd::signal(me, 9).unwrap();
    unreachable!()
}

/// Looks until `ready` is true.
#[track_caller]
pub(crate) fn until(ready: impl Fn() -> bool) {
    let end = soon();
    while !ready() {
        assert!(!end.is_some_and(Deadline::has_passed), "waited in vain");
        std::thread::sleep(Duration::from_micros(100));
    }
}
