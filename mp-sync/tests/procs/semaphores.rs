//! What CPython's tests assert of `Semaphore` and `BoundedSemaphore`.

use std::time::{Duration, Instant};

use mp_sync::{BoundedSemaphore, Error, Semaphore};

use crate::Body;
use crate::crew::{Board, Mode, join};

const SHORT: Duration = Duration::from_millis(30);

pub(crate) const BODIES: &[Body] = &[
    ("semaphore", semaphore),
    ("semaphore_owned_elsewhere", semaphore_owned_elsewhere),
    ("semaphore_limits", semaphore_limits),
    ("bounded_semaphore", bounded_semaphore),
    ("bounded_semaphore_races", bounded_semaphore_races),
    ("semaphore_too_many_holders", semaphore_too_many_holders),
];

/// test_semaphore, test_timeout
fn semaphore(mode: Mode) {
    let permits = Semaphore::new(2).unwrap();
    assert_eq!(permits.value(), 2);
    permits.acquire().unwrap().forget();
    assert_eq!(permits.value(), 1);
    let second = permits.acquire().unwrap();
    assert_eq!(permits.value(), 0);
    let same = permits.clone();
    let other = mode.spawn(move || {
        assert_eq!(same.try_acquire().unwrap_err(), Error::WouldBlock);
        let start = Instant::now();
        assert_eq!(same.acquire_timeout(SHORT).unwrap_err(), Error::TimedOut);
        assert!(start.elapsed() >= SHORT);
        same.release(1).unwrap(); // What another one took.
    });
    other.join();
    assert_eq!(permits.value(), 1);
    drop(second);
    assert_eq!(permits.value(), 2);
    permits.release(3).unwrap();
    assert_eq!(permits.value(), 5, "above the initial value");
}

fn semaphore_owned_elsewhere(mode: Mode) {
    let (permits, board) = (Semaphore::new(1).unwrap(), Board::new());
    let mine = permits.acquire().unwrap();
    let (same, all) = (permits.clone(), board.clone());
    let waiters = mode.spawn_each(3, move |i| {
        all.sleeper(i);
        for _ in 0..200 {
            let permit = same.acquire().unwrap();
            assert_eq!(all.add(10), 0, "two hold the only permit");
            all.set(10, 0);
            drop(permit);
        }
    });
    board.until_asleep(0..3);
    drop(mine);
    join(waiters);
    assert_eq!(permits.value(), 1);
}

fn semaphore_limits(mode: Mode) {
    let max = i32::MAX as u32;
    assert_eq!(Semaphore::new(max + 1).unwrap_err(), Error::TooManyPermits { max });
    let permits = Semaphore::new(max).unwrap();
    let same = permits.clone();
    mode.spawn(move || assert_eq!(same.release(1), Err(Error::TooManyPermits { max }))).join();
    assert_eq!(permits.value(), max);
}

/// test_bounded_semaphore
fn bounded_semaphore(mode: Mode) {
    let permits = BoundedSemaphore::new(2).unwrap();
    assert_eq!(permits.release(1), Err(Error::TooManyPermits { max: 2 }));
    let owned = permits.acquire().unwrap();
    assert!(permits.release(1).is_err(), "an owned permit comes back by itself");
    owned.forget();
    let same = permits.clone();
    mode.spawn(move || same.release(1).unwrap()).join();
    assert!(permits.release(1).is_err());
    assert_eq!(permits.value(), 2);
}

/// In C the check and the release are two steps, so two releases can both pass.
fn bounded_semaphore_races(mode: Mode) {
    let (permits, board) = (BoundedSemaphore::new(1).unwrap(), Board::new());
    for round in 1..=100 {
        permits.acquire().unwrap().forget();
        let (same, all) = (permits.clone(), board.clone());
        join(mode.spawn_each(2, move |_| {
            if same.release(1).is_ok() {
                all.add(0);
            }
        }));
        assert_eq!((board.get(0), permits.value()), (round, 1));
    }
}

fn semaphore_too_many_holders(mode: Mode) {
    let (permits, board) = (Semaphore::new(100).unwrap(), Board::new());
    let (same, all) = (permits.clone(), board.clone());
    let holders = mode.spawn_each(64, move |_| {
        let permit = same.acquire().unwrap();
        all.add(0);
        all.until(1, 1);
        drop(permit);
    });
    board.until(0, 64);
    assert_eq!(permits.acquire().unwrap_err(), Error::TooManyHolders { max: 64 });
    assert_eq!(permits.value(), 36);
    board.set(1, 1);
    join(holders);
    drop((permits.acquire().unwrap(), permits.acquire().unwrap()));
    assert_eq!(permits.value(), 100);
}
