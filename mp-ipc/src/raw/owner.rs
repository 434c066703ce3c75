//! Who holds a lease: a process, named so that no later process is mistaken for it.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use mp_sys::poll::{Interest, wait_for};
use mp_sys::{Deadline, Errno, pidfd};

/// The kernel's greatest pid is below 2^22.
const PID_BITS: u32 = 22;

/// A process: its pid, and when it started in the clock ticks of `/proc/PID/stat`.
///
/// One word, so that one store claims a lease. 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u64);

impl Owner {
    pub(crate) fn current() -> Owner {
        thread_local! {
            static CURRENT: Cell<(u32, u64)> = const { Cell::new((0, 0)) };
        }
        // A forked child has another pid, and finds that the cached word is not its own.
        let pid = std::process::id();
        CURRENT.with(|current| {
            if current.get().0 != pid {
                current.set((pid, Owner::of(pid, started(pid).unwrap_or(0)).0));
            }
            Owner(current.get().1)
        })
    }

    fn of(pid: u32, started: u64) -> Owner {
        Owner(started << PID_BITS | u64::from(pid))
    }

    pub(crate) fn pid(self) -> u32 {
        (self.0 & ((1 << PID_BITS) - 1)) as u32
    }

    /// Whether the kernel says that this process has ended. Doubt is not proof.
    pub(crate) fn is_dead(self) -> bool {
        let process = match pidfd::open(self.pid() as i32) {
            Ok(process) => process,
            // No such process; or such a thread, of a process that came later.
            Err(errno) => return matches!(errno, Errno::SRCH | Errno::INVAL),
        };
        // A zombie has ended too.
        let now = Some(Deadline::now());
        if matches!(wait_for(process.as_fd(), Interest::Readable, now), Ok(true)) {
            return true;
        }
        // It runs; and it is the one that we mean if it started when that did.
        let before = self.0 >> PID_BITS;
        before != 0 && started(self.pid()).is_some_and(|started| started != before)
    }
}

/// Field 22 of `/proc/PID/stat`. The second, the program's name, may hold blanks and parentheses.
fn started(pid: u32) -> Option<u64> {
    // The name has 64 bytes at the most, a field 20 digits.
    let mut stat = [0; 640];
    let read = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut stat).ok()?;
    let name_end = stat[..read].iter().rposition(|&byte| byte == b')')?;
    let field = stat[..read].get(name_end + 2..)?.split(|&byte| byte == b' ').nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_ends() {
        assert!(!Owner::current().is_dead());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = Owner::of(child.id(), started(child.id()).unwrap());
        assert_eq!(owner.pid(), child.id());
        child.wait().unwrap();
        assert!(owner.is_dead());
        let earlier = Owner::of(std::process::id(), 1);
        assert!(earlier.is_dead(), "this pid, but a process that started at another time");
    }
}
