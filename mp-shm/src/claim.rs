//! The right to write, which one thread has at a time and no dead one keeps.
#![expect(unsafe_code, reason = "links its node into the thread's robust list")]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use mp_sys::robust::{HELD_MAX, List, Node, TID_MASK, WAITERS};
use mp_sys::{Errno, futex};

use crate::{Error, Place};

/// A lock whose content needs no repair: what it guards changes by one store. So it is taken over
/// from a dead holder without a word. All zero is free. The full-grown locks are mp-sync's.
#[repr(C)]
pub(crate) struct Claim {
    node: Node,
}

const _: () = assert!(size_of::<Claim>() == 40 && align_of::<Claim>() == 8);

// SAFETY: `repr(C)`, all atomics, for which zero is valid; the links are written by the holder
// alone, by the protocol of `robust`.
unsafe impl Place for Claim {}

impl Claim {
    /// Runs `act` while no other thread of any process does.
    ///
    /// `act` must not claim again, and may panic.
    pub(crate) fn with<R>(&self, act: impl FnOnce() -> R) -> Result<R, Error> {
        let claiming = Error::os("claiming shared memory");
        let list = List::current().map_err(Error::os("claiming shared memory"))?;
        // One may go uncounted.
        if list.held() + 1 >= HELD_MAX {
            return Err(claiming(Errno::NOLCK));
        }
        self.take(list);
        let _release = Holding(self, list);
        Ok(act())
    }

    fn take(&self, list: List) {
        let word = self.node.word();
        // Stays announced while it waits: if we are woken and die, the kernel wakes the next.
        list.announce(&self.node);
        let mut waiters = 0;
        loop {
            let seen = word.load(Relaxed);
            if seen & TID_MASK == 0 {
                // Free, or its holder died: the bit that says so goes.
                let mine = list.tid() | waiters | (seen & WAITERS);
                // Acquire: pairs with the Release in `drop`; a dead holder's stores were ordered
                // by the kernel before it set its bit.
                if word.compare_exchange(seen, mine, Acquire, Relaxed).is_ok() {
                    break;
                }
            } else if seen & WAITERS != 0
                || word.compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed).is_ok()
            {
                // An error is a reason to look again, as a wake is: there is no deadline.
                let _ = futex::wait(word, seen | WAITERS, None);
                // Others may sleep still: whoever comes after us must wake one.
                waiters = WAITERS;
            }
        }
        // SAFETY: announced and taken above; it was in no list, since its word was free; the
        // caller's `&self` keeps it mapped until `drop` unlinks it.
        unsafe { list.link(&self.node) };
        list.retract();
    }
}

/// Gives the claim back, also when the work panicked.
struct Holding<'a>(&'a Claim, List);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let Holding(Claim { node }, list) = *self;
        list.announce(node);
        // SAFETY: announced, and linked by `take` on this thread: a `List` cannot leave it.
        unsafe { list.unlink(node) };
        // Release: pairs with the Acquire in `take`.
        if node.word().swap(0, Release) & WAITERS != 0 {
            futex::wake(node.word(), 1);
        }
        list.retract();
    }
}
