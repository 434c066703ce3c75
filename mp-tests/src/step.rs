//! Death, and pause, between any two instructions.
//!
//! A [`Scene`] is a small world of shared objects with one operation to be done in it. The
//! harness builds the world, forks a child that does the operation under `ptrace`, lets it
//! execute exactly `k` instructions, and ends it there; then a survivor checks the world. For
//! every `k` from 0 to the end of the operation, or a sample of them.
//!
//! A system call is one instruction. Where it sleeps, the harness kills the sleeper too, and then
//! (in another round) has the scene wake it and steps on.
#![expect(unsafe_code, reason = "forks the child that is to be killed")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mp_sys::fork::{Fork, exit_now, fork};
use mp_sys::trace::{self, Seen};
use mp_sys::{Deadline, pidfd};

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

    /// Looks at the world while the child stands still in the middle of the operation: calls
    /// with deadlines must meet them, and what the child owns must stay its own.
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
    /// It stands still while the world is looked at, and then goes on to the end.
    Pause,
}

/// Which `k` are tried.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Every one.
    All,
    /// As many as the time allows, at least [`SAMPLE_MIN`], drawn from the seed.
    Sample(Duration, u64),
}

/// What a sample tries at the least, however slow the machine.
pub const SAMPLE_MIN: usize = 3;

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many instructions the operation has.
    pub instructions: usize,
    /// How many of them were tried.
    pub tried: usize,
    /// At how many the operation slept in a system call.
    pub asleep: usize,
    /// What was broken, with the `k` at which it was.
    pub broken: Vec<(usize, String)>,
}

/// A child that sleeps for this long in one instruction is taken to sleep in a system call.
const ASLEEP: Duration = Duration::from_millis(2);
/// An operation that is not done after this long is stuck.
const PATIENCE: Duration = Duration::from_secs(10);
/// The operation is woken after so many instructions, asleep or not.
const WAKE_EVERY: usize = 20_000;
/// An operation with more instructions than this runs in circles.
const INSTRUCTIONS_MAX: usize = 2_000_000;

/// Tries `build`'s operation with `fate` at the chosen instructions.
///
/// # Panics
///
/// If the operation does not come to an end when nobody disturbs it, or `ptrace` is not allowed.
pub fn run(build: &dyn Fn() -> Box<dyn Scene>, fate: Fate, choice: Choice) -> Report {
    let scene = build();
    let mut child = Traced::start(scene.as_ref());
    let instructions = child.steps(INSTRUCTIONS_MAX, scene.as_ref());
    assert!(child.ended, "the operation has more than {INSTRUCTIONS_MAX} instructions");
    let mut report = Report { instructions, ..Report::default() };
    if let Err(complaint) = scene.check(true) {
        report.broken.push((instructions, format!("undisturbed: {complaint}")));
        return report;
    }
    match choice {
        Choice::All => (0..=instructions).for_each(|k| attempt(build, fate, k, &mut report)),
        Choice::Sample(budget, seed) => {
            let end = Deadline::after(budget);
            let mut random = seed | 1;
            while report.tried < SAMPLE_MIN || !end.has_passed() {
                // xorshift: numbers that a seed repeats, and nothing more.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                attempt(build, fate, random as usize % (instructions + 1), &mut report);
            }
        }
    }
    report
}

fn attempt(build: &dyn Fn() -> Box<dyn Scene>, fate: Fate, k: usize, report: &mut Report) {
    let scene = build();
    let mut child = Traced::start(scene.as_ref());
    child.steps(k, scene.as_ref());
    report.tried += 1;
    report.asleep += usize::from(child.asleep);
    let result = match fate {
        Fate::Death => {
            let finished = child.ended;
            child.kill();
            scene.check(finished)
        }
        Fate::Pause => {
            let seen = scene.look_at_paused();
            child.finish(scene.as_ref());
            seen.and_then(|()| scene.check(true))
        }
    };
    if let Err(complaint) = result {
        report.broken.push((k, complaint));
    }
}

/// A child that is stepped through `Scene::act`.
struct Traced {
    pid: i32,
    ended: bool,
    asleep: bool,
}

impl Traced {
    fn start(scene: &dyn Scene) -> Traced {
        // SAFETY: the harness runs in a process with one thread (its callers are tests with
        // `harness = false`), so the child may do whatever the parent may.
        match unsafe { fork() }.expect("fork") {
            Fork::Child => {
                trace::offer().expect("ptrace is allowed");
                let result = catch_unwind(AssertUnwindSafe(|| scene.act()));
                exit_now(if result.is_ok() { 0 } else { 101 })
            }
            Fork::Parent(pid) => {
                let seen = trace::wait(pid, PATIENCE).expect("the child was just made");
                assert_eq!(seen, Seen::Stopped(19), "the child stands still at the start");
                Traced { pid, ended: false, asleep: false }
            }
        }
    }

    /// Lets the child execute up to `count` instructions, and says how many it did. Falling
    /// asleep in a system call as the last of them counts as having executed it.
    fn steps(&mut self, count: usize, scene: &dyn Scene) -> usize {
        for done in 0..count {
            // Under the harness's slow steps, a sleep that ends at a tick may never begin.
            if done % WAKE_EVERY == WAKE_EVERY - 1 {
                scene.wake();
            }
            trace::step(self.pid).expect("a stopped child");
            self.asleep = false;
            let end = Deadline::after(PATIENCE);
            loop {
                match trace::wait(self.pid, ASLEEP).expect("our child") {
                    Seen::Stopped(_) => break,
                    Seen::Exited(0) => {
                        self.ended = true;
                        return done;
                    }
                    Seen::Exited(_) | Seen::Signaled(_) => {
                        panic!("the operation failed by itself after {done} instructions")
                    }
                    Seen::Running if !self.sleeps() => {}
                    Seen::Running if done + 1 == count => {
                        self.asleep = true;
                        return count;
                    }
                    Seen::Running => {
                        scene.wake();
                        assert!(!end.has_passed(), "it sleeps for ever after {done} instructions");
                    }
                }
            }
        }
        count
    }

    /// Whether the kernel says that the child sleeps, rather than that it has not got a CPU.
    fn sleeps(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    }

    fn kill(&mut self) {
        if !self.ended {
            let child = pidfd::open(self.pid).expect("our child, not yet reaped");
            pidfd::signal(&child, 9).expect("our child, not yet reaped");
            while !matches!(trace::wait(self.pid, PATIENCE), Ok(Seen::Signaled(_)) | Err(_)) {}
            self.ended = true;
        }
    }

    /// Lets a paused child go on to its end.
    fn finish(&mut self, scene: &dyn Scene) {
        if self.ended {
            return;
        }
        let end = Deadline::after(PATIENCE);
        while self.asleep {
            // It stops once more, after the system call in which it sleeps.
            scene.wake();
            let seen = trace::wait(self.pid, ASLEEP).expect("our child");
            self.asleep = !matches!(seen, Seen::Stopped(_));
            assert!(!end.has_passed(), "the operation is not woken after its pause");
        }
        trace::detach(self.pid).expect("a stopped child");
        while !matches!(trace::wait(self.pid, ASLEEP), Ok(Seen::Exited(0))) {
            if self.sleeps() {
                scene.wake();
            }
            assert!(!end.has_passed(), "the operation does not end well after its pause");
        }
        self.ended = true;
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.kill();
    }
}
