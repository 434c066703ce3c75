//! Waiting for the other side: a short spin where that can help, then sleep.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
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
///
/// Longer than it takes to wake a sleeper on another processor. If it were shorter, two sides of
/// a dialogue that have once slept would never meet awake again.
const SPIN: Duration = Duration::from_micros(10);

/// After so many spins in vain a thread tries only at every so many waits.
const VAIN: u32 = 8;

/// How long a side lingers, once the other side has made something, so that there is more of it.
const LULL: Duration = Duration::from_micros(4);
/// So many things make a lull worth its time.
const WORTH: u32 = 4;
/// After a lull that was not worth it, so many waits go without.
const REST: u32 = 256;

/// Whether a side does well to linger.
///
/// When both sides stream, the faster one is always at the other's heels: each item costs both of
/// them the transfer of the lines they share. If it lets the other one get ahead for a moment,
/// one transfer serves many items. In a dialogue that brings nothing, so it is tried seldom.
#[derive(Debug, Default)]
pub(crate) struct Lull {
    /// How many waits to go without.
    rest: AtomicU32,
}

impl Lull {
    /// After a wait that a spin has ended: lingers, if that has been worth it or it is time to
    /// try again. `made` says how much there is to do.
    fn linger(&self, made: impl Fn() -> u32) {
        // Relaxed: a hint of this process to itself.
        let rest = self.rest.load(Ordering::Relaxed);
        if rest > 0 {
            self.rest.store(rest - 1, Ordering::Relaxed);
            return;
        }
        let until = Deadline::after(LULL);
        while !until.has_passed() {
            std::hint::spin_loop();
        }
        if made() < WORTH {
            self.rest.store(REST, Ordering::Relaxed);
        }
    }
}

/// One blocking call's waiting.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    bell: &'a Bell,
    lull: &'a Lull,
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
    pub(crate) fn new(bell: &'a Bell, lull: &'a Lull, patience: Patience) -> Waiter<'a> {
        Waiter { bell, lull, patience, slept: false }
    }

    /// Waits until `ready`, or until a tick or the deadline has passed. `made` says how many things
    /// there are to do.
    #[cold]
    pub(crate) fn wait(
        &mut self,
        listener: Listener,
        ready: impl Fn() -> bool,
        made: impl Fn() -> u32,
    ) -> Result<Wake, Error> {
        let Patience::Until(deadline) = self.patience else { return Ok(Wake::Over) };
        if !self.slept && spin(&ready) {
            self.lull.linger(made);
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
    thread_local! {
        /// Spins in vain since the last one that was not.
        static IN_VAIN: Cell<u32> = const { Cell::new(0) };
    }
    if !may_spin() {
        return false;
    }
    let vain = IN_VAIN.get();
    IN_VAIN.set(vain.wrapping_add(1));
    if vain >= VAIN && !vain.is_multiple_of(VAIN) {
        return false;
    }
    let mut until = None;
    loop {
        for _ in 0..8 {
            if ready() {
                IN_VAIN.set(0);
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
