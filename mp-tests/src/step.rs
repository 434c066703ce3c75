//! Death, and pause, between any two instructions.
//!
//! A [`Scene`] is a small world of shared objects with one operation to be done in it. The
//! harness builds the world, forks a child that does the operation under `ptrace`, lets it
//! execute exactly `k` instructions, and ends it there; then a survivor checks the world. For
//! every `k` from 0 to the end of the operation, or a sample of them.
//!
//! The operation is recorded once, and then run at its own speed to the instruction where it is
//! to be stopped (`route`). A run that does not come by there, because an address or a hash
//! differs, is repeated on the other ways that were seen before (the heap has some, for one), and
//! after those another way is recorded.
//!
//! A system call is one instruction. Where it sleeps, the harness kills the sleeper too, and then
//! (in another round) has the scene wake it and goes on.

use std::time::{Duration, Instant};

use mp_sys::{Deadline, sched};

use crate::route::Route;
use crate::traced::Traced;

/// A small world in which one operation is done, and may be cut off.
pub trait Scene {
    /// The operation. Runs in the child that is killed.
    fn act(&self);

    /// Wakes the operation where it sleeps, as another participant would. Runs in the survivor.
    fn wake(&self) {}

    /// Checks the world after the child's death, with deadlines. `finished` says whether the
    /// operation had come to its end.
    ///
    /// # Errors
    ///
    /// What is broken, or who is blocked.
    fn check(&self, finished: bool) -> Result<(), String>;

    /// Looks at the world while the child is stopped in the middle of the operation: calls with
    /// deadlines must meet them, and what the child owns must stay its own.
    ///
    /// # Errors
    ///
    /// What is broken, or who was late.
    fn look_at_paused(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What is done to the child after its `k` instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `SIGKILL`.
    Death,
    /// `SIGSTOP`; it goes on to its end when the world has been looked at.
    Pause,
}

/// Which `k` are tried.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Every `of`-th one, from the `part`-th on. An instruction that repeats itself (`rep movs`)
    /// is disturbed before its first round, and then at some rounds.
    Part {
        /// Less than `of`.
        part: usize,
        /// 1 for all `k`s.
        of: usize,
    },
    /// As many as the time allows, at least [`SAMPLE_MIN`], drawn from the seed.
    Sample(Duration, u64),
}

/// What a sample tries at the least, however slow the machine.
pub const SAMPLE_MIN: usize = 3;

/// So many ways of one operation are recorded.
const WAYS: usize = 8;

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many of the instructions were tried.
    pub tried: usize,
    /// At how many the operation slept in a system call.
    pub asleep: usize,
    /// How many more ways were recorded, since the runs did not go one that was known.
    pub recorded: usize,
    /// How many were come to in single steps, since the runs went another way even then.
    pub stepped: usize,
    /// How many complaints came late, and not again in a second attempt at the same instruction.
    pub late: usize,
    /// How many complaints came so late that somebody must have waited.
    pub blocked: usize,
    /// What was broken, or who was blocked, with the `k` at which it was.
    pub complaints: Vec<(usize, String)>,
}

/// Nobody who is not blocked takes so long for a look at the world.
const BLOCKED: Duration = Duration::from_secs(1);
/// A complaint that comes later than this may be the machine's fault.
const LATE: Duration = Duration::from_millis(400);

/// An operation whose way is known.
#[derive(Debug)]
pub struct Recording {
    build: fn() -> Box<dyn Scene>,
    /// The ways it has been seen to go, the last one first.
    routes: Vec<Route>,
}

impl Recording {
    /// Records `build`'s operation. From here on, the calling thread keeps to one processor: its
    /// children stop and go on several times as fast beside it.
    ///
    /// # Errors
    ///
    /// What is broken though nobody was disturbed.
    ///
    /// # Panics
    ///
    /// If the operation does not come to an end when nobody disturbs it, or `ptrace` is not
    /// allowed.
    pub fn new(build: fn() -> Box<dyn Scene>) -> Result<Recording, String> {
        let processors = sched::affinity().expect("at least one");
        sched::set_affinity(&processors[processors.len() - 1..]).expect("one of ours");
        // What is done only once in a process is done in this one.
        let scene = build();
        Traced::start(scene.as_ref()).finish();
        scene.check(true)?;
        Ok(Recording { build, routes: vec![record(build)?] })
    }

    /// How many instructions the operation has.
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.routes[0].len()
    }

    /// Disturbs the operation with `fate` at the chosen instructions.
    ///
    /// # Panics
    ///
    /// If the operation does not come to an end though it is woken.
    #[must_use]
    pub fn run(&mut self, fate: Fate, choice: Choice) -> Report {
        let mut report = Report::default();
        match choice {
            Choice::Part { part, of } => {
                let mut k = part;
                while k <= self.instructions() {
                    if self.routes[0].is_worth_a_try(k) {
                        self.attempt(fate, k, &mut report);
                    }
                    k += of;
                }
            }
            Choice::Sample(budget, seed) => {
                let over = Deadline::after(budget);
                let mut random = seed | 1;
                while report.tried < SAMPLE_MIN || !over.has_passed() {
                    // xorshift: numbers that a seed repeats, and nothing more.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let k = random as usize % (self.instructions() + 1);
                    self.attempt(fate, k, &mut report);
                }
            }
        }
        report
    }

    fn attempt(&mut self, fate: Fate, k: usize, report: &mut Report) {
        let mut found = self.disturb(fate, k, report);
        if let Err((elapsed, _)) = found
            && elapsed > LATE
        {
            // Who is blocked after k instructions is so again; who had no processor is not.
            found = self.disturb(fate, k, report);
            report.late += usize::from(found.is_ok());
        }
        report.tried += 1;
        if let Err((elapsed, complaint)) = found {
            report.blocked += usize::from(elapsed > BLOCKED);
            report.complaints.push((k, complaint));
        }
    }

    /// What is wrong after `fate` at `k`, and after how long that was found.
    fn disturb(
        &mut self,
        fate: Fate,
        k: usize,
        report: &mut Report,
    ) -> Result<(), (Duration, String)> {
        let mut scene = (self.build)();
        let mut child = Traced::start(scene.as_ref());
        let (mut way, known) = (0, self.routes.len());
        while !(k <= self.routes[way].len() && child.follow(&self.routes[way], k)) {
            drop(child);
            way += 1;
            if way == known
                && known < WAYS
                && let Ok(route) = record(self.build)
            {
                report.recorded += 1;
                self.routes.push(route);
            }
            scene = (self.build)();
            child = Traced::start(scene.as_ref());
            if way == self.routes.len() {
                report.stepped += 1;
                child.step(k);
                break;
            }
        }
        // The way that it went last is tried first.
        if way < self.routes.len() {
            self.routes[..=way].rotate_right(1);
        }
        report.asleep += usize::from(child.asleep);
        let start;
        let result = match fate {
            Fate::Death => {
                let finished = child.ended;
                child.kill();
                start = Instant::now();
                scene.check(finished)
            }
            Fate::Pause => {
                child.pause();
                start = Instant::now();
                let seen = scene.look_at_paused();
                child.go_on();
                seen.and_then(|()| scene.check(true))
            }
        };
        let failed = child.failed.then(|| "the operation failed by itself".to_owned());
        failed.map_or(result, Err).map_err(|complaint| (start.elapsed(), complaint))
    }
}

/// Steps through the operation when nobody disturbs it.
fn record(build: fn() -> Box<dyn Scene>) -> Result<Route, String> {
    let scene = build();
    let route = Traced::start(scene.as_ref()).record();
    scene.check(true).map(|()| route)
}
