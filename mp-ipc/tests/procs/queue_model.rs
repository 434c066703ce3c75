//! Queues against a `VecDeque`, over processes of which some die or are paused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Queue, pipe};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde::{Deserialize, Serialize};

use crate::chance::nap;
use crate::child::Child;
use crate::trial;

const LONG: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("processes_with_deaths_are_a_vecdeque", model)]
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Act {
    Put(u32, usize),
    Get,
    Len,
}

#[derive(Clone, Debug)]
enum Step {
    Do(usize, Act),
    KillIdle(usize),
    KillAtWork(usize, Act),
    Pause(usize),
    PauseAtWork(usize, Act),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        3 => (any::<u32>(), prop_oneof![0_usize..300, Just(5_000)])
            .prop_map(|(seed, len)| Act::Put(seed, len)),
        3 => Just(Act::Get),
        1 => Just(Act::Len),
    ];
    let step = prop_oneof![
        10 => (0_usize..3, act.clone()).prop_map(|(actor, act)| Step::Do(actor, act)),
        1 => (0_usize..3).prop_map(Step::KillIdle),
        2 => (0_usize..3, act.clone()).prop_map(|(actor, act)| Step::KillAtWork(actor, act)),
        1 => (0_usize..3).prop_map(Step::Pause),
        2 => (0_usize..3, act).prop_map(|(actor, act)| Step::PauseAtWork(actor, act)),
    ];
    prop::collection::vec(step, 0..60)
}

/// What an actor answers: the length after a put, or nothing when full; the item; the length.
type Answer = Result<Option<(u32, Vec<u8>)>, usize>;

fn actor(queue: &Queue<(u32, Vec<u8>)>) -> (Child, Connection<Act, Answer>) {
    let (here, there) = pipe::<Act, Answer>().unwrap();
    let here = std::cell::Cell::new(Some(here));
    let child = Child::run(|| {
        drop(here.take());
        while let Ok(act) = there.recv() {
            let answer = match act {
                Act::Put(seed, len) => match queue.try_put((seed, vec![seed as u8; len])) {
                    Ok(()) => Ok(Some((seed, Vec::new()))),
                    Err(_) => Ok(None),
                },
                Act::Get => Ok(queue.try_get().ok()),
                Act::Len => Err(queue.len()),
            };
            if there.send(&answer).is_err() {
                return;
            }
        }
    });
    drop(there);
    (child, here.into_inner().unwrap())
}

type Model = VecDeque<(u32, Vec<u8>)>;

/// Does to the model what has been done to the queue.
fn agree(model: &mut Model, act: Act, answer: Answer) -> Result<(), TestCaseError> {
    match (act, answer) {
        (Act::Put(seed, len), Ok(Some(_))) => {
            model.push_back((seed, vec![seed as u8; len]));
            prop_assert!(model.len() <= 6);
        }
        (Act::Put(..), Ok(None)) => prop_assert!(!model.is_empty()),
        (Act::Get, Ok(item)) => prop_assert_eq!(item, model.pop_front()),
        (Act::Len, Err(len)) => prop_assert_eq!(len, model.len()),
        (_, answer) => prop_assert!(false, "{:?}", answer),
    }
    Ok(())
}

/// Three processes do what they are told, one at a time, and some of them die, idle or at work.
fn model() {
    let mut runner =
        TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&steps(), |steps| {
            let queue = Queue::<(u32, Vec<u8>)>::with_capacity(6, 4096).unwrap();
            let mut model = Model::new();
            let mut actors: Vec<_> = (0..3).map(|_| actor(&queue)).collect();
            for step in steps {
                match step {
                    Step::Do(at, act) => {
                        actors[at].1.send(&act).unwrap();
                        let answer = actors[at].1.recv_timeout(LONG).unwrap();
                        agree(&mut model, act, answer)?;
                    }
                    Step::PauseAtWork(at, act) => {
                        actors[at].1.send(&act).unwrap();
                        nap(50);
                        actors[at].0.signal(libc::SIGSTOP);
                        // Whoever it is, and with whatever lock in its hands: others do not wait.
                        let begin = Instant::now();
                        let len = queue.len();
                        prop_assert!(begin.elapsed() < LONG);
                        prop_assert!(len.abs_diff(model.len()) <= 1, "{len}");
                        actors[at].0.signal(libc::SIGCONT);
                        let answer = actors[at].1.recv_timeout(LONG).unwrap();
                        agree(&mut model, act, answer)?;
                    }
                    Step::KillIdle(at) => actors[at] = actor(&queue),
                    Step::KillAtWork(at, act) => {
                        actors[at].1.send(&act).unwrap();
                        nap(50);
                        actors[at].0.kill();
                        actors[at] = actor(&queue);
                        // It has happened, or it has not.
                        match (act, queue.len() as isize - model.len() as isize) {
                            (_, 0) => {}
                            (Act::Put(seed, len), 1) => {
                                model.push_back((seed, vec![seed as u8; len]));
                            }
                            (Act::Get, -1) => drop(model.pop_front()),
                            (act, change) => prop_assert!(false, "{:?} gave {}", act, change),
                        }
                    }
                    Step::Pause(at) => {
                        actors[at].0.signal(libc::SIGSTOP);
                        prop_assert_eq!(queue.len(), model.len());
                        actors[at].0.signal(libc::SIGCONT);
                    }
                }
            }
            let rest: Vec<_> = queue.drain().map(Result::unwrap).collect();
            prop_assert_eq!(rest, Vec::from(model));
            Ok(())
        })
        .unwrap();
}
