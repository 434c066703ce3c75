//! Memory that forked children share, and the whole protocol of a robust lock in its plainest form.
#![expect(unsafe_code, reason = "maps memory, and locks in it")]

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use mp_sys::futex;
use mp_sys::robust::{List, Node, OWNER_DIED, TID_MASK, WAITERS};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use crate::child::soon;

/// A `T` of zero bytes, shared with the children that are forked from here on, for ever.
pub(crate) fn shared<T>() -> &'static T {
    // SAFETY: a fresh mapping, as large as `T`.
    let place = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            size_of::<T>(),
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
        )
    };
    let place: *const T = place.unwrap().cast_const().cast();
    // SAFETY: page-aligned, never unmapped; all the `T` here are made of atomics, for which zero
    // is valid.
    unsafe { &*place }
}

/// Takes a lock that nobody has.
pub(crate) fn lock_free(node: &Node) {
    let list = List::current().unwrap();
    list.announce(node);
    node.word().compare_exchange(0, list.tid(), Acquire, Relaxed).unwrap();
    // SAFETY: announced and taken; the node is in no list, and its memory stays mapped.
    unsafe { list.link(node) };
    list.retract();
}

/// Takes the lock, and says whether its last holder died.
pub(crate) fn lock(node: &Node) -> bool {
    let (list, word) = (List::current().unwrap(), node.word());
    let mut waiters = 0;
    list.announce(node);
    let died = loop {
        let seen = word.load(Relaxed);
        if seen & TID_MASK == 0 {
            let mine = list.tid() | waiters | (seen & WAITERS);
            if word.compare_exchange(seen, mine, Acquire, Relaxed).is_ok() {
                break seen & OWNER_DIED != 0;
            }
        } else if word.compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed).is_ok() {
            assert_eq!(futex::wait(word, seen | WAITERS, soon()), Ok(()), "a lock is stuck");
            waiters = WAITERS;
        }
    };
    // SAFETY: as above.
    unsafe { list.link(node) };
    list.retract();
    died
}

pub(crate) fn unlock(node: &Node) {
    let list = List::current().unwrap();
    list.announce(node);
    unlink(list, node);
    if node.word().swap(0, Release) & WAITERS != 0 {
        futex::wake(node.word(), 1);
    }
    list.retract();
}

/// The second step of unlocking, after the announcement.
pub(crate) fn unlink(list: List, node: &Node) {
    // SAFETY: the callers have announced the node and have it linked.
    unsafe { list.unlink(node) };
}

pub(crate) fn owner_died(node: &Node) -> bool {
    node.word().load(Acquire) & OWNER_DIED != 0
}
