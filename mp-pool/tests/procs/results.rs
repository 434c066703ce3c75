//! Results that are waited for, watched, awaited and cancelled.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mp_pool::{Error, TaskError, Wait, as_completed, wait_for};

use crate::calls::{nap, picky, square};
use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("get_timeout", get_timeout),
    ("successful", successful),
    ("map_async_callbacks", map_async_callbacks),
    ("futures", futures),
    ("completion", completion),
    ("callbacks_delay_nothing", callbacks_delay_nothing),
    ("progress", progress),
    ("cancel_what_waits", cancel_what_waits),
];

fn get_timeout(kind: Kind) {
    // test_async_timeout
    let pool = kind.pool(1);
    let result = pool.apply_async(nap, 300).unwrap();
    assert!(matches!(result.try_get(), Err(Error::NotReady)));
    let soon = Duration::from_millis(20);
    assert!(matches!(result.get_timeout(soon), Err(Error::TimedOut)));
    assert!(!result.wait_timeout(soon));
    assert_eq!(result.get_timeout(LONG).unwrap(), 300, "it went on");
}

fn successful(kind: Kind) {
    let pool = kind.pool(1);
    let result = pool.apply_async(nap, 100).unwrap();
    assert!(matches!(result.successful(), Err(Error::NotReady)));
    result.wait();
    assert!(result.successful().unwrap());
    let result = pool.map_async(picky, 1..4).unwrap();
    result.wait();
    assert!(!result.successful().unwrap());
}

fn map_async_callbacks(kind: Kind) {
    // test_map_async_callbacks, test_async_error_callback
    let pool = kind.pool(2);
    let (sender, calls) = channel();
    let good = sender.clone();
    let result = pool.map_async(square, [1, 2, 3]).unwrap();
    result.on_ready(move |values| good.send(values.unwrap().iter().sum::<u64>()).unwrap());
    assert_eq!(calls.recv_timeout(LONG).unwrap(), 14);
    let bad = sender.clone();
    let result = pool.apply_async(picky, 3).unwrap();
    result.wait();
    result.on_ready(move |value| bad.send(u64::from(value.is_err())).unwrap());
    assert_eq!(calls.recv_timeout(LONG).unwrap(), 1, "also when it is ready already");
}

fn futures(kind: Kind) {
    let pool = kind.pool(2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let one = pool.apply_async(nap, 30).unwrap();
        let two = pool.apply_async(square, 9).unwrap();
        let failed = pool.apply_async(picky, 3).unwrap();
        assert_eq!((two.await.unwrap(), one.await.unwrap()), (81, 30));
        assert!(matches!(failed.await, Err(Error::Task(TaskError::Panicked(_)))));
    });
}

fn completion(kind: Kind) {
    let pool = kind.pool(3);
    pool.with().chunk(1).map(nap, [20, 20, 20]).unwrap(); // All have come to life.
    let naps = [300, 5, 150].map(|millis| pool.apply_async(nap, millis).unwrap());
    let first = wait_for(&naps, Wait::First, Some(LONG));
    assert!(first.contains(&1), "{first:?}");
    let order: Vec<u64> = as_completed(naps.clone()).map(|result| result.get().unwrap()).collect();
    assert_eq!(order, [5, 150, 300]);
    assert_eq!(wait_for(&naps, Wait::All, Some(LONG)), [0, 1, 2]);
    let mixed = [pool.apply_async(nap, 5_000).unwrap(), pool.apply_async(picky, 6).unwrap()];
    assert_eq!(wait_for(&mixed, Wait::FirstFailure, Some(LONG)), [1]);
    let none = wait_for(&mixed[..1], Wait::All, Some(Duration::from_millis(10)));
    assert!(none.is_empty());
    assert!(mixed[0].cancel());
}

fn callbacks_delay_nothing(kind: Kind) {
    // C29
    let pool = kind.pool(1);
    let (started, begun) = channel();
    let result = pool.apply_async(square, 2).unwrap();
    result.on_ready(move |_| {
        started.send(()).unwrap();
        nap(1_500);
    });
    begun.recv_timeout(LONG).unwrap();
    let start = Instant::now();
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
    assert!(start.elapsed() < Duration::from_secs(1), "a callback that blocks delays no result");
    drop(result);
    drop(pool);
    let pool = kind.pool(1);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = pool.apply_async(square, 2).unwrap();
    result.on_ready(|_| panic!("a callback that panics"));
    let (sender, second) = channel();
    result.on_ready(move |value| sender.send(value.unwrap()).unwrap());
    assert_eq!(second.recv_timeout(LONG).unwrap(), 4, "harms nobody");
    std::panic::set_hook(hook);
}

fn progress(kind: Kind) {
    let pool = kind.pool(2);
    let (sender, seen) = channel();
    let call = pool.with().chunk(10).on_progress(move |progress| {
        let _ = sender.send(progress);
    });
    call.map(square, 0..100).unwrap();
    let mut last = 0;
    while last < 100 {
        let progress = seen.recv_timeout(LONG).unwrap();
        assert!(progress.done > last && progress.total.is_none_or(|total| total == 100));
        last = progress.done;
    }
}

fn cancel_what_waits(kind: Kind) {
    let pool = kind.pool(1);
    let running = pool.apply_async(nap, 300).unwrap();
    let waiting: Vec<_> = (0..50).map(|x| pool.apply_async(square, x).unwrap()).collect();
    for result in waiting.iter().step_by(2) {
        assert!(result.cancel());
        assert!(result.ready());
    }
    assert_eq!(running.get_timeout(LONG).unwrap(), 300);
    for (x, result) in (0..).zip(&waiting) {
        match result.get_timeout(LONG) {
            Ok(value) => assert_eq!((x % 2, value), (1, x * x)),
            Err(Error::Task(TaskError::Cancelled)) => assert_eq!(x % 2, 0),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(!running.cancel(), "it is over");
}
