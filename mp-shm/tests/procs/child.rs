//! A forked child, and its end.
#![expect(unsafe_code, reason = "forks")]

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mp_sys::fork::{Fork, exit_now, fork};
use mp_sys::pidfd::{self, Status};
use mp_sys::poll::{Interest, wait_for};
use mp_sys::socket::{self, RecvFlags, SendFlags};
use mp_sys::{Deadline, fd_table};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No test waits longer for anything.
pub(crate) fn soon() -> Option<Deadline> {
    Some(Deadline::after(Duration::from_secs(60)))
}

pub(crate) struct Child {
    pub(crate) pid: i32,
    process: OwnedFd,
    ended: bool,
}

impl Child {
    /// Runs `body` in a copy of this process. Its end is abrupt, with code 0, or 101 if it panics.
    pub(crate) fn start(body: impl FnOnce()) -> Child {
        // SAFETY: these tests run on the only thread of the process.
        match unsafe { fork() }.unwrap() {
            Fork::Child => {
                let result = catch_unwind(AssertUnwindSafe(body));
                exit_now(if result.is_ok() { 0 } else { 101 })
            }
            Fork::Parent(pid) => Child { pid, process: pidfd::open(pid).unwrap(), ended: false },
        }
    }

    pub(crate) fn kill(mut self) {
        pidfd::signal(&self.process, 9).unwrap();
        self.status();
    }

    /// Waits for a good end.
    #[track_caller]
    pub(crate) fn join(mut self) {
        assert_eq!(self.status(), Status::Exited(0));
    }

    pub(crate) fn status(&mut self) -> Status {
        let ended = wait_for(self.process.as_fd(), Interest::Readable, soon()).unwrap();
        assert!(ended, "child {} does not end", self.pid);
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

/// Starts a child that gets `value` by a message, not by being a copy.
pub(crate) fn start_with<T: Serialize + DeserializeOwned>(
    value: &T,
    body: impl FnOnce(T),
) -> Child {
    let (here, there) = socket::packet_pair().unwrap();
    let child = Child::start(|| {
        let (mut bytes, mut fds) = ([0; 4096], Vec::new());
        let got = socket::recv(&there, &mut bytes, &mut fds, RecvFlags::empty()).unwrap();
        body(fd_table::supply(fds, || postcard::from_bytes(&bytes[..got.bytes])).unwrap());
    });
    let (bytes, fds) = fd_table::collect(|| postcard::to_stdvec(value).unwrap());
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    socket::send(&here, &[IoSlice::new(&bytes)], &fds, SendFlags::empty()).unwrap();
    child
}

/// Looks until `ready` is true.
#[track_caller]
pub(crate) fn until(ready: impl Fn() -> bool) {
    let end = soon();
    while !ready() {
        assert!(!end.is_some_and(Deadline::has_passed), "waited in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How long race tests go on.
pub(crate) fn race() -> Deadline {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Deadline::after(Duration::from_secs_f64(seconds.unwrap_or(1.0)))
}
