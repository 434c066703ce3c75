//! Tasks that are ended, or asked to end, before their time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_pool::{Error, TaskError, should_stop};

use crate::calls::{nap, square};
use crate::life::is_cancelled;
use crate::{Case, Kind, LONG, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("soft_timeout", soft_timeout),
    ("ask_to_stop", ask_to_stop),
    ("timeout", timeout),
    ("timeout_counts_from_the_start", timeout_counts_from_the_start),
    ("timeout_in_a_chunk", timeout_in_a_chunk),
    ("cancel_what_runs", cancel_what_runs),
    ("a_thread_is_left_behind", a_thread_is_left_behind),
];

/// Runs until it is asked to stop, at most ten seconds.
fn patient(_: u64) -> bool {
    let start = Instant::now();
    while !should_stop() {
        nap(1);
        if start.elapsed() > Duration::from_secs(10) {
            return false;
        }
    }
    true
}

fn soft_timeout(kind: Kind) {
    let pool = kind.pool(2);
    let limited = pool.with().soft_timeout(Duration::from_millis(50)).chunk(1);
    assert_eq!(limited.map(patient, 0..4).unwrap(), [true; 4]);
    assert!(!pool.apply(|()| should_stop(), ()).unwrap(), "the next task is not concerned");
}

fn ask_to_stop(kind: Kind) {
    let pool = kind.pool(1);
    let result = pool.apply_async(patient, 0).unwrap();
    while pool.stats().workers[0].running.is_none() {
        nap(1);
    }
    result.ask_to_stop();
    assert!(result.get_timeout(LONG).unwrap());
}

fn timeout(kind: Kind) {
    // C12
    let pool = kind.pool(2);
    pool.map(nap, [0; 8]).unwrap();
    let others: Vec<_> = (0..40).map(|_| pool.apply_async(nap, 10).unwrap()).collect();
    let endless = pool.with().timeout(Duration::from_millis(200)).apply_async(nap, 3_000).unwrap();
    let quick = pool.with().timeout(Duration::from_secs(3)).apply_async(nap, 1).unwrap();
    let start = Instant::now();
    let result = endless.get_timeout(LONG);
    assert!(matches!(result, Err(Error::Task(TaskError::Timeout))), "{result:?}");
    assert!(start.elapsed() < Duration::from_millis(1_000), "{:?}", start.elapsed());
    assert_eq!(quick.get_timeout(LONG).unwrap(), 1);
    assert!(others.iter().all(|other| other.get_timeout(LONG).is_ok()), "nobody else is hit");
    assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
}

fn timeout_counts_from_the_start(kind: Kind) {
    let pool = kind.pool(1);
    let naps = pool.with().timeout(Duration::from_millis(250)).chunk(1).map(nap, [100; 6]);
    assert_eq!(naps.unwrap(), [100; 6], "time in the queue does not count");
}

fn timeout_in_a_chunk(kind: Kind) {
    let pool = kind.pool(1);
    let limited = pool.with().timeout(Duration::from_millis(250)).chunk(100);
    let results = limited.map_each(nap, [100, 100, 100, 100, 2_000, 100, 100]).unwrap();
    let failed: Vec<_> = (0..7).filter(|n| results[*n].is_err()).collect();
    assert_eq!(failed, [4], "the item's own time counts: {results:?}");
}

fn cancel_what_runs(kind: Kind) {
    let pool = kind.pool(1);
    let running = pool.apply_async(nap, 2_000).unwrap();
    let next = pool.apply_async(square, 3).unwrap();
    while pool.stats().workers[0].running.is_none() {
        nap(1);
    }
    let start = Instant::now();
    assert!(running.cancel());
    assert!(is_cancelled(running.get_timeout(LONG)));
    assert_eq!(next.get_timeout(LONG).unwrap(), 9);
    assert!(start.elapsed() < Duration::from_millis(1_000), "{:?}", start.elapsed());
}

/// A thread that takes too long is left alone: its caller hears of the timeout in time, another
/// thread takes its place, and what it does it does to the end, for nobody.
fn a_thread_is_left_behind(kind: Kind) {
    static ENDED: AtomicU32 = AtomicU32::new(0);
    fn dawdle(millis: u64) {
        nap(millis);
        ENDED.fetch_add(1, Ordering::SeqCst);
    }
    if kind != Kind::Threads {
        return;
    }
    let pool = kind.pool(1);
    let start = Instant::now();
    let late = pool.with().timeout(Duration::from_millis(30)).apply(dawdle, 400);
    assert!(matches!(late, Err(Error::Task(TaskError::Timeout))));
    let cancelled = pool.apply_async(dawdle, 400).unwrap();
    wait_until("it runs", || pool.stats().workers.iter().any(|worker| worker.running.is_some()));
    cancelled.cancel();
    assert!(matches!(cancelled.get_timeout(LONG), Err(Error::Task(TaskError::Cancelled))));
    assert_eq!(pool.apply(square, 3).unwrap(), 9, "another thread");
    assert_eq!((pool.workers(), ENDED.load(Ordering::SeqCst)), (1, 0));
    assert!(start.elapsed() < Duration::from_millis(400));
    drop(pool);
    wait_until("both ends", || ENDED.load(Ordering::SeqCst) == 2);
}
