//! Workers that die.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mp_pool::{Error, ExitStatus, Pool, TaskError};

use crate::calls::{nap, square};
use crate::{Case, Kind, LONG, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("killed_in_a_task", killed_in_a_task),
    ("killed_in_a_chunk", killed_in_a_chunk),
    ("killed_in_a_stream", killed_in_a_stream),
    ("exit_and_abort", exit_and_abort),
    ("killed_again_and_again", killed_again_and_again),
    ("retries", retries),
    ("restart_limit", restart_limit),
    ("killed_with_large_values_on_the_way", killed_with_large_values_on_the_way),
    ("memory_limit", memory_limit),
    ("workers_end_with_the_pool", workers_end_with_the_pool),
    ("inner_pools_end_with_the_outer", inner_pools_end_with_the_outer),
    ("a_death_is_told_within_a_second", a_death_is_told_within_a_second),
    ("a_poison_task_cannot_loop", a_poison_task_cannot_loop),
    ("slow_deaths_are_no_storm", slow_deaths_are_no_storm),
    ("a_stopped_worker_meets_its_limit", a_stopped_worker_meets_its_limit),
];

pub(crate) fn kill(pid: u32, signal: i32) {
    let pidfd = mp_sys::pidfd::open(pid as i32);
    let _ = pidfd.and_then(|pidfd| mp_sys::pidfd::signal(pidfd, signal));
}

fn die(x: u64) -> u64 {
    if x == 13 {
        kill(std::process::id(), 9);
        nap(60_000);
    }
    x
}

fn killed_in_a_task(kind: Kind) {
    // C1
    let pool = kind.pool(2);
    let start = Instant::now();
    let results = pool.with().chunk(1).map_each(die, 0..100).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    check(results);
    assert_eq!(pool.workers(), 2);
    assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
    wait_until("the pool's full size", || pool.stats().workers.len() == 2);
    assert_eq!(pool.stats().restarts, 1);
}

fn check(results: Vec<Result<u64, TaskError>>) {
    for (x, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, x),
            Err(TaskError::WorkerDied { pid, status, task }) => {
                assert_eq!((x, task, status), (13, 13, ExitStatus::Signaled(9)));
                assert_ne!(pid, std::process::id());
            }
            Err(other) => panic!("{x}: {other}"),
        }
    }
}

fn killed_in_a_chunk(kind: Kind) {
    let pool = kind.pool(2);
    for chunk in [3, 10, 14, 1_000] {
        let results = pool.with().chunk(chunk).map_each(die, 0..100).unwrap();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        check(results);
    }
}

fn killed_in_a_stream(kind: Kind) {
    let pool = kind.pool(2);
    check(pool.imap(die, 0..100).collect());
    let mut failed = 0;
    for result in pool.with().chunk(7).imap_unordered(die, 0..100) {
        failed += u32::from(result.is_err());
    }
    assert_eq!(failed, 1);
}

fn exit_and_abort(kind: Kind) {
    // C8
    let pool = kind.pool(2);
    let ways: [(fn(()), ExitStatus); 3] = [
        (|()| std::process::exit(3), ExitStatus::Exited(3)),
        (|()| std::process::exit(0), ExitStatus::Exited(0)),
        (|()| std::process::abort(), ExitStatus::Signaled(6)),
    ];
    for (way, expected) in ways {
        match pool.apply(way, ()) {
            Err(Error::Task(TaskError::WorkerDied { status, .. })) => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

fn killed_again_and_again(kind: Kind) {
    let pool = kind.pool(2);
    for _ in 0..40 {
        let result = pool.apply(die, 13);
        assert!(matches!(result, Err(Error::Task(TaskError::WorkerDied { .. }))), "{result:?}");
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9, "a task's deaths are not the pool's fault");
}

fn retries(kind: Kind) {
    let pool = kind.pool(2);
    let directory = std::env::temp_dir().join(format!("mp-pool-{}-{kind:?}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    fn third_time((path, x): (std::path::PathBuf, u64)) -> u64 {
        if x == 5 {
            let file = std::fs::File::options().create(true).append(true).open(path);
            let mut file = file.unwrap();
            std::io::Write::write_all(&mut file, b"!").unwrap();
            if file.metadata().unwrap().len() < 3 {
                std::process::abort();
            }
        }
        x
    }
    for chunk in [1, 4, 20] {
        let path = directory.join(format!("{chunk}"));
        let items = (0..20).map(|x| (path.clone(), x));
        let results = pool.with().chunk(chunk).retries(2).map_each(third_time, items).unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let path = directory.join(format!("{chunk} again"));
        let items = (0..20).map(|x| (path.clone(), x));
        let results = pool.with().chunk(chunk).retries(1).map_each(third_time, items).unwrap();
        let failed: Vec<_> = (0..20).filter(|x| results[*x].is_err()).collect();
        assert_eq!(failed, [5]);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn restart_limit(kind: Kind) {
    let limit = Duration::from_secs(60);
    let pool = kind.start(|builder| builder.workers(1).restart_limit(3, limit));
    for _ in 0..3 {
        assert!(matches!(pool.apply(die, 13), Err(Error::Task(TaskError::WorkerDied { .. }))));
    }
    let last = pool.apply(die, 13);
    assert!(last.is_err());
    assert!(matches!(pool.apply(square, 1), Err(Error::Broken(_))));
}

fn killed_with_large_values_on_the_way(kind: Kind) {
    let pool = kind.start(|builder| builder.workers(2).lane_bytes(4096));
    fn echo(text: String) -> String {
        text
    }
    let text = "0123456789".repeat(100_000);
    for round in 0..15 {
        let results: Vec<_> =
            (0..4).map(|_| pool.apply_async(echo, text.clone()).unwrap()).collect();
        std::thread::sleep(Duration::from_micros(300 * round));
        if let Some(pid) = pool.stats().workers.first().and_then(|worker| worker.pid) {
            kill(pid, 9);
        }
        let failed = results.iter().filter(|result| match result.get_timeout(LONG) {
            Ok(back) => {
                assert_eq!(back, text);
                false
            }
            Err(Error::Task(TaskError::WorkerDied { .. })) => true,
            Err(other) => panic!("{other}"),
        });
        assert!(failed.count() <= 1);
    }
}

fn memory_limit(kind: Kind) {
    fn eat(_: u64) -> u32 {
        std::mem::forget(std::hint::black_box(vec![1u8; 30 << 20]));
        std::process::id()
    }
    let pool = kind.start(|builder| builder.workers(1).memory_per_worker(100 << 20));
    let pids: Vec<u32> = pool.with().chunk(1).map(eat, 0..12).unwrap();
    let different: HashSet<_> = pids.iter().collect();
    assert!((3..=8).contains(&different.len()), "{different:?}");
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

pub(crate) fn all_go(pids: &[u32]) {
    let start = Instant::now();
    while !pids.iter().all(|pid| is_gone(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(1), "a worker outlives its pool");
        nap(2);
    }
}

fn workers_end_with_the_pool(kind: Kind) {
    let pids = |pool: &Pool| -> Vec<u32> {
        pool.stats().workers.iter().filter_map(|worker| worker.pid).collect()
    };
    for end in 0..4 {
        let pool = kind.pool(3);
        let workers = pids(&pool);
        assert_eq!(workers.len(), 3);
        let _running = pool.map_async(nap, [10_000; 3]).unwrap();
        match end {
            0 => pool.terminate(),
            1 => pool.kill(),
            _ => drop(pool),
        }
        all_go(&workers);
    }
}

fn inner_pools_end_with_the_outer(kind: Kind) {
    fn outer(path: std::path::PathBuf) {
        let pool = Pool::new(2).unwrap();
        let pids: Vec<_> = pool.stats().workers.iter().filter_map(|worker| worker.pid).collect();
        std::fs::write(&path, format!("{} {}.", pids[0], pids[1])).unwrap();
        pool.map(nap, [60_000; 2]).unwrap();
    }
    let path = std::env::temp_dir().join(format!("mp-pool-{}-{kind:?}", std::process::id()));
    let pool = kind.pool(1);
    let result = pool.apply_async(outer, path.clone()).unwrap();
    let start = Instant::now();
    let inner: Vec<u32> = loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(text) = text.strip_suffix('.') {
            break text.split(' ').map(|pid| pid.parse().unwrap()).collect();
        }
        assert!(start.elapsed() < LONG && !result.ready(), "the inner pool never came");
        nap(2);
    };
    kill(pool.stats().workers[0].pid.unwrap(), 9);
    assert!(matches!(result.get_timeout(LONG), Err(Error::Task(TaskError::WorkerDied { .. }))));
    all_go(&inner);
    std::fs::remove_file(path).unwrap();
}

fn a_death_is_told_within_a_second(kind: Kind) {
    let pool = kind.pool(2);
    let pair = pool.with().chunk(1).map_async(nap, [60_000, 5]).unwrap();
    wait_until("one runs", || {
        pool.stats().workers.iter().any(|w| w.running > Some(Duration::from_millis(50)))
    });
    let worker = pool.stats().workers.into_iter().find(|worker| worker.running.is_some()).unwrap();
    let start = Instant::now();
    kill(worker.pid.unwrap(), 15);
    match pair.get_timeout(LONG) {
        Err(Error::Task(TaskError::WorkerDied { pid, status, task })) => {
            assert_eq!((pid, status, task), (worker.pid.unwrap(), ExitStatus::Signaled(15), 0));
        }
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    wait_until("full size", || pool.stats().workers.iter().filter(|w| w.ready).count() == 2);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let counts: Vec<u64> = pool.stats().workers.iter().map(|worker| worker.restarts).collect();
    assert_eq!(counts[worker.index], 1);
    assert_eq!(counts.iter().sum::<u64>(), 1);
}

fn a_poison_task_cannot_loop(kind: Kind) {
    let pool = kind.pool(2);
    for (before, retries) in [(0, 0), (1, 3)] {
        let result = pool.with().retries(retries).apply(die, 13);
        assert!(matches!(result, Err(Error::Task(TaskError::WorkerDied { .. }))), "{result:?}");
        assert_eq!(pool.stats().restarts, before + 1 + u64::from(retries));
    }
}

fn slow_deaths_are_no_storm(kind: Kind) {
    let period = Duration::from_millis(50);
    let pool = kind.start(|builder| builder.workers(1).restart_limit(1, period));
    for _ in 0..3 {
        assert!(pool.apply(die, 13).is_err());
        std::thread::sleep(2 * period);
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

/// A worker that somebody stops, with a task and in the midst of nothing.
fn a_stopped_worker_meets_its_limit(kind: Kind) {
    let pool = kind.pool(1);
    let limited = pool.with().timeout(Duration::from_millis(300));
    let result = limited.apply_async(nap, 100).unwrap();
    wait_until("it runs", || pool.stats().workers[0].running.is_some());
    kill(pool.stats().workers[0].pid.unwrap(), 19);
    let result = result.get_timeout(LONG);
    assert!(matches!(result, Err(Error::Task(TaskError::Timeout))), "{result:?}");
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
    let stopped = pool.stats().workers[0].pid.unwrap();
    kill(stopped, 19);
    drop(pool);
    all_go(&[stopped]);
}
