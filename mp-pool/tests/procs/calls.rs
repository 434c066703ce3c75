//! What the calls do. Where CPython's own tests have a case, its name stands beside ours.

use std::time::{Duration, Instant};

use mp_pool::{Error, TaskError};

use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("apply", apply),
    ("apply_async", apply_async),
    ("map", map),
    ("map_chunk_sizes", map_chunk_sizes),
    ("map_of_nothing", map_of_nothing),
    ("map_each_tells_all", map_each_tells_all),
    ("map_no_failfast", map_no_failfast),
    ("starmap", starmap),
    ("panic_is_a_value", panic_is_a_value),
    ("balance", balance),
    ("threads_share_a_pool", threads_share_a_pool),
];

pub(crate) fn square(x: u64) -> u64 {
    x * x
}

pub(crate) fn nap(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

pub(crate) fn picky(x: u64) -> u64 {
    assert!(!x.is_multiple_of(3), "no {x}");
    x
}

fn apply(kind: Kind) {
    // test_apply
    let pool = kind.pool(2);
    assert_eq!(pool.apply(square, 12).unwrap(), 144);
    assert_eq!(
        pool.apply(|(a, b): (u32, String)| format!("{a}{b}"), (1, "x".into())).unwrap(),
        "1x"
    );
    assert_eq!(pool.apply(|()| 7u8, ()).unwrap(), 7);
}

fn apply_async(kind: Kind) {
    // test_async
    let pool = kind.pool(2);
    let results: Vec<_> = (0..200).map(|x| pool.apply_async(square, x).unwrap()).collect();
    for (x, result) in (0..).zip(results) {
        assert_eq!(result.get_timeout(LONG).unwrap(), x * x);
        assert_eq!(result.get().unwrap(), x * x, "as often as you like");
    }
}

fn map(kind: Kind) {
    // test_map
    let pool = kind.pool(3);
    for len in [1, 2, 3, 10, 100, 1_000] {
        let squares: Vec<u64> = (0..len).map(square).collect();
        assert_eq!(pool.map(square, 0..len).unwrap(), squares);
    }
    let all: Vec<u64> = pool.map(square, (0..1_000).filter(|x| x % 2 == 0)).unwrap();
    assert_eq!(all.len(), 500, "an input that does not know its length");
}

fn map_chunk_sizes(kind: Kind) {
    // test_map_chunksize
    let pool = kind.pool(2);
    let squares: Vec<u64> = (0..50).map(square).collect();
    for chunk in [1, 2, 7, 50, 1_000, usize::MAX] {
        assert_eq!(pool.with().chunk(chunk).map(square, 0..50).unwrap(), squares);
        let each: Result<Vec<u64>, _> = pool.with().chunk(chunk).imap(square, 0..50).collect();
        assert_eq!(each.unwrap(), squares, "chunks of {chunk}");
    }
    assert!(matches!(pool.with().chunk(0).map(square, 0..50), Err(Error::Invalid(_))));
}

fn map_of_nothing(kind: Kind) {
    // test_empty_iterable
    let pool = kind.pool(1);
    assert_eq!(pool.map(square, []).unwrap(), []);
    assert_eq!(pool.with().chunk(7).map(square, []).unwrap(), []);
    assert!(pool.map_async(square, []).unwrap().ready());
    assert!(pool.imap(square, []).next().is_none());
    assert!(pool.imap_unordered(square, []).next().is_none());
}

fn map_each_tells_all(kind: Kind) {
    let pool = kind.pool(2);
    for chunk in [1, 4, 100] {
        let results = pool.with().chunk(chunk).map_each(picky, 1..20).unwrap();
        for (x, result) in (1..20).zip(results) {
            match result {
                Ok(value) => assert_eq!(value, x),
                Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, format!("no {x}")),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

fn map_no_failfast(kind: Kind) {
    // test_map_no_failfast
    let pool = kind.pool(2);
    fn slow(x: u64) {
        assert!(x > 0);
        nap(150);
    }
    let start = Instant::now();
    let result = pool.with().chunk(1).map(slow, 0..5);
    assert!(matches!(result, Err(Error::Task(TaskError::Panicked(_)))));
    assert!(start.elapsed() >= Duration::from_millis(300), "all others ran first");
}

fn starmap(kind: Kind) {
    // test_starmap
    let pool = kind.pool(2);
    let pairs: Vec<(u64, u64)> = (0..100).map(|x| (x, x + 1)).collect();
    let products = pool.map(|(a, b): (u64, u64)| a * b, pairs).unwrap();
    assert_eq!(products[99], 99 * 100);
}

fn panic_is_a_value(kind: Kind) {
    // test_traceback
    let pool = kind.pool(1);
    let before = pool.stats().workers[0].pid;
    let Err(Error::Task(TaskError::Panicked(panic))) = pool.apply(picky, 3) else { panic!() };
    assert_eq!(panic.message, "no 3");
    assert!(panic.location.unwrap().contains("calls.rs"));
    assert_eq!(pool.apply(picky, 4).unwrap(), 4);
    assert_eq!(pool.stats().workers[0].pid, before, "the worker goes on");
}

fn balance(kind: Kind) {
    // A task behind a long one does not wait for it while another worker is free.
    let pool = kind.pool(2);
    pool.map(nap, [0; 8]).unwrap();
    let long = pool.apply_async(nap, 1_000).unwrap();
    let short: Vec<_> = (0..100).map(|_| pool.apply_async(nap, 1).unwrap()).collect();
    let start = Instant::now();
    assert!(short.iter().all(|result| result.get_timeout(LONG).is_ok()));
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(!long.ready());
}

fn threads_share_a_pool(kind: Kind) {
    let pool = kind.pool(2);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..60 {
                    let x = thread * 100 + round;
                    assert_eq!(pool.apply(square, x).unwrap(), x * x);
                    if round % 20 == 0 {
                        assert_eq!(pool.map(square, 0..50).unwrap().len(), 50);
                    }
                }
            });
        }
    });
}
