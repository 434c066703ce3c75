//! A process that sleeps until the operation wakes it.
#![expect(unsafe_code, reason = "forks the one who sleeps")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use std::{fs, thread};

use mp_sys::fork::{Fork, exit_now, fork};
use mp_sys::trace::{self, Seen};
use mp_sys::{Deadline, pidfd};

use crate::traced::PATIENCE;

/// Ends, by force if need be, when it is dropped.
#[derive(Debug)]
pub struct Bystander {
    pid: i32,
}

impl Bystander {
    /// Starts a process that does `act`, and waits until it sleeps in there, or has nothing to
    /// sleep for and is done.
    ///
    /// # Panics
    ///
    /// If it does neither within a minute.
    pub fn start(act: impl FnOnce()) -> Bystander {
        // SAFETY: as the harness, its callers have one thread, so the child may do whatever the
        // parent may.
        match unsafe { fork() }.expect("fork") {
            Fork::Child => {
                let result = catch_unwind(AssertUnwindSafe(act));
                exit_now(if result.is_ok() { 0 } else { 101 })
            }
            Fork::Parent(pid) => {
                let end = Deadline::after(PATIENCE);
                while !['S', 'Z'].contains(&state(pid)) {
                    assert!(!end.has_passed(), "a bystander does not sleep");
                    thread::yield_now();
                }
                Bystander { pid }
            }
        }
    }

    /// Waits until it has come to its end.
    ///
    /// # Errors
    ///
    /// How it failed, or that it still sleeps.
    pub fn join(self, patience: Duration) -> Result<(), String> {
        match trace::wait(self.pid, patience) {
            Ok(Seen::Exited(0)) => Ok(()),
            Ok(Seen::Running) => Err(format!("a bystander still sleeps after {patience:?}")),
            ended => Err(format!("a bystander failed: {ended:?}")),
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It is not reaped yet, or else the pid may be another process's.
        if let Ok(Seen::Running) = trace::look(self.pid) {
            let process = pidfd::open(self.pid).expect("our child, not yet reaped");
            pidfd::signal(&process, 9).expect("our child, not yet reaped");
            let _ = trace::wait(self.pid, Duration::from_secs(1));
        }
    }
}

/// The kernel's word for what a process does: `S` is asleep, and not waiting for a processor.
pub(crate) fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
}
