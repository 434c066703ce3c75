//! The lives of workers that nobody kills.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool, TaskError, keep, should_stop, with_kept, worker_index};

use crate::calls::{nap, square};
use crate::life::is_cancelled;
use crate::{Case, Kind, LONG, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("initializer", initializer),
    ("initializer_fails", initializer_fails),
    ("state_is_kept", state_is_kept),
    ("worker_indices", worker_indices),
    ("workers_are_pinned", workers_are_pinned),
    ("recycling", recycling),
    ("recycling_at_all_ends", recycling_at_all_ends),
    ("resize", resize),
    ("idle_workers_go_and_come", idle_workers_go_and_come),
];

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

fn workers_are_pinned(kind: Kind) {
    let all = mp_sys::sched::affinity().unwrap();
    let sets: Vec<Vec<usize>> = all.iter().map(|cpu| vec![*cpu]).collect();
    let pool = kind.start(|builder| builder.workers(sets.len() + 1).cpus(sets.clone()));
    let seen = pool.with().chunk(1).map(
        |()| {
            nap(5);
            (worker_index().unwrap(), mp_sys::sched::affinity().unwrap())
        },
        vec![(); 20],
    );
    for (index, cpus) in seen.unwrap() {
        assert_eq!(cpus, sets[index % sets.len()], "worker {index}");
    }
    assert_eq!(mp_sys::sched::affinity().unwrap(), all, "the caller's own");
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
