//! Sleeping until notified.
//!
//! The word counts notifications. A waiter reads it while it holds the mutex, unlocks, and sleeps
//! while the word is unchanged; so a notification after the unlock is never missed. Sleepers are
//! counted by nobody but the kernel's queue, which the dead and the timed-out leave by themselves.

use mp_sys::Deadline;

use crate::Error;
use crate::sys::{self, AtomicU32, Ordering};

/// The word of a [`Condvar`](crate::Condvar). All zero is the initial state.
#[repr(C)]
pub(crate) struct RawCondvar {
    generation: AtomicU32,
}

impl RawCondvar {
    #[cfg(loom)]
    pub(crate) fn new() -> RawCondvar {
        RawCondvar { generation: AtomicU32::new(0) }
    }

    /// To be read under the mutex, and handed to `sleep`. Relaxed: the mutex orders it.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Sleeps until notified, if `generation` is still the present one. May return early.
    pub(crate) fn sleep(&self, generation: u32, deadline: Option<Deadline>) -> Result<(), Error> {
        sys::wait(&self.generation, generation, deadline).map_err(Error::os("futex wait"))
    }

    /// Async-signal-safe. Count and wake in one: a notifier that is killed has done both or none.
    pub(crate) fn notify(&self, count: u32) {
        if count > 0 {
            sys::add_and_wake(&self.generation, 1, count);
        }
    }
}
