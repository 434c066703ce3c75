//! The way round the rule that a process with several threads is not forked.
#![expect(unsafe_code, reason = "the caller takes over what the rule protects from")]

use std::io::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::handle::Child;
use crate::process::{Process, StartMethod};
use crate::{children, forkserver, identity};

impl<R: Serialize + DeserializeOwned> Process<R> {
    /// As [`start`](Process::start) with [`StartMethod::Fork`], also where this process has other
    /// threads.
    ///
    /// The C library's memory allocator, the standard output and error and the lists of this crate
    /// are in order in the child. Everything else is as the other threads left it at that instant.
    ///
    /// # Safety
    ///
    /// The function, what it is called with and all that they use must not need anything that
    /// another thread of this process may have locked or half changed when this is called: a
    /// mutex of the program, the environment, a logger, another library's state. Reading what is
    /// half changed is undefined behaviour; waiting for what is locked lasts for ever.
    ///
    /// # Errors
    ///
    /// As [`start`](Process::start), but for [`Error::MultiThreaded`].
    pub unsafe fn start_despite_threads(self) -> Result<Child<R>, Error> {
        let mut fork = || {
            // What other threads hold would stay held in the copy; these this thread holds itself,
            // always in this order, and each process lets go of its own.
            let _children = children::lock();
            let _held = (forkserver::hold(), identity::hold());
            let (mut stdout, _stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
            // What is still in the buffer would be printed by both.
            let _ = stdout.flush();
            // SAFETY: the caller vouches for what the child does; what this crate does in it keeps
            // to what it has itself locked across the fork, and to the allocator, which the C
            // library's fork keeps in order.
            unsafe { mp_sys::fork::fork() }.map_err(Error::os("fork"))
        };
        self.method(StartMethod::Fork).start_by(&mut fork)
    }
}
