//! Waiting for the other side: a short spin where that can help, then sleep.

use std::cell::Cell;
use std::time::Duration;

use mp_sys::{Deadline, Errno};

use super::bell::{Bell, Listener};
use super::ring::Patience;
use crate::Error;

/// After this long a sleeper looks by itself, in case its waker was killed before it rang.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How long a call that does not wait puts up with a lock that is held.
pub(crate) const TRY: Duration = Duration::from_millis(10);

/// The pause between two looks at a full socket.
const NAP: Duration = Duration::from_millis(1);

/// The longest spin before the first sleep.
const SPIN: Duration = Duration::from_micros(5);

/// One blocking call's waiting.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    bell: &'a Bell,
    patience: Patience,
    slept: bool,
}

/// Why a wait came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There may be something to do.
    Look,
    /// A tick went by without a ring.
    Tick,
    /// The call may not wait, or no longer.
    Over,
}

impl<'a> Waiter<'a> {
    #[inline]
    pub(crate) fn new(bell: &'a Bell, patience: Patience) -> Waiter<'a> {
        Waiter { bell, patience, slept: false }
    }

    /// Waits until `ready`, or until a tick or the deadline has passed.
    #[cold]
    pub(crate) fn wait(
        &mut self,
        listener: Listener,
        ready: impl Fn() -> bool,
    ) -> Result<Wake, Error> {
        let Patience::Until(deadline) = self.patience else { return Ok(Wake::Over) };
        if !self.slept && spin(&ready) {
            return Ok(Wake::Look);
        }
        let heard = self.bell.listen(listener);
        self.slept = true;
        if ready() {
            return Ok(Wake::Look);
        }
        match self.bell.sleep(heard, Some(Deadline::after(TICK).or_earlier(deadline))) {
            Ok(()) => Ok(Wake::Look),
            Err(Errno::TIMEDOUT) if !deadline.is_some_and(Deadline::has_passed) => Ok(Wake::Tick),
            // The last look: what came with the deadline is not too late.
            Err(Errno::TIMEDOUT) => Ok(if ready() { Wake::Look } else { Wake::Over }),
            Err(errno) => Err(Error::os("futex")(errno)),
        }
    }

    /// Sleeps for a moment, for what no bell announces.
    pub(crate) fn nap(&mut self) -> Wake {
        let Patience::Until(deadline) = self.patience else { return Wake::Over };
        std::thread::sleep(NAP);
        if deadline.is_some_and(Deadline::has_passed) { Wake::Over } else { Wake::Look }
    }

    /// After the call's work: lets the next sleeper have what is left.
    #[inline]
    pub(crate) fn done(&self, more: impl Fn() -> bool) {
        if self.slept {
            self.bell.pass_on(more);
        }
    }
}

/// Spins until `ready`, for a few microseconds at most, and only if another processor can make it
/// so. Says whether it is.
fn spin(ready: impl Fn() -> bool) -> bool {
    if !may_spin() {
        return false;
    }
    let mut until = None;
    loop {
        for _ in 0..8 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        let until = *until.get_or_insert_with(|| Deadline::after(SPIN));
        if until.has_passed() {
            return false;
        }
    }
}

/// Whether this thread may run on more than one processor. Asked anew from time to time, since
/// the answer can change.
fn may_spin() -> bool {
    thread_local! {
        static ASKED: Cell<(u8, bool)> = const { Cell::new((0, false)) };
    }
    ASKED.with(|asked| {
        let (left, answer) = asked.get();
        if left > 0 {
            asked.set((left - 1, answer));
            return answer;
        }
        let set = rustix::thread::sched_getaffinity(None);
        let answer = set.is_ok_and(|set| set.count() > 1);
        asked.set((63, answer));
        answer
    })
}
