//! A child that does an operation under `ptrace`.
#![expect(unsafe_code, reason = "forks the child that is to be killed")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mp_sys::fork::{Fork, exit_now, fork};
use mp_sys::trace::{self, Seen};
use mp_sys::{Deadline, pidfd};

use crate::bystander::state;
use crate::route::{Route, UNKNOWN};
use crate::step::Scene;

/// A child that sleeps for this long in one instruction is taken to sleep in a system call.
const ASLEEP: Duration = Duration::from_millis(1);
/// An operation that is not done after this long is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The operation is woken after so many instructions, asleep or not.
const WAKE_EVERY: usize = 20_000;
/// What a system call returns whose time is over: `-ETIMEDOUT`.
const TIMED_OUT: isize = -110;
/// An operation with more instructions than this runs in circles.
const INSTRUCTIONS_MAX: usize = 2_000_000;

const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

pub(crate) struct Traced<'a> {
    scene: &'a dyn Scene,
    pid: i32,
    pub(crate) ended: bool,
    /// It ended as no operation should.
    pub(crate) failed: bool,
    pub(crate) asleep: bool,
    returned: isize,
}

impl<'a> Traced<'a> {
    /// A child that stands still before the operation.
    pub(crate) fn start(scene: &'a dyn Scene) -> Traced<'a> {
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
                assert_eq!(seen, Seen::Stopped(SIGSTOP), "the child stands still at the start");
                Traced { scene, pid, ended: false, failed: false, asleep: false, returned: 0 }
            }
        }
    }

    /// Steps through the whole operation, and notes the way.
    pub(crate) fn record(&mut self) -> Route {
        let mut route = Route::default();
        route.push(self.address(), false);
        for done in 0..INSTRUCTIONS_MAX {
            let slept = self.step_once(done, false);
            if self.ended {
                assert!(!self.failed, "the operation fails when nobody disturbs it");
                return route;
            }
            route.push(self.address(), slept);
        }
        panic!("the operation has more than {INSTRUCTIONS_MAX} instructions")
    }

    /// Lets the child execute `k` instructions, most of them at its own speed. Falling asleep in
    /// the last of them counts as having executed it. Returns whether it has come to where the
    /// recorded run was: another run may take another way.
    pub(crate) fn follow(&mut self, route: &Route, k: usize) -> bool {
        for (from, to) in route.to(k) {
            let step = to == from + 1;
            if step {
                trace::step(self.pid).expect("a stopped child");
            } else {
                if trace::stop_before(self.pid, Some(route.address(to))).is_err() {
                    return false;
                }
                trace::resume(self.pid).expect("a stopped child");
            }
            self.settle(step && to == k);
            if self.ended {
                return false;
            }
            if !step {
                trace::stop_before(self.pid, None).expect("a stopped child");
            }
        }
        self.asleep || self.address() == route.address(k)
    }

    /// Lets the child execute up to `k` instructions, one by one.
    pub(crate) fn step(&mut self, k: usize) {
        for done in 0..k {
            self.step_once(done, done + 1 == k);
            if self.ended {
                return;
            }
        }
    }

    /// One step. With steps as slow as these, a sleep to the next tick may be over before it
    /// begins, time and again: then the child is woken all the same.
    fn step_once(&mut self, done: usize, leave_asleep: bool) -> bool {
        trace::step(self.pid).expect("a stopped child");
        let slept = self.settle(leave_asleep);
        if !self.ended && !self.asleep {
            let returned = trace::returned(self.pid).unwrap_or(0);
            let overslept = returned == TIMED_OUT && self.returned != TIMED_OUT;
            self.returned = returned;
            if overslept || done % WAKE_EVERY == WAKE_EVERY - 1 {
                self.scene.wake();
            }
        }
        slept
    }

    /// Waits until the child stands still, or has ended. If it falls asleep it is left so, or
    /// woken. Returns whether it was.
    fn settle(&mut self, leave_asleep: bool) -> bool {
        let end = Deadline::after(PATIENCE);
        let mut slept = false;
        loop {
            match trace::wait(self.pid, ASLEEP).expect("our child") {
                Seen::Stopped(_) => return slept,
                Seen::Exited(code) => {
                    (self.ended, self.failed) = (true, code != 0);
                    return slept;
                }
                Seen::Signaled(_) => {
                    (self.ended, self.failed) = (true, true);
                    return slept;
                }
                Seen::Running if state(self.pid) != 'S' => {}
                Seen::Running if leave_asleep => {
                    self.asleep = true;
                    return true;
                }
                Seen::Running => {
                    slept = true;
                    self.scene.wake();
                    assert!(!end.has_passed(), "the operation sleeps for ever");
                }
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        if !self.ended {
            self.signal(SIGKILL);
            while !matches!(trace::wait(self.pid, PATIENCE), Ok(Seen::Signaled(_)) | Err(_)) {}
            self.ended = true;
        }
    }

    /// Leaves the child to itself, stopped by a `SIGSTOP` like any process.
    pub(crate) fn pause(&mut self) {
        if self.ended {
            return;
        }
        if self.asleep {
            self.signal(SIGSTOP);
            self.settle(false);
        }
        trace::detach(self.pid, SIGSTOP).expect("a stopped child");
        let end = Deadline::after(PATIENCE);
        while state(self.pid) != 'T' {
            assert!(!end.has_passed(), "it does not stop");
        }
    }

    /// Lets a paused child go on to its end.
    pub(crate) fn go_on(&mut self) {
        if !self.ended {
            self.signal(SIGCONT);
            self.settle(false);
            assert!(self.ended, "it stops by itself");
        }
    }

    /// Lets an operation that was not stepped through come to its end.
    pub(crate) fn finish(&mut self) {
        trace::detach(self.pid, 0).expect("a stopped child");
        self.settle(false);
    }

    fn signal(&self, signal: i32) {
        let child = pidfd::open(self.pid).expect("our child, not yet reaped");
        pidfd::signal(&child, signal).expect("our child, not yet reaped");
    }

    /// Where it stands. Where the machine does not say so, all places are the same.
    fn address(&self) -> usize {
        trace::next_instruction(self.pid).unwrap_or(UNKNOWN)
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}
