//! Two processes and a clock, with nothing of ours in between.

use std::time::Instant;

use mp_sys::fork::{Fork, exit_now, fork};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where the two processes run.
#[derive(Clone, Copy)]
pub enum Pin {
    /// The first on CPU 0, the second on CPU 1.
    Apart,
    /// Both on CPU 0.
    Together,
}

/// Runs `second` in a forked child and `first` here, and returns what `first` does.
///
/// The calling process must have one thread.
pub fn pair<R>(pin: Pin, second: impl FnOnce(), first: impl FnOnce() -> R) -> R {
    let child = child(|| {
        pin_to(match pin {
            Pin::Apart => 1,
            Pin::Together => 0,
        });
        second();
    });
    pin_to(0);
    let result = first();
    reap(child);
    result
}

/// Forks a child that runs `body` and ends.
pub fn child(body: impl FnOnce()) -> i32 {
    // SAFETY: each sample is taken in a fresh process, and its first children are forked before
    // it starts a thread.
    match unsafe { fork() }.expect("fork") {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            body();
            exit_now(0)
        }
    }
}

pub fn reap(pid: i32) {
    waitpid(Pid::from_raw(pid), WaitOptions::empty()).expect("waitpid");
}

/// Keeps the calling thread on one CPU; does nothing where that CPU is not ours.
pub fn pin_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}

/// Nanoseconds for each of `count` operations that `work` does.
pub fn per_op(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}
