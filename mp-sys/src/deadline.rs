//! A point in time that a wait does not pass.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A point on `CLOCK_MONOTONIC`, in nanoseconds.
///
/// Every blocking call of the house takes an `Option<Deadline>` at its core, `None` being
/// "for ever". The monotonic clock never jumps: setting the wall clock shortens no wait.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_sys::Deadline;
///
/// let soon = Deadline::after(Duration::from_secs(60));
/// assert!(!soon.has_passed());
/// assert!(Deadline::after(Duration::ZERO).has_passed());
/// assert!(!Deadline::after(Duration::MAX).has_passed(), "saturates, never wraps");
/// assert_eq!(Deadline::from_nanos(soon.as_nanos()), soon, "can be written down and read");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    nanos: u64,
}

impl Deadline {
    /// The present moment.
    pub fn now() -> Deadline {
        let now = clock_gettime(ClockId::Monotonic);
        // The monotonic clock counts from boot, so neither field is negative (clock_gettime(2)).
        Deadline { nanos: now.tv_sec as u64 * NANOS_PER_SEC + now.tv_nsec as u64 }
    }

    /// The moment that lies `timeout` ahead. A timeout too long for the clock is "for ever".
    pub fn after(timeout: Duration) -> Deadline {
        let ahead = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Deadline { nanos: Deadline::now().nanos.saturating_add(ahead) }
    }

    /// The moment as nanoseconds of the monotonic clock, for writing it where others read it.
    pub fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// The moment that another process of this machine has written down.
    pub fn from_nanos(nanos: u64) -> Deadline {
        Deadline { nanos }
    }

    /// How long it is until then; zero when it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(Deadline::now().nanos))
    }

    /// Whether the moment lies behind us.
    pub fn has_passed(self) -> bool {
        Deadline::now() >= self
    }

    /// How long ago it was; zero when it lies ahead.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(Deadline::now().nanos.saturating_sub(self.nanos))
    }

    /// The moment that lies `time` after this one.
    pub fn plus(self, time: Duration) -> Deadline {
        let ahead = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Deadline { nanos: self.nanos.saturating_add(ahead) }
    }

    /// The earlier of this and `other`, where `None` is "for ever".
    pub fn or_earlier(self, other: Option<Deadline>) -> Deadline {
        other.map_or(self, |other| self.min(other))
    }

    /// The same moment as the kernel writes it.
    pub(crate) fn timespec(self) -> Timespec {
        Timespec {
            tv_sec: (self.nanos / NANOS_PER_SEC) as i64,
            tv_nsec: (self.nanos % NANOS_PER_SEC) as _,
        }
    }
}

/// What is left until `deadline`, as the kernel's relative timeouts want it.
pub(crate) fn relative(deadline: Option<Deadline>) -> Option<Timespec> {
    deadline.map(|deadline| {
        let left = deadline.remaining();
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos() as _ }
    })
}
