//! Deliberately broken twins: the harness must see what is wrong with each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mp_shm::{Kind, Placed, Region};
use mp_tests::step::Fate;

use crate::Operation;
use crate::world::{BRIEFLY, SLACK, World, ensure, in_time};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::control("control: a lock outside of the robust list", Fate::Death, || {
        World::new(
            words(),
            |words| {
                words[LOCK].store(1, Ordering::Release);
                words[LOCK].store(0, Ordering::Release);
            },
            |words, _| {
                let word = words[LOCK].load(Ordering::Acquire);
                ensure(word == 0, || "held for ever".to_owned())
            },
            |_| Ok(()),
        )
    }),
    Operation::control("control: a ring that commits before it writes", Fate::Death, || {
        World::new(
            words(),
            |words| {
                for item in 1..=4 {
                    let at = words[TAIL].fetch_add(1, Ordering::Release);
                    words[ITEMS + at as usize].store(item, Ordering::Release);
                }
            },
            |words, _| {
                for at in 0..words[TAIL].load(Ordering::Acquire) {
                    let item = words[ITEMS + at as usize].load(Ordering::Acquire);
                    ensure(item == at + 1, || format!("item {at} is torn: {item}"))?;
                }
                Ok(())
            },
            |_| Ok(()),
        )
    }),
    Operation::control("control: an event that counts its waiters", Fate::Death, || {
        World::new(
            words(),
            |words| {
                words[WAITERS].fetch_add(1, Ordering::AcqRel);
                while words[FLAG].load(Ordering::Acquire) == 0 {
                    // The deadline of the wait: it is set in vain.
                    words[FLAG].store(1, Ordering::Release);
                }
                words[WAITERS].fetch_sub(1, Ordering::AcqRel);
            },
            // As Python's Condition.notify, which waits until all that it counted have woken.
            |words, _| {
                words[FLAG].store(1, Ordering::Release);
                ensure(becomes_zero(&words[WAITERS]), || "set() waits for a dead waiter".to_owned())
            },
            |_| Ok(()),
        )
    }),
    Operation::control("control: a lock whose slow holder counts as dead", Fate::Pause, || {
        World::new(
            words(),
            locked_change,
            |_, _| Ok(()),
            |words| {
                // After its deadline it takes the lock and looks.
                becomes_zero(&words[LOCK]);
                let [left, right] = [0, 1].map(|at| words[ITEMS + at].load(Ordering::Acquire));
                ensure(left == right, || "taken from a paused holder".to_owned())
            },
        )
    }),
    Operation::control("control: a call that does not know its deadline", Fate::Pause, || {
        World::new(
            words(),
            locked_change,
            |_, _| Ok(()),
            |words| {
                in_time(BRIEFLY, || {
                    let start = Instant::now();
                    while start.elapsed() < 2 * SLACK && !becomes_zero(&words[LOCK]) {}
                })
            },
        )
    }),
];

/// What the twins are made of.
type Words = Placed<[AtomicU64; 16]>;

const LOCK: usize = 0;
const TAIL: usize = 1;
const WAITERS: usize = 2;
const FLAG: usize = 3;
const ITEMS: usize = 8;

fn words() -> Words {
    Region::create(Kind::new(*b"ctrl"), 128, 0).unwrap().words(0).unwrap()
}

fn locked_change(words: &Words) {
    words[LOCK].store(1, Ordering::Release);
    words[ITEMS].fetch_add(1, Ordering::AcqRel);
    words[ITEMS + 1].fetch_add(1, Ordering::AcqRel);
    words[LOCK].store(0, Ordering::Release);
}

fn becomes_zero(word: &AtomicU64) -> bool {
    let start = Instant::now();
    while word.load(Ordering::Acquire) != 0 {
        if start.elapsed() > BRIEFLY {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
