//! The life of a pool and of its workers.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool, TaskError, keep, should_stop, with_kept, worker_index};

use crate::calls::{nap, square};
use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("settings_that_make_no_sense", settings_that_make_no_sense),
    ("default_size", default_size),
    ("close_and_join", close_and_join),
    ("close_early", close_early),
    ("terminate_resolves_everything", terminate_resolves_everything),
    ("terminate_often", terminate_often),
    ("drop_resolves_everything", drop_resolves_everything),
    ("close_and_cancel", close_and_cancel),
    ("initializer", initializer),
    ("initializer_fails", initializer_fails),
    ("state_is_kept", state_is_kept),
    ("worker_indices", worker_indices),
    ("soft_timeout", soft_timeout),
    ("ask_to_stop", ask_to_stop),
    ("timeout", timeout),
    ("timeout_counts_from_the_start", timeout_counts_from_the_start),
    ("timeout_in_a_chunk", timeout_in_a_chunk),
    ("cancel_what_runs", cancel_what_runs),
    ("recycling", recycling),
    ("recycling_at_all_ends", recycling_at_all_ends),
    ("resize", resize),
    ("idle_workers_go_and_come", idle_workers_go_and_come),
    ("stats", stats),
    ("balance", balance),
    ("threads_share_a_pool", threads_share_a_pool),
    ("nested", nested),
    ("many_workers", many_workers),
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

fn is_cancelled<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Task(TaskError::Cancelled)))
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

fn initializer(kind: Kind) {
    // test_pool_initializer
    fn prepare((a, b): (u32, String)) {
        keep(format!("{b}{a}"));
    }
    let pool = kind.start(|builder| builder.workers(2).initializer(prepare, (7, "x".into())));
    for _ in 0..10 {
        let kept = pool.apply(|()| with_kept(|text: &mut String| text.clone()), ()).unwrap();
        assert_eq!(kept.as_deref(), Some("x7"));
    }
}

fn initializer_fails(kind: Kind) {
    // C9
    fn panics(text: String) {
        panic!("cannot prepare {text}");
    }
    fn fails(text: String) -> Result<(), String> {
        Err(format!("cannot prepare {text}"))
    }
    fn dies(_: String) {
        std::process::exit(7);
    }
    let start = Instant::now();
    let ways = if kind == Kind::Threads { 2 } else { 3 };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    for way in 0..ways {
        let pool = kind.start(|builder| match way {
            0 => builder.workers(2).initializer(panics, "x".into()),
            1 => builder.workers(2).initializer(fails, "x".into()),
            _ => builder.workers(2).initializer(dies, "x".into()),
        });
        let error = match pool.apply_async(square, 1) {
            Ok(result) => match result.get_timeout(LONG) {
                Err(Error::Task(TaskError::Broken(reason))) => reason,
                other => panic!("{other:?}"),
            },
            Err(Error::Broken(reason)) => reason,
            Err(other) => panic!("{other:?}"),
        };
        if way < 2 {
            assert!(error.contains("cannot prepare x"), "{error}");
        }
        assert!(pool.stats().restarts <= 5);
        assert!(matches!(pool.apply(square, 1), Err(Error::Broken(_))));
    }
    std::panic::set_hook(hook);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

fn state_is_kept(kind: Kind) {
    fn count(_: u64) -> u64 {
        if with_kept(|count: &mut u64| *count += 1).is_none() {
            keep(1u64);
        }
        with_kept(|count: &mut u64| *count).unwrap()
    }
    let pool = kind.pool(1);
    assert_eq!(pool.map(count, 0..10).unwrap(), (1..=10).collect::<Vec<_>>());
    assert_eq!(keep(5u8), Some(5), "there is no keeping outside of a worker");
    assert_eq!(with_kept(|_: &mut u8| ()), None);
}

fn worker_indices(kind: Kind) {
    let pool = kind.pool(3);
    let index = |_: u64| {
        nap(5);
        worker_index().unwrap()
    };
    let indices: HashSet<usize> =
        pool.with().chunk(1).map(index, 0..60).unwrap().into_iter().collect();
    assert!(indices.iter().all(|index| *index < 3), "{indices:?}");
    assert_eq!(worker_index(), None);
    assert!(!should_stop());
}

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

fn recycling(kind: Kind) {
    // test_pool_worker_lifetime
    fn who(_: u64) -> (u32, String) {
        (std::process::id(), format!("{:?}", std::thread::current().id()))
    }
    let pool = kind.start(|builder| builder.workers(2).tasks_per_worker(3));
    let ids: Vec<_> = pool.with().chunk(1).map(who, 0..30).unwrap();
    let mut counts = std::collections::HashMap::new();
    ids.into_iter().for_each(|id| *counts.entry(id).or_insert(0) += 1);
    assert!(counts.values().all(|tasks| *tasks <= 3), "{counts:?}");
    assert!(counts.len() >= 10);
    assert_eq!(pool.stats().restarts, 0, "nobody died before his time");
}

fn recycling_at_all_ends(kind: Kind) {
    // C32
    for (tasks, end) in [(1, 0), (2, 1), (3, 2), (1, 1), (2, 2)] {
        let pool = kind.start(|builder| builder.workers(3).tasks_per_worker(tasks));
        let results: Vec<_> = (0..60).map(|x| pool.apply_async(square, x).unwrap()).collect();
        match end {
            0 => pool.close(),
            1 => {
                nap(3);
                pool.terminate();
            }
            _ => drop(pool),
        }
        for result in results {
            match result.get_timeout(LONG) {
                Ok(_) => (),
                result => assert!(end > 0 && is_cancelled(result)),
            }
        }
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what} never came");
        nap(2);
    }
}

fn ready(pool: &Pool) -> usize {
    pool.stats().workers.iter().filter(|worker| worker.ready).count()
}

fn resize(kind: Kind) {
    let pool = kind.pool(1);
    pool.grow(2);
    assert_eq!(pool.workers(), 3);
    wait_until("growth", || ready(&pool) == 3);
    let results = pool.map_async(nap, [5; 60]).unwrap();
    pool.shrink(2);
    wait_until("the end of two", || pool.stats().workers.len() == 1);
    assert_eq!(results.get_timeout(LONG).unwrap(), [5; 60], "nothing was lost");
    pool.shrink(5);
    assert_eq!(pool.workers(), 1, "one stays");
    pool.grow(1);
    wait_until("new growth", || ready(&pool) == 2);
    assert_eq!(pool.stats().restarts, 0);
}

fn idle_workers_go_and_come(kind: Kind) {
    let pool = kind.start(|builder| builder.workers(2).idle_timeout(Duration::from_millis(50)));
    pool.map(square, 0..10).unwrap();
    wait_until("the end of the idle", || pool.stats().workers.is_empty());
    assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
    assert!(!pool.stats().workers.is_empty());
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
    let many = if kind == Kind::Spawn { 40 } else { 200 };
    let pool = kind.pool(many);
    assert_eq!(pool.map(square, 0..1_000).unwrap().len(), 1_000);
    assert_eq!(pool.stats().workers.len(), many);
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
