//! A meeting of a number of parties.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mp_shm::{Place, Placed};
use serde::{Deserialize, Serialize};

use crate::raw::{Arrival, RawBarrier};
use crate::{Deadline, Error};

/// The most parties a barrier can have.
const PARTIES_MAX: usize = 256;

/// What lies in shared memory.
///
/// ```text
///  0                    12344
///  | RawBarrier         | timeout                      |
/// ```
#[repr(C)]
struct Cell {
    raw: RawBarrier<PARTIES_MAX>,
    /// What `wait` waits at most, in nanoseconds; 0 is "for ever". Written before it is shared.
    timeout: AtomicU64,
}

const _: () = assert!(size_of::<Cell>() == 12352 && align_of::<Cell>() == 8);

// SAFETY: repr(C), made of `RawMutex`es and atomics, zero is a valid state, and no destructor.
unsafe impl Place for Cell {}

/// A meeting that begins when all parties have come, again and again.
///
/// A party that dies while it waits breaks the barrier at once for all others, and so does one
/// that gives up. [`reset`](Barrier::reset) makes it whole.
///
/// Python: `Barrier(parties)`. Its `action` is given to [`wait_with`](Barrier::wait_with), since
/// a closure cannot travel with a handle.
///
/// # Examples
///
/// ```
/// use mp_sync::{Barrier, Error};
///
/// let start = Barrier::new(3)?;
/// let mut places: Vec<usize> = std::thread::scope(|s| {
///     let runners: Vec<_> = (0..3).map(|_| s.spawn(|| start.wait())).collect();
///     runners.into_iter().map(|runner| runner.join().unwrap()).collect::<Result<_, _>>()
/// })?;
/// places.sort();
/// assert_eq!(places, [0, 1, 2]);
///
/// start.abort();
/// assert_eq!(start.wait(), Err(Error::Broken));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Barrier {
    cell: Placed<Cell>,
}

impl Barrier {
    /// Makes a barrier for `parties` parties.
    ///
    /// # Errors
    ///
    /// [`Error::Parties`] unless there are 1 to 256; [`Error::Memory`] when shared memory runs
    /// out.
    pub fn new(parties: usize) -> Result<Barrier, Error> {
        Barrier::with_timeout(parties, Duration::ZERO)
    }

    /// Makes a barrier at which [`wait`](Barrier::wait) waits for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    ///
    /// Python: `Barrier(parties, timeout=...)`.
    pub fn with_timeout(parties: usize, timeout: Duration) -> Result<Barrier, Error> {
        if !(1..=PARTIES_MAX).contains(&parties) {
            return Err(Error::Parties { parties, max: PARTIES_MAX });
        }
        let cell = Placed::<Cell>::zeroed()?;
        cell.raw.set_parties(parties as u32);
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        cell.timeout.store(nanos, Ordering::Relaxed);
        Ok(Barrier { cell })
    }

    /// Comes to the barrier and waits for the others. Each party of a meeting gets another number
    /// from 0 to `parties - 1`, in the order in which they came.
    ///
    /// # Blocking
    ///
    /// Waits for the last party, which wakes all; and, if the parties of the last meeting have not
    /// all left, for those first. If a party that has come dies: *reports*, [`Error::Broken`] for
    /// all others, woken by the kernel (one that came later than the sleepers looked: within 50
    /// ms). If a party dies before it comes: *may hang*, since nobody knows who will come; make
    /// the barrier [with a timeout](Barrier::with_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::Broken`]; [`Error::TimedOut`] for the party whose timeout passed, which breaks the
    /// barrier for the others.
    pub fn wait(&self) -> Result<usize, Error> {
        self.wait_with(|| ())
    }

    /// Comes to the barrier and waits for the others; the last one to come runs its `action`
    /// before anybody goes on.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Barrier::wait). If the party that runs its action dies in it: *reports*,
    /// [`Error::Broken`] for all others.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// When the action panics; that breaks the barrier for the others.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = mp_sync::Barrier::new(1)?;
    /// let mut rounds = 0;
    /// assert_eq!(barrier.wait_with(|| rounds += 1)?, 0);
    /// assert_eq!(rounds, 1);
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<usize, Error> {
        let deadline = match self.cell.timeout.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Deadline::after(Duration::from_nanos(nanos))),
        };
        self.wait_until(deadline, action)
    }

    /// Comes to the barrier and waits for the others, for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Barrier::wait), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    ///
    /// Python: `Barrier.wait(timeout)`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, Error> {
        self.wait_until(Some(Deadline::after(timeout)), || ())
    }

    /// [`wait_timeout`](Barrier::wait_timeout) and [`wait_with`](Barrier::wait_with) in one.
    ///
    /// # Blocking
    ///
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// As [`wait_with`](Barrier::wait_with).
    pub fn wait_timeout_with(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<usize, Error> {
        self.wait_until(Some(Deadline::after(timeout)), action)
    }

    /// Breaks the barrier: all who wait, and who come, get [`Error::Broken`] until it is
    /// [reset](Barrier::reset). Never blocks, and is async-signal-safe.
    pub fn abort(&self) {
        self.cell.raw.abort();
    }

    /// Makes the barrier as it was at the start; those who wait get [`Error::Broken`]. Never
    /// blocks.
    pub fn reset(&self) {
        self.cell.raw.reset();
    }

    /// How many parties there are.
    pub fn parties(&self) -> usize {
        self.cell.raw.parties()
    }

    /// How many living parties have come and wait for the rest.
    ///
    /// Python: `Barrier.n_waiting`.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.cell.raw.waiting()
    }

    /// Whether the barrier is broken.
    ///
    /// Python: `Barrier.broken`.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.cell.raw.is_broken()
    }

    /// Whether both are handles to the same barrier.
    pub fn same(&self, other: &Barrier) -> bool {
        self.cell.same(&other.cell)
    }

    fn wait_until(
        &self,
        deadline: Option<Deadline>,
        action: impl FnOnce(),
    ) -> Result<usize, Error> {
        let raw = &self.cell.raw;
        // SAFETY: `here` leaves before this function is done, and `self` outlives it.
        let arrival = unsafe { raw.arrive(deadline) }?;
        let here = Here { raw, arrival };
        if here.arrival.is_last {
            action();
            raw.release(&here.arrival)?;
        } else {
            raw.wait(&here.arrival, deadline)?;
        }
        Ok(here.arrival.index)
    }
}

/// A party that has come. Leaves when dropped, and breaks the barrier if that is a panic.
struct Here<'a> {
    raw: &'a RawBarrier<PARTIES_MAX>,
    arrival: Arrival,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.raw.fail(&self.arrival);
        }
        self.raw.leave(&self.arrival);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}
