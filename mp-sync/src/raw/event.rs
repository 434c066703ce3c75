//! A flag that one sets and many wait for.
//!
//! Bit 0 of the word is the flag; the upper bits count how often it was cleared. So a sleeper
//! that saw the word unset knows from any other value that the flag has been set since, even if
//! it was cleared again before the sleeper looked.

use mp_sys::Deadline;

use crate::Error;
use crate::sys::{self, AtomicU32, Ordering};

const SET: u32 = 1;
const CLEARED: u32 = 2;

/// The word of an [`Event`](crate::Event). All zero is "not set".
#[repr(C)]
pub(crate) struct RawEvent {
    word: AtomicU32,
}

impl RawEvent {
    #[cfg(loom)]
    pub(crate) fn new() -> RawEvent {
        RawEvent { word: AtomicU32::new(0) }
    }

    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with set().
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Async-signal-safe.
    pub(crate) fn set(&self) {
        let seen = self.word.load(Ordering::Relaxed);
        // Release: pairs with the Acquire of who finds the flag set, by whomever.
        let already = seen & SET != 0
            && self.word.compare_exchange(seen, seen, Ordering::Release, Ordering::Relaxed).is_ok();
        if !already {
            // Flag and wake in one: a setter that is killed leaves no sleeper beside a set flag.
            sys::set_and_wake(&self.word, SET as u16, u32::MAX);
        }
    }

    /// Async-signal-safe.
    pub(crate) fn clear(&self) {
        let unset = |seen: u32| (seen & SET != 0).then(|| (seen & !SET).wrapping_add(CLEARED));
        // An event that is not set stays as it is.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, unset);
    }

    /// Waits until the flag is set, or was set in between.
    pub(crate) fn wait_until(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        // Acquire, here and below: pairs with set().
        let start = self.word.load(Ordering::Acquire);
        if start & SET != 0 {
            return Ok(());
        }
        loop {
            let result = sys::wait(&self.word, start, deadline);
            if self.word.load(Ordering::Acquire) != start {
                return Ok(());
            }
            result.map_err(Error::os("futex wait"))?;
        }
    }
}
