//! Results that are waited for, watched, awaited and cancelled.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use mp_pool::{Error, TaskError, Wait, as_completed, wait_for};

use crate::calls::{nap, picky, square};
use crate::life::is_cancelled;
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
    ("futures_polled_by_hand", futures_polled_by_hand),
    ("futures_of_a_pool_that_ends", futures_of_a_pool_that_ends),
    ("completion_in_time", completion_in_time),
    ("callbacks_in_order", callbacks_in_order),
    ("join_waits_for_callbacks", join_waits_for_callbacks),
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

/// A waker that counts.
#[derive(Default)]
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn futures_polled_by_hand(kind: Kind) {
    let pool = kind.pool(1);
    let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let mut future = pin!(pool.apply_async(nap, 200).unwrap());
    for counter in [&first, &first, &second, &second] {
        let waker = Waker::from(Arc::clone(counter));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(second.0.load(Ordering::SeqCst), 0);
    crate::wait_until("the waker of the last poll", || second.0.load(Ordering::SeqCst) > 0);
    assert_eq!(second.0.load(Ordering::SeqCst), 1, "once, however often it was polled");
    let waker = Waker::noop();
    match future.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(Ok(200)) => {}
        other => panic!("{other:?}"),
    }
    // A future that is dropped leaves its task alone, and nobody is woken for it.
    let dropped = pool.apply_async(nap, 30).unwrap();
    let other = dropped.clone();
    assert!(pin!(dropped).poll(&mut Context::from_waker(waker)).is_pending());
    assert_eq!(other.get_timeout(LONG).unwrap(), 30);
}

fn futures_of_a_pool_that_ends(kind: Kind) {
    let pool = kind.pool(2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut tasks: Vec<_> =
            (0..200).map(|x| tokio::spawn(pool.apply_async(square, x).unwrap())).collect();
        for (x, task) in (0..).zip(tasks.drain(..)) {
            assert_eq!(task.await.unwrap().unwrap(), x * x);
        }
        let cut = tokio::spawn(pool.apply_async(nap, 2_000).unwrap());
        let many = tokio::spawn(pool.map_async(nap, [2_000; 50]).unwrap());
        tokio::task::yield_now().await;
        drop(pool);
        assert!(is_cancelled(cut.await.unwrap()));
        assert!(is_cancelled(many.await.unwrap()));
    });
}

fn completion_in_time(kind: Kind) {
    let pool = kind.pool(1);
    let mut order = as_completed([1, 400].map(|millis| pool.apply_async(nap, millis).unwrap()));
    assert_eq!(order.next_timeout(LONG).unwrap().unwrap().get().unwrap(), 1);
    let soon = Duration::from_millis(20);
    assert!(matches!(order.next_timeout(soon), Err(Error::TimedOut)));
    assert_eq!(order.len(), 1, "it can still be waited for");
    assert_eq!(order.next().unwrap().get().unwrap(), 400);
    assert!(order.next_timeout(soon).unwrap().is_none());
    let done = [2, 3].map(|x| pool.apply_async(square, x).unwrap());
    assert_eq!(wait_for(&done, Wait::All, None), [0, 1]);
    assert_eq!(as_completed(done.iter().cloned()).count(), 2, "what was there before");
    assert_eq!(as_completed::<u64>([]).count(), 0);
    assert!(wait_for::<u64>(&[], Wait::First, None).is_empty());
    let (one, two) = (pool.apply_async(nap, 1).unwrap(), pool.apply_async(nap, 3_000).unwrap());
    let cancelled = two.clone();
    one.on_ready(move |_| _ = cancelled.cancel());
    let failed = as_completed([two, one]).filter(|result| !result.successful().unwrap());
    assert_eq!(failed.count(), 1, "a cancelled one has come, too");
}

fn callbacks_in_order(kind: Kind) {
    let pool = kind.pool(1);
    let (sender, calls) = channel();
    let results = [pool.apply_async(nap, 3_000).unwrap(), pool.apply_async(square, 3).unwrap()];
    for (at, result) in results.iter().enumerate() {
        for name in ["a", "b", "c"] {
            let sender = sender.clone();
            result.on_ready(move |value| sender.send((at, name, value.ok())).unwrap());
        }
    }
    assert!(results[0].cancel());
    let mut heard: Vec<_> = (0..6).map(|_| calls.recv_timeout(LONG).unwrap()).collect();
    heard.sort_by_key(|call| call.0); // Stable.
    let expected = [(0, None), (1, Some(9))];
    let expected = expected.map(|(at, value)| ["a", "b", "c"].map(|name| (at, name, value)));
    assert_eq!(heard, expected.concat(), "exactly once each");
}

fn join_waits_for_callbacks(kind: Kind) {
    let pool = kind.pool(1);
    let done = Arc::new(AtomicU32::new(0));
    for _ in 0..3 {
        let done = Arc::clone(&done);
        pool.apply_async(square, 1).unwrap().on_ready(move |_| {
            nap(30);
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    pool.close();
    pool.join_timeout(LONG).unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 3);
}
