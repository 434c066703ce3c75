//! Story (complaint C22): eight processes count with `value.value += 1` and lose most of it,
//! because that is a read and a write; and eight counters in one cache line slow each other down.

use std::time::Instant;

use mp_shm::{Array, Value};

use crate::child::{Child, start_with, until};

const PROCESSES: usize = 8;
const TIMES: u64 = 1_000_000;

pub(crate) fn no_update_is_lost() {
    let numbers = (Value::new(0_u64).unwrap(), Value::new(0.0_f64).unwrap());
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            start_with(&numbers, |(int, float)| {
                for _ in 0..TIMES {
                    int.fetch_add(1);
                }
                for _ in 0..TIMES / 10 {
                    float.update(|n| n + 0.5);
                }
            })
        })
        .collect();
    children.into_iter().for_each(Child::join);
    assert_eq!(numbers.0.load(), PROCESSES as u64 * TIMES);
    assert_eq!(numbers.1.load(), (PROCESSES as u64 * TIMES / 20) as f64);
}

pub(crate) fn padded_neighbours_are_exact() {
    let mut took = Vec::new();
    for array in [Array::new(PROCESSES).unwrap(), Array::<u64>::padded(PROCESSES).unwrap()] {
        let start = Instant::now();
        let count = |index| {
            start_with(&array, move |array| {
                for _ in 0..TIMES {
                    array[index].fetch_add(1);
                }
            })
        };
        let children: Vec<Child> = (0..PROCESSES).map(count).collect();
        children.into_iter().for_each(Child::join);
        took.push(start.elapsed().as_secs_f64());
        assert_eq!(array.to_vec(), [TIMES; PROCESSES]);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let ratio = took[0] / took[1];
    eprintln!("eight neighbours: padding makes it {ratio:.1} times as fast on {cores} cores");
    assert!(cores < 4 || cfg!(debug_assertions) || ratio >= 3.0);
}

/// A process that is killed in the middle has made each update or has not.
pub(crate) fn updates_of_the_killed_are_whole() {
    let pair = Value::new(0_u64).unwrap();
    for _ in 0..50 {
        let before = pair.load();
        let child = start_with(&pair, |pair| {
            loop {
                pair.update(|n| n + (1 << 32) + 1);
            }
        });
        until(|| pair.load() != before);
        child.kill();
        let seen = pair.load();
        assert_eq!(seen >> 32, seen & 0xffff_ffff, "both halves or none");
        std::thread::yield_now();
        assert_eq!(pair.load(), seen, "the dead do not count");
    }
}
