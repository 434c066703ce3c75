//! What the processes of a storm leave behind for the one that checks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mp_shm::{Kind, Placed, Region};
use serde::{Deserialize, Serialize};

/// How many producers there are, and how many consumers.
pub(crate) const SIDES: usize = 3;

/// Sixteen million numbers a producer.
const WORDS: usize = 1 << 18;

/// A bit for each number of one producer.
type Row = Placed<[AtomicU64; WORDS]>;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// How many numbers each producer has used: the put of the last ones may not have returned.
    begun: Vec<Placed<AtomicU64>>,
    /// The numbers whose put has returned.
    put: Vec<Row>,
    /// The numbers that arrived.
    got: Vec<Row>,
    /// The longest that anybody was late, in microseconds.
    late: Placed<AtomicU64>,
    twice: Placed<AtomicU64>,
    torn: Placed<AtomicU64>,
}

/// What became of the numbers.
pub(crate) struct Sum {
    pub(crate) put: u64,
    pub(crate) got: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) torn: u64,
    pub(crate) late: Duration,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let row = || Region::create(Kind::new(*b"test"), WORDS * 8, 0).unwrap().words(0).unwrap();
        let rows = || (0..SIDES).map(|_| row()).collect();
        let number = || Placed::zeroed().unwrap();
        Ledger {
            begun: (0..SIDES).map(|_| number()).collect(),
            put: rows(),
            got: rows(),
            late: number(),
            twice: number(),
            torn: number(),
        }
    }

    /// The next `count` numbers of a producer, unless it has no more.
    pub(crate) fn begin(&self, producer: usize, count: u64) -> Option<std::ops::Range<u64>> {
        let first = self.begun[producer].fetch_add(count, Ordering::Relaxed);
        (first + count < WORDS as u64 * 64).then(|| first..first + count)
    }

    pub(crate) fn has_put(&self, producer: usize, numbers: std::ops::Range<u64>) {
        for number in numbers {
            set(&self.put[producer], number);
        }
    }

    pub(crate) fn has_got(&self, producer: usize, number: u64) {
        if set(&self.got[producer], number) {
            self.twice.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn was_late(&self, by: Duration) {
        self.late.fetch_max(by.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn is_torn(&self) {
        self.torn.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> Sum {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (mut put, mut got, mut lost) = (0, 0, 0);
        for (there, here) in self.put.iter().zip(&self.got) {
            for (there, here) in there.iter().zip(here.iter()) {
                let (there, here) = (load(there), load(here));
                put += u64::from(there.count_ones());
                got += u64::from(here.count_ones());
                lost += u64::from((there & !here).count_ones());
            }
        }
        let late = Duration::from_micros(load(&self.late));
        Sum { put, got, lost, twice: load(&self.twice), torn: load(&self.torn), late }
    }
}

fn set(row: &[AtomicU64; WORDS], number: u64) -> bool {
    let bit = 1 << (number % 64);
    row[number as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0
}
