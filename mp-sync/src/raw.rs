//! The algorithms: they work on words in place and know nothing of guards, handles or data.

use std::time::Duration;

use mp_sys::Deadline;

use crate::sys::{self, AtomicU32};
use crate::{Errno, Error};

mod barrier;
mod condvar;
mod contention;
mod event;
mod mutex;
mod rwlock;
mod semaphore;
mod stand_in;

pub(crate) use barrier::{Arrival, RawBarrier};
pub(crate) use condvar::RawCondvar;
pub(crate) use event::RawEvent;
pub use mutex::{Acquired, LockState, RawMutex};
pub(crate) use rwlock::{RawRwLock, Read};
pub(crate) use semaphore::{Entry, PERMITS_MAX, RawSemaphore};

/// After how long a sleeper looks again, whether woken or not.
///
/// Where a wake goes to one sleeper of several and that one is killed before it acts, no word in
/// memory says so; this bounds what the others lose by it. All other deaths wake at once.
const TICK: Duration = Duration::from_millis(50);

/// Sleeps while every word holds the value beside it, for a [`TICK`] at most. `Ok` means "look
/// again"; [`Error::TimedOut`] means that `deadline` has passed.
fn sleep(words: &[(&AtomicU32, u32)], deadline: Option<Deadline>) -> Result<(), Error> {
    let tick = Deadline::after(TICK).or_earlier(deadline);
    match sys::wait_any(words, Some(tick)) {
        Err(Errno::TIMEDOUT) if deadline.is_some_and(Deadline::has_passed) => Err(Error::TimedOut),
        Ok(()) | Err(Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(Error::os("futex_waitv")(errno)),
    }
}

/// The words that one sleeper watches.
struct Watched<'a> {
    words: [(&'a AtomicU32, u32); mp_sys::futex::WAIT_ANY_MAX],
    len: usize,
}

impl<'a> Watched<'a> {
    fn new(word: &'a AtomicU32, seen: u32) -> Watched<'a> {
        Watched { words: [(word, seen); mp_sys::futex::WAIT_ANY_MAX], len: 1 }
    }

    /// Adds the word of a held lock, so that its release or its holder's death wakes us. What does
    /// not fit is found at the next [`TICK`].
    fn add(&mut self, lock: &'a RawMutex) {
        if let Some(entry) = self.words.get_mut(self.len)
            && let Some(watch) = lock.watch()
        {
            *entry = watch;
            self.len += 1;
        }
    }

    fn sleep(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        sleep(&self.words[..self.len], deadline)
    }
}
