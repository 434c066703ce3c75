//! Anything that one may do with children, in any order, against what must then be true of each.

use std::time::{Duration, Instant};

use mp_process::{Child, Error, ExitStatus, Process, Stdio, active_children};
use mp_sys::signal::{self, Disposition};
use proptest::prelude::*;

use crate::strangers::each;
use crate::{METHODS, SOON};

pub(crate) const TRIALS: &[(&str, fn())] = &[("any_order_of_calls", any_order_of_calls)];

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    Value(u32),
    Exit(i32),
    Panic,
    Sleep,
}

#[derive(Clone, Debug)]
enum Action {
    Start { method: usize, job: Job, daemon: bool },
    On { child: usize, call: Call },
    ActiveChildren,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Signal(i32),
    Join,
    JoinAtMost(u64),
    IsAlive,
    Status,
    Drop,
}

fn action() -> impl Strategy<Value = Action> {
    let job = prop_oneof![
        any::<u32>().prop_map(Job::Value),
        (0..256).prop_map(Job::Exit),
        Just(Job::Panic),
        Just(Job::Sleep),
        Just(Job::Sleep),
    ];
    // A program in the background ignores it, and so do its children.
    let interrupt = if signal::disposition(2) == Disposition::Ignored { 15 } else { 2 };
    let call = prop_oneof![
        2 => prop::sample::select(vec![interrupt, 9, 10, 15]).prop_map(Call::Signal),
        2 => Just(Call::Join),
        1 => (0..30_u64).prop_map(Call::JoinAtMost),
        1 => Just(Call::IsAlive),
        1 => Just(Call::Status),
        1 => Just(Call::Drop),
    ];
    let start = (0..METHODS.len(), job, any::<bool>());
    prop_oneof![
        3 => start.prop_map(|(method, job, daemon)| Action::Start { method, job, daemon }),
        6 => (0..8_usize, call).prop_map(|(child, call)| Action::On { child, call }),
        1 => Just(Action::ActiveChildren),
    ]
}

fn work((job, number): (u8, i64)) -> u32 {
    match job {
        0 => number as u32,
        1 => std::process::exit(number as i32),
        2 => panic!("on purpose"),
        _ => {
            std::thread::sleep(SOON * 10);
            0
        }
    }
}

/// A child, and what is known of it without asking it.
struct Known {
    /// `None` once it has been dropped.
    child: Option<Child<u32>>,
    name: String,
    job: Job,
    /// What has been sent before its end was seen: each of them may have ended it.
    sent: Vec<i32>,
    /// Its end, once seen: it does not change.
    seen: Option<ExitStatus>,
}

impl Known {
    fn start(number: usize, method: usize, job: Job, daemon: bool) -> Known {
        let name = format!("child {number}");
        let order = match job {
            Job::Value(value) => (0, i64::from(value)),
            Job::Exit(code) => (1, i64::from(code)),
            Job::Panic => (2, 0),
            Job::Sleep => (3, 0),
        };
        let process = Process::new(work, order).method(METHODS[method]).daemon(daemon);
        let child = process.name(&name).stderr(Stdio::Null).start().unwrap();
        assert_eq!((child.name(), child.is_daemon()), (&*name, daemon));
        Known { child: Some(child), name, job, sent: Vec::new(), seen: None }
    }

    /// Whether it runs for certain.
    fn must_run(&self) -> bool {
        self.job == Job::Sleep && self.sent.is_empty()
    }

    /// Whether this may be its end; then it is.
    fn ends(&mut self, status: ExitStatus) {
        let own = match self.job {
            Job::Value(_) => Some(0),
            Job::Exit(code) => Some(code),
            Job::Panic => Some(101),
            Job::Sleep => None,
        };
        let possible = match status {
            ExitStatus::Exited(code) => own == Some(code),
            ExitStatus::Signaled(signal) => self.sent.contains(&signal),
            ExitStatus::Unknown => false,
        };
        assert!(possible, "{status} of {:?} after {:?}", self.job, self.sent);
        assert_eq!(*self.seen.get_or_insert(status), status, "it has changed");
    }

    fn call(&mut self, call: Call) {
        let Some(child) = &self.child else { return };
        match call {
            Call::Signal(signal) => {
                child.signal(signal).unwrap();
                if self.seen.is_none() {
                    self.sent.push(signal);
                }
            }
            Call::Join if self.must_run() => self.join(SOON / 1000),
            Call::Join => self.join(SOON),
            Call::JoinAtMost(millis) => self.join(Duration::from_millis(millis)),
            Call::IsAlive => {
                assert!(child.is_alive() || !self.must_run());
                self.look();
            }
            Call::Status => self.look(),
            Call::Drop => self.child = None,
        }
    }

    fn join(&mut self, patience: Duration) {
        let Some(child) = &self.child else { return };
        let begin = Instant::now();
        match child.join_timeout(patience) {
            Err(Error::TimedOut) => {
                assert!(self.seen.is_none() && begin.elapsed() >= patience);
                assert!(patience < SOON, "{:?} after {:?} hangs", self.job, self.sent);
                return;
            }
            Ok(value) => assert_eq!(self.job, Job::Value(value)),
            Err(Error::Panicked(panic)) => {
                assert_eq!((self.job, &*panic.message), (Job::Panic, "on purpose"));
            }
            // A signal that came after the value had been sent changes nothing about the value.
            Err(Error::Exited(status)) => assert_eq!(child.status(), Some(status)),
            Err(error) => panic!("{error}"),
        }
        let status = child.status().expect("it has been joined");
        self.ends(status);
    }

    /// What it says without waiting.
    fn look(&mut self) {
        let Some(child) = &self.child else { return };
        let status = child.status();
        assert!(!(status.is_some() && child.is_alive()), "it has ended and lives");
        match status {
            None => assert!(self.seen.is_none(), "it lives again"),
            Some(status) => self.ends(status),
        }
    }
}

fn check_list(known: &[Known]) {
    let names: Vec<_> = active_children().iter().map(|child| child.name().to_string()).collect();
    let place = |name: &String| names.iter().position(|other| other == name);
    let places: Vec<_> = known.iter().filter_map(|known| place(&known.name)).collect();
    assert_eq!(places.len(), names.len(), "strangers are in {names:?}");
    assert!(places.is_sorted(), "not in the order of their starts: {names:?}");
    for known in known {
        let listed = place(&known.name).is_some();
        assert!(listed || !known.must_run(), "{} is not in {names:?}", known.name);
        assert!(!listed || known.seen.is_none(), "{} has ended: {names:?}", known.name);
    }
}

fn run(actions: Vec<Action>) {
    let mut all: Vec<Known> = Vec::new();
    for action in actions {
        let count = all.len();
        match action {
            Action::Start { method, job, daemon } => {
                all.push(Known::start(count, method, job, daemon));
            }
            Action::On { child, call } if count > 0 => all[child % count].call(call),
            Action::On { .. } => {}
            Action::ActiveChildren => check_list(&all),
        }
    }
    check_list(&all);
    for child in active_children() {
        child.kill().unwrap();
        child.wait_timeout(SOON).expect("it has been killed");
    }
    assert!(active_children().is_empty());
}

fn any_order_of_calls() {
    each(40, prop::collection::vec(action(), 1..25), run);
}
