//! Waiting for the other side: a spin where that can help, then sleep.
//!
//! A spin can help where the other side runs on another processor. How long it may take is a
//! matter of credit: a sleep costs both sides some microseconds, so a spin of that length is
//! free; a longer one is paid with an eighth of the time that the thread has slept or has been
//! spared. So two sides of a dialogue meet awake, and a thread for which there is rarely anything
//! to do spends its time asleep.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_sys::{Deadline, Errno};

use super::bell::{Bell, Listener};
use super::turn::Patience;
use crate::Error;

/// After this long a sleeper looks by itself, in case its waker was killed before it rang.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How long a call that does not wait puts up with a lock that is held.
pub(crate) const TRY: Duration = Duration::from_millis(10);

/// The pause between two looks at a full socket.
const NAP: Duration = Duration::from_millis(1);

/// The spin that every wait may begin with: it costs no more than the sleep that it may spare.
const GLANCE: Duration = Duration::from_micros(6);

/// The longest spin: longer than it takes to wake a sleeper on another processor. If it were
/// shorter, two sides of a dialogue that have once slept would never meet awake again.
const STARE: Duration = Duration::from_micros(100);

/// What is not a glance is paid for: a thread may spin for this part of the time that it sleeps.
const SHARE: u32 = 8;
/// It can save up for a few long spins.
const CREDIT_MAX: Duration = Duration::from_micros(400);

/// How long a side lingers, once the other side has made something, so that there is more of it.
const LULL: Duration = Duration::from_micros(4);
/// So many things make a lull worth its time.
const WORTH: u32 = 4;
/// After a lull that was not worth it, so many waits go without; twice as many if the one before
/// was not worth it either.
const REST: u32 = 256;
const REST_MAX: u32 = 1 << 16;

/// Whether a side does well to linger.
///
/// When both sides stream, the faster one is always at the other's heels: each item costs both of
/// them the transfer of the lines they share. If it lets the other one get ahead for a moment,
/// one transfer serves many items. In a dialogue that brings nothing, so it is tried seldom.
#[derive(Debug, Default)]
pub(crate) struct Lull {
    /// How many waits to go without.
    rest: AtomicU32,
    /// How many waits the last one in vain has cost; 0 if it was worth it.
    last: AtomicU32,
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
        let rest = match made() {
            WORTH.. => 0,
            _ => (2 * self.last.load(Ordering::Relaxed)).clamp(REST, REST_MAX),
        };
        self.last.store(rest, Ordering::Relaxed);
        self.rest.store(rest, Ordering::Relaxed);
    }
}

/// Where one side of a queue was last seen, by those who then waited or woke: a processor's
/// number and 1, or 0. A hint between processes: it decides only whether to spin.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Seen {
    cpu: AtomicU32,
}

impl Seen {
    /// The calling thread is on this side.
    pub(crate) fn here(&self) -> u32 {
        let here = rustix::thread::sched_getcpu() as u32 + 1;
        // A look first: mostly it is there already, and a store would take the line from others.
        if self.cpu.load(Ordering::Relaxed) != here {
            self.cpu.store(here, Ordering::Relaxed);
        }
        here
    }

    /// Whether this side was on another processor than `here`.
    fn is_elsewhere(&self, here: u32) -> bool {
        let there = self.cpu.load(Ordering::Relaxed);
        there != 0 && there != here
    }
}

/// One blocking call's waiting.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    bell: &'a Bell,
    lull: &'a Lull,
    /// Where we are, and those for whom we wait.
    us: &'a Seen,
    them: &'a Seen,
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
    pub(crate) fn new(
        bell: &'a Bell,
        lull: &'a Lull,
        (us, them): (&'a Seen, &'a Seen),
        patience: Patience,
    ) -> Waiter<'a> {
        Waiter { bell, lull, us, them, patience, slept: false }
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
        let here = self.us.here();
        let can_help = !self.slept && (is_free() || self.them.is_elsewhere(here));
        if can_help && spin(deadline, &ready) {
            self.lull.linger(made);
            return Ok(Wake::Look);
        }
        let heard = self.bell.listen(listener);
        self.slept = true;
        if ready() {
            return Ok(Wake::Look);
        }
        // Where spinning cannot help, nothing needs to be earned.
        let begin = can_help.then(Instant::now);
        let woken = self.bell.sleep(heard, Some(Deadline::after(TICK).or_earlier(deadline)));
        if let Some(begin) = begin {
            earn(begin.elapsed());
        }
        match woken {
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

thread_local! {
    /// How long this thread may spin.
    static CREDIT: Cell<Duration> = const { Cell::new(CREDIT_MAX) };
}

/// Spins until `ready`, and says whether it is: for a glance, or longer if the thread has the
/// credit for it, and never past the deadline.
fn spin(deadline: Option<Deadline>, ready: impl Fn() -> bool) -> bool {
    let credit = CREDIT.get();
    let longest = if credit >= STARE { STARE } else { GLANCE };
    let longest = deadline.map_or(longest, |deadline| longest.min(deadline.remaining()));
    let (mut begin, mut spent) = (None, Duration::ZERO);
    while spent <= longest {
        for _ in 0..8 {
            if ready() {
                // A sleep spared is as good as one slept.
                if spent <= GLANCE {
                    earn(GLANCE);
                }
                return true;
            }
            std::hint::spin_loop();
        }
        spent = begin.get_or_insert_with(Instant::now).elapsed();
        if spent > GLANCE {
            CREDIT.set(credit.saturating_sub(spent));
        }
    }
    false
}

/// Sleeping earns the right to spin.
fn earn(slept: Duration) {
    CREDIT.set(CREDIT_MAX.min(CREDIT.get() + slept / SHARE));
}

/// Whether this thread may run on more than one processor, so that nobody must wait for its own.
/// Asked anew from time to time, since the answer can change.
fn is_free() -> bool {
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
