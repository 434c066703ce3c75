#![expect(unsafe_code, reason = "locks the C library's mutexes too")]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use mp_sys::pthread::{Held, Place};
use mp_sys::robust::{HELD_MAX, Node};

use crate::child::{Child, die, soon};
use crate::shared::{lock_free, owner_died, shared, unlock};

const MANY: usize = HELD_MAX as usize + 52;

/// Why nobody may hold more: the kernel stops walking, and the first ones stay locked for ever.
pub(crate) fn two_thousand_and_forty_eight_are_walked() {
    let nodes: &[Node; MANY] = shared();
    Child::start(|| {
        nodes.iter().for_each(lock_free);
        die();
    })
    .status();
    let told = nodes.iter().filter(|node| owner_died(node)).count();
    assert_eq!(told, HELD_MAX as usize);
    assert!(!owner_died(&nodes[0]) && owner_died(&nodes[MANY - 1]), "the last taken come first");
}

#[repr(C)]
struct Four {
    ours: [Node; 2],
    theirs: [Place; 2],
    ready: AtomicU32,
}

/// All orders of taking four locks, two of each kind, and of giving one back in between.
pub(crate) fn our_locks_and_the_librarys_in_one_list() {
    for order in orders() {
        for released in 0..5 {
            let four: &Four = shared();
            let take = |which: usize| {
                if which < 2 {
                    lock_free(&four.ours[which]);
                } else {
                    // SAFETY: the memory is never unmapped.
                    let held = unsafe { four.theirs[which - 2].lock(None) };
                    assert_eq!(held, Ok(Held::Clean));
                }
            };
            let give = |which: usize| {
                if which < 2 {
                    unlock(&four.ours[which]);
                } else {
                    four.theirs[which - 2].unlock().unwrap();
                }
            };
            Child::start(|| {
                order.iter().for_each(|which| take(*which));
                if released < 4 {
                    give(released);
                }
                four.ready.store(1, Release);
                die();
            })
            .status();
            assert_eq!(four.ready.load(Acquire), 1);
            for (which, node) in four.ours.iter().enumerate() {
                assert_eq!(owner_died(node), which != released, "{order:?} without {released}");
            }
            for (which, place) in four.theirs.iter().enumerate() {
                let expected = if which + 2 == released { Held::Clean } else { Held::OwnerDied };
                // SAFETY: as above.
                let held = unsafe { place.lock(soon()) };
                assert_eq!(held, Ok(expected), "{order:?} without {released}");
                place.unlock().unwrap();
            }
        }
    }
}

fn orders() -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..4 {
        let longer = |order: &Vec<usize>| {
            let order = order.clone();
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, next);
                order
            })
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}
