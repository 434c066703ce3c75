//! Broken twins of locks, in the same races: what is wrong with each must be seen.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

use mp_sync::{LockError, Mutex, Semaphore};

use crate::crew::Board;
use crate::races::{PROGRESS, Random, Replace, Report, check, hold, race_of};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("race_twin_that_keeps_a_death_to_itself", keeps_a_death_to_itself),
    ("race_twin_that_robs_a_slow_holder", robs_a_slow_holder),
    ("race_twin_that_stays_with_the_dead", stays_with_the_dead),
    ("race_twin_that_loses_permits", loses_permits),
];

const LOCK: usize = 40;

/// Whether the race ends in a panic, of its workers or of its own; it is tried a few times.
fn is_seen(race: impl Fn()) {
    let loud = take_hook();
    set_hook(Box::new(|_| ()));
    let seen = (0..10).any(|_| catch_unwind(AssertUnwindSafe(&race)).is_err());
    set_hook(loud);
    assert!(seen, "a broken lock comes through");
}

/// Who breaks something ends with it, so that nobody may be left to go on.
fn race_briefly(board: &Board, step: impl Fn(&mut Random)) -> Report {
    let standstill = Duration::from_millis(200);
    race_of("twin", board, Replace::Later, standstill, |_, random| step(random))
}

fn keeps_a_death_to_itself() {
    is_seen(|| {
        let (mutex, board) = (Mutex::new(0_u64).unwrap(), Board::new());
        race_briefly(&board, |_| {
            let _guard = mutex.lock().or_else(LockError::recover).unwrap();
            hold(&board, false);
        });
    });
}

fn robs_a_slow_holder() {
    is_seen(|| {
        let board = Board::new();
        race_briefly(&board, |random| {
            let start = Instant::now();
            while !board.swap(LOCK, 0, 1) && start.elapsed() < Duration::from_micros(50) {
                std::thread::yield_now();
            }
            if random.below(4) == 0 {
                std::thread::yield_now();
            }
            hold(&board, false);
            board.set(LOCK, 0);
        });
    });
}

fn stays_with_the_dead() {
    is_seen(|| {
        let board = Board::new();
        race_briefly(&board, |random| {
            while !board.swap(LOCK, 0, 1) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(random.below(60)));
            board.add(PROGRESS);
            board.set(LOCK, 0);
        });
    });
}

fn loses_permits() {
    is_seen(|| {
        let (semaphore, board) = (Semaphore::new(2).unwrap(), Board::new());
        let report = race_briefly(&board, |random| {
            if let Ok(permit) = semaphore.acquire_timeout(Duration::from_millis(1)) {
                board.add(PROGRESS);
                if random.below(50) == 0 {
                    permit.forget();
                }
            }
        });
        check(&report);
        assert_eq!(semaphore.value(), 2, "all permits are back");
    });
}
