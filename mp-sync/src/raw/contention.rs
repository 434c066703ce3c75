//! The robust mutex when somebody else has it: spinning, sleeping, and the wake at the release.
//! The states of the word are those of [`mutex`](super::mutex).

use mp_sys::Deadline;
use mp_sys::robust::{TID_MASK, WAITERS};

use super::mutex::{Acquired, RawMutex, acquired};
use crate::Error;
use crate::sys::{self, List, Ordering};

/// Pauses before the second look at a held lock. Each look takes the word's line from the holder;
/// if two threads do nothing but lock, a short pause means that they share the line by turns at
/// each lock, and a long one that each of them locks some dozens of times in a row.
const PAUSE: u32 = 8;

impl RawMutex {
    /// Makes the word ours when it becomes free. The node is announced, and stays so while we
    /// sleep: see [`mutex`](super::mutex).
    pub(super) fn take_waiting(
        &self,
        list: List,
        deadline: Option<Deadline>,
    ) -> Result<Acquired, Error> {
        let word = self.node.word();
        let (mut spins, mut pause) = (sys::spins(), PAUSE);
        loop {
            let seen = word.load(Ordering::Relaxed);
            if seen & TID_MASK == 0 {
                if self.take(list, seen) {
                    return Ok(acquired(seen));
                }
                continue;
            }
            if seen & TID_MASK == list.tid() {
                return Err(Error::WouldDeadlock);
            }
            // Where others sleep already, the wait is likely to be long.
            if spins > 0 && seen & WAITERS == 0 {
                let pauses = pause.min(spins);
                (0..pauses).for_each(|_| sys::spin_loop());
                (spins, pause) = (spins - pauses, 2 * pause);
                continue;
            }
            let Some((word, marked)) = self.watch() else { continue };
            sys::wait(word, marked, deadline).map_err(Error::os("futex wait"))?;
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn free_contended(&self) {
        let word = self.node.word();
        // Release: pairs with the Acquire in take().
        word.swap(WAITERS, Ordering::Release);
        if sys::wake(word, 1) > 0 {
            return;
        }
        // Nobody slept, so the bit may go. Between the wake and this, others may have locked,
        // slept and unlocked: then somebody sleeps after all, and the bit comes back.
        let cleared = word.compare_exchange(WAITERS, 0, Ordering::Relaxed, Ordering::Relaxed);
        if cleared.is_ok() && sys::wake(word, 1) > 0 {
            word.fetch_or(WAITERS, Ordering::Relaxed);
        }
    }
}
