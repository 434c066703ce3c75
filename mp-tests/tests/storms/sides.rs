//! Those who die: producers, consumers, and users of a lock and a semaphore.

use std::time::Duration;

use mp_ipc::{Error, Queue};
use mp_sync::{LockError, Mutex, Semaphore};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::parties::Parties;
use crate::timed;

/// What all of them share.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) queue: Queue<Item>,
    /// Both halves are equal whenever nobody is at work.
    pub(crate) lock: Mutex<[u64; 2]>,
    pub(crate) semaphore: Semaphore,
    pub(crate) parties: Parties,
    pub(crate) ledger: Ledger,
}

/// Everything in it follows from its number.
#[derive(Serialize, Deserialize)]
pub(crate) struct Item {
    producer: usize,
    number: u64,
    body: Vec<u64>,
}

impl Item {
    fn new(producer: usize, number: u64) -> Item {
        // Now and then one that travels beside the ring.
        let len = if number.is_multiple_of(997) { 10_000 } else { number % 20 };
        Item { producer, number, body: vec![number; len as usize] }
    }

    fn is_torn(&self) -> bool {
        self.body != Item::new(self.producer, self.number).body
    }
}

pub(crate) fn produce((shared, producer): (Shared, usize)) {
    for round in 0_u64.. {
        // One at a time, or many at once.
        let count = if round.is_multiple_of(4) { 8 } else { 1 };
        let Some(numbers) = shared.ledger.begin(producer, count) else { return };
        let mut items = numbers.clone().map(|number| Item::new(producer, number));
        let put = match count {
            1 => shared.queue.put(items.next().unwrap()).map_err(Error::from),
            _ => shared.queue.put_many(items).map_err(Error::from),
        };
        match put {
            Ok(()) => shared.ledger.has_put(producer, numbers),
            Err(Error::Closed) => return,
            Err(error) => panic!("put: {error}"),
        }
        if round.is_multiple_of(64) {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

pub(crate) fn consume(shared: Shared) {
    let timeout = Duration::from_millis(500);
    loop {
        let (item, took) = timed(|| shared.queue.get_timeout(timeout));
        shared.ledger.was_late(took.saturating_sub(timeout));
        match item {
            Ok(item) => {
                shared.ledger.has_got(item.producer, item.number);
                if item.is_torn() {
                    shared.ledger.is_torn();
                }
            }
            Err(Error::TimedOut) => {}
            Err(Error::Closed) => return,
            Err(error) => panic!("get: {error}"),
        }
    }
}

/// Ends when the queue does.
pub(crate) fn lock(shared: Shared) {
    for round in 0.. {
        if shared.queue.is_closed() {
            return;
        }
        let (permit, waited) = timed(|| shared.semaphore.acquire_timeout(crate::SOON));
        let permit = permit.expect("a permit comes back");
        change(&shared);
        drop(permit);
        shared.ledger.was_late(waited.saturating_sub(Duration::from_millis(1)));
        shared.parties.meet(round, &shared.ledger);
    }
}

/// A broken twin of [`lock`]: it lets the lock go between the halves.
pub(crate) fn lock_twice(shared: Shared) {
    while !shared.queue.is_closed() {
        for half in 0..2 {
            match shared.lock.lock() {
                Ok(mut pair) | Err(LockError::OwnerDied(mut pair)) => pair[half] += 1,
                Err(LockError::Failed(error)) => panic!("the lock: {error}"),
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// A broken twin of [`consume`]: of many messages it counts one twice and forgets the next.
pub(crate) fn miscount(shared: Shared) {
    for nth in 0_u64.. {
        match shared.queue.get() {
            Ok(_) if nth % 100 == 1 => {}
            Ok(item) => {
                shared.ledger.has_got(item.producer, item.number);
                if nth.is_multiple_of(100) {
                    shared.ledger.has_got(item.producer, item.number);
                }
            }
            Err(_) => return,
        }
    }
}

/// Changes both halves, after a look at whether they were left equal.
pub(crate) fn change(shared: &Shared) {
    let mut pair = match shared.lock.lock_timeout(crate::SOON) {
        Ok(pair) => {
            if pair[0] != pair[1] {
                shared.ledger.is_torn();
            }
            pair
        }
        Err(LockError::OwnerDied(mut pair)) => {
            pair[1] = pair[0];
            pair
        }
        Err(LockError::Failed(error)) => panic!("the lock: {error}"),
    };
    pair[0] += 1;
    pair[1] += 1;
}
