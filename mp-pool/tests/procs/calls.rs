//! What the calls return. Where CPython's own tests have a case, its name stands beside ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mp_pool::{Error, TaskError, Wait, as_completed, wait_for};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("apply", apply),
    ("apply_async", apply_async),
    ("map", map),
    ("map_chunk_sizes", map_chunk_sizes),
    ("map_of_nothing", map_of_nothing),
    ("map_each_tells_all", map_each_tells_all),
    ("map_no_failfast", map_no_failfast),
    ("map_async_callbacks", map_async_callbacks),
    ("starmap", starmap),
    ("imap", imap),
    ("imap_unordered", imap_unordered),
    ("imap_is_lazy", imap_is_lazy),
    ("imap_next_timeout", imap_next_timeout),
    ("imap_goes_on_after_failures", imap_goes_on_after_failures),
    ("imap_dropped_midway", imap_dropped_midway),
    ("failing_input", failing_input),
    ("get_timeout", get_timeout),
    ("successful", successful),
    ("panic_is_a_value", panic_is_a_value),
    ("values_that_cannot_travel", values_that_cannot_travel),
    ("large_values", large_values),
    ("descriptors_travel", descriptors_travel),
    ("futures", futures),
    ("completion", completion),
    ("callbacks_delay_nothing", callbacks_delay_nothing),
    ("progress", progress),
    ("cancel_what_waits", cancel_what_waits),
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

fn starmap(kind: Kind) {
    // test_starmap
    let pool = kind.pool(2);
    let pairs: Vec<(u64, u64)> = (0..100).map(|x| (x, x + 1)).collect();
    let products = pool.map(|(a, b): (u64, u64)| a * b, pairs).unwrap();
    assert_eq!(products[99], 99 * 100);
}

fn imap(kind: Kind) {
    // test_imap
    let pool = kind.pool(2);
    let values: Vec<u64> = pool.imap(square, 0..300).map(Result::unwrap).collect();
    assert_eq!(values, (0..300).map(square).collect::<Vec<_>>());
    let naps: Vec<u64> = pool.imap(nap, [60, 5, 30]).map(Result::unwrap).collect();
    assert_eq!(naps, [60, 5, 30], "in the order of the input");
}

fn imap_unordered(kind: Kind) {
    // test_imap_unordered
    let pool = kind.pool(2);
    let mut values: Vec<u64> = pool.imap_unordered(square, 0..300).map(Result::unwrap).collect();
    values.sort_unstable();
    assert_eq!(values, (0..300).map(square).collect::<Vec<_>>());
    pool.map(nap, [0, 0]).unwrap();
    let naps: Vec<u64> = pool.imap_unordered(nap, [400, 5]).map(Result::unwrap).collect();
    assert_eq!(naps, [5, 400], "in the order of arrival");
}

fn imap_is_lazy(kind: Kind) {
    // C13
    let pool = kind.pool(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = (0u64..).inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.with().window(8).imap(square, endless);
    assert_eq!(results.next().unwrap().unwrap(), 0);
    nap(50);
    assert!(taken.load(Ordering::Relaxed) <= 9, "{taken:?}");
    assert_eq!(results.nth(999).unwrap().unwrap(), 1_000 * 1_000);
    assert!(taken.load(Ordering::Relaxed) <= 1_009, "{taken:?}");
    drop(results);
    pool.close();
    pool.join_timeout(LONG).unwrap();
}

fn imap_next_timeout(kind: Kind) {
    let pool = kind.pool(1);
    let mut results = pool.imap(nap, [300]);
    let soon = Duration::from_millis(20);
    assert!(matches!(results.next_timeout(soon), Err(Error::TimedOut)));
    assert_eq!(results.next_timeout(LONG).unwrap(), Some(300));
    assert_eq!(results.next_timeout(LONG).unwrap(), None);
}

fn imap_goes_on_after_failures(kind: Kind) {
    let pool = kind.pool(2);
    for chunk in [1, 5] {
        let results: Vec<_> = pool.with().chunk(chunk).imap(picky, 0..10).collect();
        let failed: Vec<_> = (0..10).filter(|x| results[*x].is_err()).collect();
        assert_eq!(failed, [0, 3, 6, 9]);
    }
}

fn imap_dropped_midway(kind: Kind) {
    let pool = kind.pool(2);
    for _ in 0..20 {
        let mut results = pool.imap_unordered(square, 0..);
        results.next().unwrap().unwrap();
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

fn failing_input(kind: Kind) {
    // test_map_handle_iterable_exception, test_imap_handle_iterable_exception
    fn until_seven() -> impl Iterator<Item = u64> {
        (0u64..).inspect(|x| assert!(*x < 7, "the input failed"))
    }
    let pool = kind.pool(2);
    let quietly = |f: &mut dyn FnMut()| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        std::panic::set_hook(hook);
        assert!(result.is_err());
    };
    quietly(&mut || drop(pool.map(square, until_seven())));
    quietly(&mut || drop(pool.with().chunk(2).map(square, until_seven())));
    let mut done = 0;
    quietly(&mut || {
        let mut results = pool.with().window(2).imap(square, until_seven());
        loop {
            results.next().unwrap().unwrap();
            done += 1;
        }
    });
    assert!(done >= 5, "{done} results came before the input failed");
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

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

/// A value that will not be packed, or will not be unpacked.
#[derive(Debug, PartialEq)]
enum Stubborn {
    Packing,
    Unpacking,
    Neither,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Stubborn::Packing => Err(serde::ser::Error::custom("will not be packed")),
            Stubborn::Unpacking => 1u8.serialize(serializer),
            Stubborn::Neither => 2u8.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stubborn, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => Ok(Stubborn::Neither),
            _ => Err(serde::de::Error::custom("will not be unpacked")),
        }
    }
}

fn values_that_cannot_travel(kind: Kind) {
    // C7; test_unpickleable_result (20 times), test_map_unplicklable
    let pool = kind.pool(2);
    fn take(_: Stubborn) -> u8 {
        5
    }
    fn give(which: u8) -> Stubborn {
        match which {
            0 => Stubborn::Packing,
            _ => Stubborn::Unpacking,
        }
    }
    for _ in 0..20 {
        for bad in [Stubborn::Packing, Stubborn::Unpacking] {
            let result = pool.apply(take, bad);
            assert!(matches!(result, Err(Error::Task(TaskError::Codec(_)))), "{result:?}");
        }
        for bad in [0, 1] {
            let result = pool.apply(give, bad);
            assert!(matches!(result, Err(Error::Task(TaskError::Codec(_)))), "{result:?}");
        }
    }
    for chunk in [1, 10] {
        let items = (0..10).map(|n| match n {
            3 => Stubborn::Packing,
            6 => Stubborn::Unpacking,
            _ => Stubborn::Neither,
        });
        let results = pool.with().chunk(chunk).map_each(take, items).unwrap();
        let failed: Vec<_> = (0..10).filter(|n| results[*n].is_err()).collect();
        assert_eq!(failed, [3, 6], "in chunks of {chunk}");
    }
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}

fn large_values(kind: Kind) {
    let pool = kind.start(|builder| builder.workers(2).lane_bytes(4096));
    fn reverse(mut text: String) -> String {
        text = text.chars().rev().collect();
        text
    }
    for len in [1_000, 4_000, 5_000, 100_000, 3_000_000] {
        let text: String = ('a'..='z').cycle().take(len).collect();
        assert_eq!(pool.apply(reverse, text.clone()).unwrap(), reverse(text), "{len} bytes");
    }
    let texts: Vec<String> = (0..40).map(|n| "abc".repeat(n * 100)).collect();
    let reversed: Vec<String> = texts.iter().cloned().map(reverse).collect();
    assert_eq!(pool.map(reverse, texts).unwrap(), reversed);
}

fn descriptors_travel(kind: Kind) {
    use std::io::{Read, Seek, Write};
    let pool = kind.pool(2);
    fn write((number, file): (u32, mp_ipc::Fd)) -> mp_ipc::Fd {
        let mut file = std::fs::File::from(file.0);
        write!(file, "{number};").unwrap();
        mp_ipc::Fd(file.into())
    }
    let path = std::env::temp_dir().join(format!("mp-pool-fd-{}-{kind:?}", std::process::id()));
    let open = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
    let mut file = open.unwrap();
    std::fs::remove_file(path).unwrap();
    for number in 0..20 {
        let back = pool.apply(write, (number, mp_ipc::Fd(file.try_clone().unwrap().into())));
        std::fs::File::from(back.unwrap().0).write_all(b"!").unwrap();
    }
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, (0..20).map(|n| format!("{n};!")).collect::<String>());
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
