//! Sequences of calls against a model that does one after the other.
//!
//! The model knows of each call what its results are, and which ends it may have instead because
//! of what was done to it: a kill can hit any task, a time limit only one that takes too long, and
//! so on. Everything ends, exactly once, and nothing is mixed up.

use std::time::Duration;

use mp_pool::{AsyncResult, Error, TaskError};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::calls::{nap, square};
use crate::{Case, Kind, LONG, race_time};

pub(crate) const CASES: &[Case] = &[("sequences_against_a_model", sequences_against_a_model)];

#[derive(Clone, Debug)]
enum Act {
    Apply,
    Map {
        len: u64,
        chunk: usize,
        retries: u32,
    },
    Stream {
        len: u64,
        chunk: usize,
    },
    /// A task that takes longer than it may.
    Overdue,
    /// Of the calls that are open.
    Cancel(usize),
    /// Of the workers.
    Kill(usize),
    Grow,
    Shrink,
    Pause(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Apply),
        3 => (0..120u64, 1..40usize, 0..2u32)
            .prop_map(|(len, chunk, retries)| Act::Map { len, chunk, retries }),
        2 => (0..60u64, 1..9usize).prop_map(|(len, chunk)| Act::Stream { len, chunk }),
        1 => Just(Act::Overdue),
        2 => any::<usize>().prop_map(Act::Cancel),
        3 => any::<usize>().prop_map(Act::Kill),
        1 => Just(Act::Grow),
        1 => Just(Act::Shrink),
        2 => (0..1_500u64).prop_map(Act::Pause),
    ]
}

/// A call that was made, and what is known of it.
enum Call {
    One { result: AsyncResult<u64>, x: u64, cancelled: bool },
    Many { result: AsyncResult<Vec<u64>>, len: u64, cancelled: bool },
    Overdue(AsyncResult<u64>),
}

fn sequences_against_a_model(kind: Kind) {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    let config = Config {
        cases: 6 * race_time().as_secs() as u32,
        failure_persistence,
        ..Config::default()
    };
    let strategy = (prop::collection::vec(act(), 1..40), prop::option::of(1..5u64), 0..3u8);
    let outcome = TestRunner::new(config).run(&strategy, |(acts, recycle, end)| {
        play(kind, acts, recycle, end);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn play(kind: Kind, acts: Vec<Act>, recycle: Option<u64>, end: u8) {
    let pool = kind.start(|builder| match recycle {
        Some(tasks) => builder.workers(2).tasks_per_worker(tasks),
        None => builder.workers(2),
    });
    let mut calls = Vec::new();
    let mut kills = 0u64;
    for (step, act) in (0..).zip(acts) {
        match act {
            Act::Apply => {
                let result = pool.apply_async(square, step).unwrap();
                calls.push(Call::One { result, x: step, cancelled: false });
            }
            Act::Map { len, chunk, retries } => {
                let with = pool.with().chunk(chunk).retries(retries);
                let result = with.map_async(square, 0..len).unwrap();
                calls.push(Call::Many { result, len, cancelled: false });
            }
            Act::Stream { len, chunk } => {
                let mut count = 0;
                for (x, result) in pool.with().chunk(chunk).imap(square, 0..len).enumerate() {
                    let x = x as u64;
                    count += 1;
                    match result {
                        Ok(value) => assert_eq!(value, x * x),
                        Err(TaskError::WorkerDied { task, .. }) => {
                            assert!(kills > 0);
                            assert_eq!(task, x);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                assert_eq!(count, len);
            }
            Act::Overdue => {
                let limited = pool.with().timeout(Duration::from_millis(10));
                calls.push(Call::Overdue(limited.apply_async(nap, 300).unwrap()));
            }
            Act::Cancel(choice) if !calls.is_empty() => {
                let at = choice % calls.len();
                match &mut calls[at] {
                    Call::One { result, cancelled, .. } => *cancelled |= result.cancel(),
                    Call::Many { result, cancelled, .. } => *cancelled |= result.cancel(),
                    Call::Overdue(_) => {}
                }
            }
            Act::Kill(choice) => {
                let workers = pool.stats().workers;
                let pid = workers.get(choice % workers.len().max(1)).and_then(|worker| worker.pid);
                if let Some(pid) = pid
                    && let Ok(pidfd) = mp_sys::pidfd::open(pid as i32)
                {
                    kills += u64::from(mp_sys::pidfd::signal(pidfd, 9).is_ok());
                }
            }
            Act::Cancel(_) => {}
            Act::Grow if pool.workers() < 4 => pool.grow(1),
            Act::Grow => {}
            Act::Shrink => pool.shrink(1),
            Act::Pause(micros) => std::thread::sleep(Duration::from_micros(micros)),
        }
    }
    match end {
        0 => pool.close(),
        1 => pool.terminate(),
        _ => {}
    }
    let mut lost = 0;
    for call in calls {
        let (outcome, may_be_cancelled) = match call {
            Call::One { result, x, cancelled } => {
                let outcome = result.get_timeout(LONG);
                (outcome.map(|value| assert_eq!(value, x * x)), cancelled)
            }
            Call::Many { result, len, cancelled } => {
                let outcome = result.get_timeout(LONG);
                let check = |values: Vec<u64>| {
                    assert_eq!(values, (0..len).map(square).collect::<Vec<_>>());
                };
                (outcome.map(check), cancelled)
            }
            Call::Overdue(result) => match result.get_timeout(LONG) {
                Err(Error::Task(TaskError::Timeout)) => continue,
                outcome => (outcome.map(|_| panic!("it was overdue")), false),
            },
        };
        match outcome {
            Ok(()) => {}
            Err(Error::Task(TaskError::Cancelled)) => assert!(may_be_cancelled || end == 1),
            Err(Error::Task(TaskError::WorkerDied { .. })) => lost += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(lost <= kills, "{lost} calls lost to {kills} kills");
    if end != 2 {
        pool.join_timeout(LONG).unwrap();
    }
}
