//! The life of a pool.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool, TaskError};

use crate::calls::{nap, square};
use crate::{Case, Kind, LONG, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("settings_that_make_no_sense", settings_that_make_no_sense),
    ("default_size", default_size),
    ("close_and_join", close_and_join),
    ("close_early", close_early),
    ("closed_while_it_maps", closed_while_it_maps),
    ("terminate_resolves_everything", terminate_resolves_everything),
    ("terminate_often", terminate_often),
    ("drop_resolves_everything", drop_resolves_everything),
    ("close_and_cancel", close_and_cancel),
    ("nested", nested),
    ("many_workers", many_workers),
    ("an_idle_pool_sleeps", an_idle_pool_sleeps),
    ("stats", stats),
    ("stats_while_it_runs", stats_while_it_runs),
    ("the_method_is_what_was_said", the_method_is_what_was_said),
];

fn settings_that_make_no_sense(kind: Kind) {
    // test_make_pool, test_pool_maxtasksperchild_invalid
    assert!(matches!(kind.builder().workers(0).start(), Err(Error::Invalid(_))));
    assert!(matches!(kind.builder().tasks_per_worker(0).start(), Err(Error::Invalid(_))));
    assert!(matches!(kind.builder().window(0).start(), Err(Error::Invalid(_))));
    assert!(matches!(kind.builder().lane_bytes(5_000).start(), Err(Error::Invalid(_))));
}

fn default_size(kind: Kind) {
    let pool = kind.start(|builder| builder);
    assert_eq!(pool.workers(), mp_process::cpu_count());
}

fn close_and_join(kind: Kind) {
    let pool = kind.pool(2);
    assert!(matches!(pool.join(), Err(Error::StillOpen)));
    let results: Vec<_> = (0..20).map(|_| pool.apply_async(nap, 10).unwrap()).collect();
    pool.close();
    assert!(matches!(pool.apply_async(square, 1), Err(Error::Closed)));
    assert!(matches!(pool.map(square, [1]), Err(Error::Closed)));
    assert!(matches!(pool.imap(square, [1]).next(), Some(Err(TaskError::Closed))));
    pool.join_timeout(LONG).unwrap();
    assert!(results.iter().all(|result| result.successful().unwrap()));
    pool.close();
    pool.terminate();
    pool.join().unwrap();
}

fn close_early(kind: Kind) {
    // test_pool_worker_lifetime_early_close
    let pool = kind.start(|builder| builder.workers(3).tasks_per_worker(1));
    let results: Vec<_> = (0..6).map(|x| pool.apply_async(square, x).unwrap()).collect();
    pool.close();
    pool.join_timeout(LONG).unwrap();
    for (x, result) in (0..).zip(results) {
        assert_eq!(result.get_timeout(LONG).unwrap(), x * x);
    }
}

pub(crate) fn is_cancelled<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Task(TaskError::Cancelled)))
}

/// A map whose input ends the pool half-way.
fn closed_while_it_maps(kind: Kind) {
    let run = |end: fn(&Pool)| {
        let pool = kind.pool(2);
        let input = (0..100_000).inspect(|x| {
            if *x == 50_000 {
                end(&pool)
            }
        });
        let results = pool.map(square, input);
        pool.join_timeout(LONG).unwrap();
        results
    };
    assert_eq!(run(Pool::close).unwrap(), (0..100_000).map(square).collect::<Vec<_>>());
    for end in [Pool::close_and_cancel, Pool::terminate, Pool::kill] {
        assert!(matches!(run(end), Err(Error::Task(TaskError::Cancelled))));
    }
}

fn terminate_resolves_everything(kind: Kind) {
    // test_terminate, C15
    let pool = kind.pool(2);
    let millis = if kind == Kind::Threads { 300 } else { 60_000 };
    let results: Vec<_> = (0..50).map(|_| pool.apply_async(nap, millis).unwrap()).collect();
    let map = pool.map_async(nap, vec![millis; 100]).unwrap();
    let start = Instant::now();
    pool.terminate();
    assert!(results.into_iter().all(|result| is_cancelled(result.get_timeout(LONG))));
    assert!(is_cancelled(map.get_timeout(LONG)));
    pool.join_timeout(LONG).unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(matches!(pool.apply(square, 1), Err(Error::Closed)));
}

fn terminate_often(kind: Kind) {
    // C15, at moments that differ
    for round in 0..if kind == Kind::Spawn { 10 } else { 30 } {
        let pool = kind.pool(2);
        let results: Vec<_> = (0..100).map(|x| pool.apply_async(square, x).unwrap()).collect();
        std::thread::sleep(Duration::from_micros(round * 70));
        pool.terminate();
        for (x, result) in (0..).zip(results) {
            match result.get_timeout(LONG) {
                Ok(value) => assert_eq!(value, x * x),
                result => assert!(is_cancelled(result)),
            }
        }
        pool.join_timeout(LONG).unwrap();
    }
}

fn drop_resolves_everything(kind: Kind) {
    let pool = kind.pool(1);
    let result = pool.apply_async(nap, if kind == Kind::Threads { 100 } else { 60_000 }).unwrap();
    let mut results = pool.imap(square, 0..);
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(is_cancelled(result.get_timeout(LONG)));
    assert!(results.any(|result| result.is_err()), "the iteration ends, and says why");
}

fn close_and_cancel(kind: Kind) {
    // test_cancel_futures
    let pool = kind.pool(2);
    let results: Vec<_> = (0..50).map(|_| pool.apply_async(nap, 20).unwrap()).collect();
    nap(30);
    pool.close_and_cancel();
    pool.join_timeout(LONG).unwrap();
    let done = results.iter().filter(|result| result.successful().unwrap()).count();
    assert!((1..=10).contains(&done), "{done} were done");
}

fn nested(kind: Kind) {
    // C27
    fn outer(x: u64) -> u64 {
        let pool = Pool::builder().workers(2).start().unwrap();
        pool.map(square, 0..x).unwrap().iter().sum()
    }
    fn outer_of_threads(x: u64) -> u64 {
        let pool = Pool::builder().workers(2).threads().start().unwrap();
        pool.map(square, 0..x).unwrap().iter().sum()
    }
    let pool = kind.pool(2);
    assert_eq!(pool.map(outer_of_threads, [3, 4]).unwrap(), [5, 14]);
    assert_eq!(pool.map(outer, [3, 4]).unwrap(), [5, 14]);
}

fn many_workers(kind: Kind) {
    // test_large_pool
    let many = 200;
    let pool = kind.pool(many);
    assert_eq!(pool.map(square, 0..1_000).unwrap().len(), 1_000);
    assert_eq!(pool.stats().workers.len(), many);
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// How often the workers and the pool's thread have gone to sleep.
fn naps(pool: &Pool) -> u64 {
    let mut files: Vec<String> = (pool.stats().workers.iter().filter_map(|worker| worker.pid))
        .map(|pid| format!("/proc/{pid}/status"))
        .collect();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.starts_with("mp-pool") {
            files.push(path.join("status").display().to_string());
        }
    }
    let count = |file: &String| {
        let status = std::fs::read_to_string(file).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    files.iter().map(count).sum()
}

fn an_idle_pool_sleeps(kind: Kind) {
    let pool = kind.pool(2);
    assert_eq!(pool.map(square, 0..1_000).unwrap().len(), 1_000);
    // It comes to rest: a pool that looks around from time to time never has such a pause. (The
    // threads of earlier tests count too, so the first pause may be disturbed.)
    wait_until("rest", || {
        let before = naps(&pool);
        std::thread::sleep(Duration::from_millis(300));
        naps(&pool) == before
    });
}

fn stats(kind: Kind) {
    let pool = kind.pool(2);
    pool.with().chunk(1).map(nap, [3, 70, 1, 1]).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.target, stats.items, stats.waiting, stats.queued), (2, 4, 0, 0));
    assert_eq!(stats.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 4);
    let busy: Duration = stats.workers.iter().map(|worker| worker.busy).sum();
    assert!(busy >= Duration::from_millis(70), "{busy:?}");
    assert_eq!(stats.slowest[0].item, 1);
    assert!(stats.slowest[0].took >= Duration::from_millis(70));
    for worker in &stats.workers {
        assert_eq!(worker.pid.is_some(), kind != Kind::Threads);
        assert!(worker.memory.is_none_or(|bytes| bytes > 100_000), "{worker:?}");
    }
}

fn stats_while_it_runs(kind: Kind) {
    let pool = kind.pool(2);
    pool.with().chunk(1).map(nap, [1; 4]).unwrap();
    let results = pool.with().chunk(1).map_async(nap, vec![60; 302]).unwrap();
    wait_until("both run", || pool.stats().workers.iter().all(|w| w.running.is_some()));
    nap(20);
    let stats = pool.stats();
    let in_lanes: usize = stats.workers.iter().map(|worker| worker.queued).sum();
    assert_eq!(stats.queued, in_lanes);
    let open = stats.waiting + stats.queued;
    assert_eq!(stats.items + open as u64, 306, "{stats:?}");
    assert!(stats.waiting >= 302 - 2 * 128 && stats.queued > 100, "{stats:?}");
    for (index, worker) in stats.workers.iter().enumerate() {
        assert_eq!(worker.index, index);
        assert!(worker.ready && worker.running.is_some() && worker.restarts == 0);
        assert!(worker.running.unwrap() <= worker.busy, "{worker:?}");
        assert_eq!(worker.memory.is_some(), kind != Kind::Threads);
    }
    assert!(results.cancel());
    assert!(is_cancelled(results.get_timeout(LONG)));
    wait_until("full size", || pool.stats().workers.iter().filter(|w| w.ready).count() == 2);
    let rest: Vec<Duration> = pool.stats().workers.iter().map(|worker| worker.idle).collect();
    nap(50);
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.queued), (0, 0));
    for (worker, before) in stats.workers.iter().zip(rest) {
        assert!(worker.idle >= before + Duration::from_millis(50) && worker.running.is_none());
    }
    let took: Vec<Duration> = stats.slowest.iter().map(|slow| slow.took).collect();
    assert!(took.len() <= 5 && took.is_sorted_by(|one, next| one >= next), "{took:?}");
}

/// What a worker has of its parent says how it was made.
fn the_method_is_what_was_said(kind: Kind) {
    static MARK: AtomicU32 = AtomicU32::new(0);
    MARK.store(7, Ordering::SeqCst);
    let pool = kind.pool(1);
    let mark = pool.apply(|()| MARK.load(Ordering::SeqCst), ()).unwrap();
    let same_memory = matches!(kind, Kind::Fork | Kind::Threads);
    assert_eq!(mark, if same_memory { 7 } else { 0 });
    let parent = pool.apply(|()| std::os::unix::process::parent_id(), ()).unwrap();
    let me = std::process::id();
    match kind {
        Kind::Fork | Kind::Spawn => assert_eq!(parent, me),
        Kind::ForkServer => assert_ne!(parent, me),
        Kind::Threads => {}
    }
}
