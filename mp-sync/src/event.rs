//! A flag to wait for.
#![expect(unsafe_code, reason = "promises that the word may lie in shared memory")]

use std::fmt;
use std::time::Duration;

use mp_shm::{Place, Placed};
use serde::{Deserialize, Serialize};

use crate::raw::RawEvent;
use crate::{Deadline, Error};

// SAFETY: repr(C), one atomic, zero is "not set", and no destructor.
unsafe impl Place for RawEvent {}
const _: () = assert!(size_of::<RawEvent>() == 4);

/// A flag that one sets and any number wait for, in all processes.
///
/// Who waits while the flag is set, however briefly, is let go, even if the flag is cleared
/// before it looks. No waiter is counted, so a dead one is in nobody's way.
///
/// Python: `Event()`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_sync::{Error, Event};
///
/// let ready = Event::new()?;
/// assert_eq!(ready.wait_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
/// ready.set();
/// assert!(ready.is_set());
/// ready.wait()?;
/// ready.clear();
/// assert!(!ready.is_set());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event {
    raw: Placed<RawEvent>,
}

impl Event {
    /// Makes an event that is not set.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new() -> Result<Event, Error> {
        Ok(Event { raw: Placed::zeroed()? })
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.raw.is_set()
    }

    /// Sets the flag and lets go all who wait.
    ///
    /// Never blocks. Async-signal-safe: a signal handler may call it, whatever it has interrupted.
    /// A process that is killed in it has done all of it or nothing.
    pub fn set(&self) {
        self.raw.set();
    }

    /// Takes the flag back. Never blocks, and is async-signal-safe.
    pub fn clear(&self) {
        self.raw.clear();
    }

    /// Waits until the flag is set.
    ///
    /// # Blocking
    ///
    /// Waits for [`set`](Event::set), which wakes all. If the process that should set the flag
    /// dies: *may hang*, since no event knows who will set it; take
    /// [`wait_timeout`](Event::wait_timeout), or wait for the process as well. The death of
    /// another waiter: *recovers*.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses to wait.
    pub fn wait(&self) -> Result<(), Error> {
        self.raw.wait_until(None)
    }

    /// Waits until the flag is set, for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Event::wait), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    ///
    /// Python: `Event.wait(timeout)`, whose `False` is `TimedOut` here.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.raw.wait_until(Some(Deadline::after(timeout)))
    }

    /// Whether both are handles to the same event.
    pub fn same(&self, other: &Event) -> bool {
        self.raw.same(&other.raw)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
