//! Tasks that are ended, or asked to end, before their time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool, TaskError, should_stop};

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
    ("soft_timeout_in_a_chunk", soft_timeout_in_a_chunk),
    ("soft_then_hard", soft_then_hard),
    ("limits_of_the_pool", limits_of_the_pool),
    ("retries_of_the_overdue", retries_of_the_overdue),
    ("only_that_worker_ends", only_that_worker_ends),
    ("deserted_threads_begin_nothing", deserted_threads_begin_nothing),
    ("deserted_threads_end", deserted_threads_end),
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

fn soft_timeout_in_a_chunk(kind: Kind) {
    fn eager(x: u64) -> (bool, bool) {
        let at_once = should_stop();
        (at_once, x == 1 || patient(x))
    }
    let pool = kind.pool(1);
    let limited = pool.with().soft_timeout(Duration::from_millis(40)).chunk(4);
    let asked = limited.map(eager, 0..4).unwrap();
    assert_eq!(asked, [(false, true); 4], "each item has the whole time");
}

fn soft_then_hard(kind: Kind) {
    let pool = kind.pool(1);
    let limited = pool.with().soft_timeout(Duration::from_millis(20));
    let limited = limited.timeout(Duration::from_millis(120));
    assert!(limited.apply(patient, 0).unwrap(), "who listens, ends in his own way");
    let deaf = limited.apply(nap, 2_000);
    assert!(matches!(deaf, Err(Error::Task(TaskError::Timeout))), "{deaf:?}");
}

fn limits_of_the_pool(kind: Kind) {
    let pool = kind.start(|builder| {
        let builder = builder.workers(1).timeout(Duration::from_millis(150));
        builder.soft_timeout(Duration::from_millis(20)).retries(1)
    });
    assert!(pool.apply(patient, 0).unwrap());
    let start = Instant::now();
    let late = pool.apply(nap, 2_000);
    assert!(matches!(late, Err(Error::Task(TaskError::Timeout))), "{late:?}");
    assert!(start.elapsed() >= Duration::from_millis(300), "it was tried twice");
    let longer = pool.with().timeout(Duration::from_secs(10)).apply(nap, 200);
    assert_eq!(longer.unwrap(), 200, "a call may say otherwise");
}

fn retries_of_the_overdue(kind: Kind) {
    /// Sleeps too long the first time.
    fn later(path: std::path::PathBuf) -> bool {
        let first = std::fs::File::create_new(path).is_ok();
        nap(if first { 2_000 } else { 0 });
        first
    }
    let path = std::env::temp_dir().join(format!("mp-pool-late-{}-{kind:?}", std::process::id()));
    let pool = kind.pool(1);
    let limited = pool.with().timeout(Duration::from_millis(100)).retries(1);
    assert!(!limited.apply(later, path.clone()).unwrap());
    std::fs::remove_file(path).unwrap();
}

fn pids(pool: &Pool) -> HashSet<u32> {
    pool.stats().workers.iter().filter_map(|worker| worker.pid).collect()
}

/// A time limit, and cancelling what runs, cost one worker each.
fn only_that_worker_ends(kind: Kind) {
    let pool = kind.pool(3);
    let others = [1_000, 1_000].map(|millis| pool.apply_async(nap, millis).unwrap());
    wait_until("both run", || {
        pool.stats().workers.iter().filter(|worker| worker.running.is_some()).count() == 2
    });
    for limit in [60, 60_000].map(Duration::from_millis) {
        let before = pids(&pool);
        let third = pool.with().timeout(limit).apply_async(nap, 10_000).unwrap();
        wait_until("it runs, or is over", || {
            let busy =
                pool.stats().workers.iter().filter(|worker| worker.running.is_some()).count();
            busy == 3 || third.ready()
        });
        if third.wait_timeout(Duration::from_millis(300)) {
            assert!(matches!(third.get(), Err(Error::Task(TaskError::Timeout))));
        } else {
            assert!(third.cancel());
        }
        wait_until("another one in its place, and only there", || {
            let same = pids(&pool).intersection(&before).count();
            pool.stats().workers.len() == 3 && (kind == Kind::Threads || same == 2)
        });
    }
    assert!(others.iter().all(|other| other.get_timeout(LONG).is_ok()));
    assert_eq!(pool.stats().restarts, 0, "the pool ended them itself");
}

/// A thread that was left behind does what it is at to the end, and begins nothing else: neither
/// what lies in its lane nor the rest of its chunk, which another one does.
fn deserted_threads_begin_nothing(kind: Kind) {
    static BEGUN: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
    fn note(x: usize) {
        BEGUN[x].fetch_add(1, Ordering::SeqCst);
        nap(if x.is_multiple_of(4) { 120 } else { 1 });
    }
    if kind != Kind::Threads {
        return;
    }
    let pool = kind.pool(1);
    let limited = pool.with().timeout(Duration::from_millis(40)).chunk(8);
    let results = limited.map_each(note, 0..16).unwrap();
    let failed: Vec<_> = (0..16).filter(|x| results[*x].is_err()).collect();
    assert_eq!(failed, [0, 4, 8, 12]);
    let queued: Vec<_> = (16..40).map(|x| pool.apply_async(note, x).unwrap()).collect();
    let chunk = pool.with().chunk(24).map_async(note, 40..64).unwrap();
    wait_until("the first one", || BEGUN[16].load(Ordering::SeqCst) == 1);
    pool.terminate();
    assert!(queued.iter().all(|result| is_cancelled(result.get_timeout(LONG))));
    assert!(is_cancelled(chunk.get_timeout(LONG)));
    drop(pool);
    wait_until("the end of all threads", || threads() == 0);
    let begun: Vec<_> = BEGUN.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert_eq!(begun[..17], [1; 17], "each once");
    assert_eq!(begun[17..].iter().sum::<u32>(), 0, "{begun:?}");
}

/// How many threads of pools there are in this process.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("mp-pool"))).count()
}

/// Whatever a thread was at when it was left behind, a long argument or a long result, it ends.
fn deserted_threads_end(kind: Kind) {
    if kind != Kind::Threads {
        return;
    }
    let text = "0123456789".repeat(20_000);
    for round in 0..30 {
        let pool = kind.start(|builder| builder.workers(2).lane_bytes(4096));
        let echo = |text: String| text;
        let results: Vec<_> =
            (0..4).map(|_| pool.apply_async(echo, text.clone()).unwrap()).collect();
        std::thread::sleep(Duration::from_micros(20 * round));
        match round % 3 {
            0 => pool.terminate(),
            1 => results.iter().for_each(|result| _ = result.cancel()),
            _ => drop(pool),
        }
        assert!(results.iter().all(|result| match result.get_timeout(LONG) {
            Ok(back) => back == text,
            result => is_cancelled(result),
        }));
    }
    wait_until("the end of all threads", || threads() == 0);
}
