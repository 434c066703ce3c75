//! Workers killed at random, and what broken twins of a pool do there.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

use mp_pool::{Error, ExitStatus, TaskError};

use crate::calls::square;
use crate::deaths::kill;
use crate::{Case, Kind, LONG, Random, race_time};

pub(crate) const CASES: &[Case] =
    &[("random_kills", random_kills), ("random_kills_see_broken_twins", broken_twins)];

/// Kills random workers while tasks of all kinds run. Every task ends exactly once, and only
/// those fail that a worker had begun when it was killed.
fn random_kills(kind: Kind) {
    let goal = std::env::var("MP_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(u64::MAX);
    kills(kind, square, LONG, (race_time(), goal));
}

/// As a pool that mixes up its results.
fn wrong(x: u64) -> u64 {
    if x == 77 { x } else { x * x }
}

/// As a pool in which one death takes several tasks.
fn fragile(x: u64) -> u64 {
    if x % 20 == 7 {
        kill(std::process::id(), 9);
    }
    x * x
}

/// As a pool that forgets a task.
fn forgotten(x: u64) -> u64 {
    if x == 77 {
        std::thread::sleep(LONG);
    }
    x * x
}

/// All that the kills look for is seen.
fn broken_twins(kind: Kind) {
    let loud = take_hook();
    set_hook(Box::new(|_| ()));
    let (patience, time) = (Duration::from_secs(1), Duration::from_millis(500));
    let twins: [fn(u64) -> u64; 3] = [wrong, fragile, forgotten];
    let seen = twins.map(|twin| {
        let race = || kills(kind, twin, patience, (time, u64::MAX));
        (0..5).any(|_| catch_unwind(AssertUnwindSafe(race)).is_err())
    });
    set_hook(loud);
    assert_eq!(seen, [true; 3]);
}

fn kills(kind: Kind, square: fn(u64) -> u64, patience: Duration, (time, goal): (Duration, u64)) {
    let pool = kind.pool(3);
    let start = Instant::now();
    let (mut kills, mut tasks, mut failed, mut random) = (0u64, 0u64, 0u64, Random::new(0));
    while start.elapsed() < time && kills < goal {
        let chunk = [1, 1, 3, 50][random.below(4) as usize];
        let len = 200;
        let maps = [0, 1].map(|_| pool.with().chunk(chunk).map_async(square, 0..len).unwrap());
        let results: Vec<_> = (0..len).map(|x| pool.apply_async(square, x).unwrap()).collect();
        let mut round = 0;
        for _ in 0..1 + random.below(4) {
            let workers = pool.stats().workers;
            if !workers.is_empty()
                && let Some(pid) = workers[random.below(workers.len() as u64) as usize].pid
            {
                kill(pid, 9);
                kills += 1;
                round += 1;
            }
            std::thread::sleep(Duration::from_micros(random.below(2_000)));
        }
        let mut lost = 0;
        for (x, result) in (0..).zip(results) {
            match result.get_timeout(patience) {
                Ok(value) => assert_eq!(value, x * x),
                Err(Error::Task(TaskError::WorkerDied { status, .. })) => {
                    assert_eq!(status, ExitStatus::Signaled(9));
                    lost += 1;
                }
                Err(other) => panic!("{x}: {other}"),
            }
        }
        for map in maps {
            match map.get_timeout(patience) {
                Ok(values) => assert_eq!(values, (0..len).map(|x| x * x).collect::<Vec<_>>()),
                Err(Error::Task(TaskError::WorkerDied { .. })) => lost += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(lost <= round, "{lost} tasks lost to {round} kills");
        failed += lost;
        tasks += 3 * len;
    }
    eprintln!("{kills} kills, {tasks} tasks, {failed} of them lost");
}
