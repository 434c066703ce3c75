//! Ctrl-C and its like end the workers; what they had not finished had no name yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

use mp_pool::Pool;
use mp_sys::Errno;
use mp_sys::signal_fd::SignalFd;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// The signal that ended the copy; 0 for none.
#[derive(Debug, Default)]
pub(crate) struct Interrupt(AtomicI32);

/// Signals that wait for [`Signals::end`].
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Keeps the signals back. To be called before there are threads.
    pub(crate) fn hold() -> Result<Signals, Errno> {
        Ok(Signals(SignalFd::block(&[SIGHUP, SIGINT, SIGTERM])?))
    }

    /// Lets a signal end `pool` from here on, on a thread of its own.
    pub(crate) fn end(self, pool: &Arc<Pool>) -> Arc<Interrupt> {
        let seen = Arc::new(Interrupt::default());
        let (pool, told) = (Arc::clone(pool), Arc::clone(&seen));
        thread::spawn(move || {
            told.0.store(self.0.read().unwrap_or(SIGINT), Relaxed);
            pool.terminate();
        });
        seen
    }
}

impl Interrupt {
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.0.load(Relaxed)).filter(|&signal| signal != 0)
    }
}
