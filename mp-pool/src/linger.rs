//! Lingering: who has nothing to do looks about for a moment before it sleeps.
//!
//! To sleep and be woken costs both sides some microseconds, and many more where the processor
//! falls asleep too. So a glance is free, and a longer look is paid with an eighth of the time that
//! the thread has slept: two sides of a dialogue meet awake, and a thread for which there is
//! rarely anything to do spends its time asleep. Each look gives the processor to others that have
//! work; where that takes long, lingering is of no use.

use std::cell::Cell;
use std::time::Duration;

use mp_sys::Deadline;

use crate::sys::HAS_TIME;

/// The look that everyone may take.
const GLANCE: Duration = Duration::from_micros(6);

/// The longest look: longer than it takes to wake a sleeper on another processor. If it were
/// shorter, two sides that have once slept would never meet awake again.
const STARE: Duration = Duration::from_micros(60);

/// What is not a glance is paid for: a thread may linger for this part of the time that it sleeps.
const SHARE: u32 = 8;
/// It can save up for a few long looks.
const CREDIT_MAX: Duration = Duration::from_micros(480);

/// After others took the processor for long, so many waits go without.
const REST: u32 = 64;

thread_local! {
    /// How long this thread may linger, and how many waits go without.
    static CREDIT: Cell<(Duration, u32)> = const { Cell::new((CREDIT_MAX, 0)) };
}

/// Waits a moment until `ready`, but not past the deadline, and says whether it is.
pub(crate) fn linger(deadline: Option<Deadline>, ready: impl Fn() -> bool) -> bool {
    let (credit, rest) = CREDIT.get();
    if rest > 0 || !HAS_TIME {
        CREDIT.set((credit, rest.saturating_sub(1)));
        return false;
    }
    let longest = if credit >= STARE { STARE } else { GLANCE };
    let begin = Deadline::now();
    let end = begin.plus(longest).or_earlier(deadline);
    loop {
        if ready() {
            return true;
        }
        if end.has_passed() {
            break;
        }
        std::thread::yield_now();
    }
    let spent = begin.elapsed();
    let rest = if spent > longest + STARE { REST } else { 0 };
    let paid = if longest == STARE { STARE } else { Duration::ZERO };
    CREDIT.set((credit.saturating_sub(paid), rest));
    false
}

/// Sleeping earns the right to linger.
pub(crate) fn slept(since: Deadline) {
    let (credit, rest) = CREDIT.get();
    CREDIT.set((CREDIT_MAX.min(credit + since.elapsed() / SHARE), rest));
}
