//! What sleepers of one side wait for, and the other side rings: an event counter in one word.
//!
//! To wait: [`listen`](Bell::listen), look whether there is something to do, and if not
//! [`sleep`](Bell::sleep). To ring: make something to do, then [`ring`](Bell::ring). The fences
//! pair: either the ringer sees the mark of the listener, or the listener sees what the ringer
//! made. The mark is a flag and not a count, so a killed sleeper leaves no trace that lasts.

use std::sync::atomic::Ordering;

use mp_sys::{Deadline, Errno};

use crate::sys::{AtomicU32, fence, fence_after_unlock, wait, wake};

/// Somebody sleeps, or is about to.
const LISTENED: u32 = 1;
/// Of those, some must be woken by every ring, since each waits for something else.
const ALL: u32 = 2;
/// The rest of the word counts the rings that found a listener.
const STEP: u32 = 4;

#[repr(transparent)]
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Bell {
    word: AtomicU32,
}

/// Whom a ring must wake for the listener's sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Any one listener will do.
    Any,
    /// This listener must look for itself.
    Each,
}

/// What a listener has heard so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard(u32);

impl Bell {
    #[cfg(all(loom, test))]
    pub(crate) fn new() -> Bell {
        Bell { word: AtomicU32::new(0) }
    }

    /// Announces that the caller is about to sleep. It must look for work after this.
    pub(crate) fn listen(&self, listener: Listener) -> Heard {
        let mark = match listener {
            Listener::Any => LISTENED,
            Listener::Each => LISTENED | ALL,
        };
        let before = self.word.fetch_or(mark, Ordering::Relaxed);
        // SeqCst: pairs with the fence in ring().
        fence(Ordering::SeqCst);
        Heard(before | mark)
    }

    /// Sleeps until the bell rings, if it has not since `heard`.
    pub(crate) fn sleep(&self, heard: Heard, deadline: Option<Deadline>) -> Result<(), Errno> {
        wait(&self.word, heard.0, deadline)
    }

    /// Wakes `count` listeners, if there are any, for `count` things to do. The caller has just
    /// released the lock under which it made them. Says whether there were any.
    #[inline]
    pub(crate) fn ring(&self, count: u32) -> bool {
        // SeqCst: pairs with the fence in listen(). What was made before is seen by whoever
        // listens after; whoever listened before is seen here.
        fence_after_unlock();
        let word = self.word.load(Ordering::Relaxed);
        let listened = word & LISTENED != 0;
        if listened {
            self.ring_for(word, count);
        }
        listened
    }

    #[cold]
    fn ring_for(&self, word: u32, count: u32) {
        let next = (word & !(LISTENED | ALL)).wrapping_add(STEP);
        // If it fails, somebody else has rung or listened; the mark that was seen stands for a
        // sleeper all the same, so the wake is made in any case.
        let _ = self.word.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed);
        wake(&self.word, if word & ALL != 0 { u32::MAX } else { count });
    }

    /// Rings on behalf of the sleepers that one ring has left asleep, since the mark is gone but
    /// they are not: whoever has slept calls this when it has done what it woke for.
    ///
    /// `more` says whether there is something left to do.
    pub(crate) fn pass_on(&self, more: impl Fn() -> bool) {
        self.listen(Listener::Any);
        if more() {
            self.ring(1);
        }
    }

    /// Wakes everybody, listening or about to.
    pub(crate) fn ring_all(&self) {
        fence(Ordering::SeqCst);
        self.word.fetch_add(STEP, Ordering::Relaxed);
        wake(&self.word, u32::MAX);
    }
}
