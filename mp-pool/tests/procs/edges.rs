//! Where one thing meets another.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_ipc::Fd;
use mp_pool::{Error, Pool, TaskError, worker_index};

use crate::calls::{nap, square};
use crate::life::wait_until;
use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("closed_while_it_maps", closed_while_it_maps),
    ("workers_are_pinned", workers_are_pinned),
    ("an_idle_pool_sleeps", an_idle_pool_sleeps),
    ("descriptors_in_a_dying_chunk", descriptors_in_a_dying_chunk),
    ("a_thread_is_left_behind", a_thread_is_left_behind),
];

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

fn descriptors_in_a_dying_chunk(kind: Kind) {
    if kind == Kind::Threads {
        return; // They do not die.
    }
    fn open(x: u32) -> Fd {
        if x == 2 {
            std::process::abort();
        }
        Fd(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()))
    }
    let pool = kind.pool(1);
    let results = pool.with().chunk(5).map_each(open, 0..5).unwrap();
    // Descriptors travel when the whole chunk is done, so those of the first two died with it.
    for result in &results[..2] {
        assert!(matches!(result, Err(TaskError::Codec(_))), "{result:?}");
    }
    assert!(matches!(results[2], Err(TaskError::WorkerDied { task: 2, .. })));
    assert!(results[3..].iter().all(Result::is_ok));
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
