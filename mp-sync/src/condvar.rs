//! Waiting for what others do to locked data.
#![expect(unsafe_code, reason = "promises that the word may lie in shared memory")]

use std::fmt;
use std::time::Duration;

use mp_shm::{Place, Placed};
use serde::{Deserialize, Serialize};

use crate::raw::RawCondvar;
use crate::{Deadline, Error, LockError, MutexGuard, ReentrantMutexGuard, Shareable};

// SAFETY: repr(C), one atomic, zero is the initial state, and no destructor.
unsafe impl Place for RawCondvar {}
const _: () = assert!(size_of::<RawCondvar>() == 4);

/// After how long `wait_while` looks at its condition again, notified or not.
const TICK: Duration = Duration::from_millis(50);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Waited {
    /// By a notification; for the calls with a condition: it came about.
    Notified,
    /// The timeout passed.
    TimedOut,
}

/// A guard that a [`Condvar`] can let go of and take again: [`MutexGuard`] or
/// [`ReentrantMutexGuard`], whose hold is released in full and restored in full.
pub trait WaitGuard: sealed::WaitGuard {}

pub(crate) mod sealed {
    use crate::LockError;

    pub trait WaitGuard: Sized {
        /// What it takes to lock again.
        type Released;
        fn release(self) -> Self::Released;
        fn lock_again(released: Self::Released) -> Result<Self, LockError<Self>>;
    }
}

impl<T: Shareable> WaitGuard for MutexGuard<'_, T> {}
impl<T: Shareable> WaitGuard for ReentrantMutexGuard<'_, T> {}

/// Lets threads and processes sleep until others have changed what a lock guards.
///
/// It can be used with any lock of this crate. A waiter may also return without having been
/// notified, so look at the data in a loop, or use [`wait_while`](Condvar::wait_while). Sleepers
/// are counted by the kernel alone: one that died or timed out takes no notification with it,
/// except one that was notified and then killed before it acted; for that case `wait_while` looks
/// at its condition every 50 ms, whatever happens.
///
/// Python: `Condition()`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_sync::{Condvar, LockError, Mutex, Waited};
///
/// let (ready, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
/// let (ready2, changed2) = (ready.clone(), changed.clone());
/// let other = std::thread::spawn(move || {
///     *ready2.lock().unwrap() = 1;
///     changed2.notify_one();
/// });
/// let guard = ready.lock().or_else(LockError::recover)?;
/// let mut guard = changed.wait_while(guard, |ready| **ready == 0).or_else(LockError::recover)?;
/// *guard = 0;
///
/// let short = Duration::from_millis(1);
/// let (_guard, waited) = changed.wait_timeout(guard, short).or_else(LockError::recover)?;
/// assert_eq!(waited, Waited::TimedOut);
/// other.join().unwrap();
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
#[doc(alias = "Condition")]
pub struct Condvar {
    raw: Placed<RawCondvar>,
}

impl Condvar {
    /// Makes a condition variable that nobody waits for.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new() -> Result<Condvar, Error> {
        Ok(Condvar { raw: Placed::zeroed()? })
    }

    /// Unlocks, sleeps until notified, and locks again.
    ///
    /// # Blocking
    ///
    /// Waits for a notification, then for the lock. If the process that should notify dies: *may
    /// hang*, since nothing says who that is; take [`wait_while`](Condvar::wait_while), which sees
    /// a change however it was made, or [`wait_timeout`](Condvar::wait_timeout). If the lock's
    /// holder dies: *reports*, as [`Mutex::lock`](crate::Mutex::lock) does.
    ///
    /// # Errors
    ///
    /// Those of locking; [`LockError::OwnerDied`] carries the guard.
    pub fn wait<G: WaitGuard>(&self, guard: G) -> Result<G, LockError<G>> {
        self.wait_until(guard, None).map(|(guard, _)| guard).map_err(|error| error.map(|it| it.0))
    }

    /// Unlocks, sleeps until notified or until `timeout` has passed, and locks again.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Condvar::wait), until `timeout` has passed; then it still waits for the lock.
    ///
    /// # Errors
    ///
    /// Those of locking; [`LockError::OwnerDied`] carries the guard. A timeout is no error.
    ///
    /// Python: `Condition.wait(timeout)`.
    pub fn wait_timeout<G: WaitGuard>(
        &self,
        guard: G,
        timeout: Duration,
    ) -> Result<(G, Waited), LockError<(G, Waited)>> {
        self.wait_until(guard, Some(Deadline::after(timeout)))
    }

    /// Waits for as long as `condition` says so.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Condvar::wait), but looks again every 50 ms, notified or not: who changed the
    /// data and died before the notification (*recovers*) makes no difference.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condvar::wait). After [`LockError::OwnerDied`] the condition has not been
    /// looked at: repair the data, and wait again if you like.
    ///
    /// Python: `Condition.wait_for(predicate)`, with the opposite predicate.
    #[doc(alias = "wait_for")]
    pub fn wait_while<G: WaitGuard>(
        &self,
        guard: G,
        condition: impl FnMut(&mut G) -> bool,
    ) -> Result<G, LockError<G>> {
        self.wait_while_until(guard, None, condition)
            .map(|(guard, _)| guard)
            .map_err(|error| error.map(|it| it.0))
    }

    /// Waits for as long as `condition` says so, and for `timeout` at most, however often it is
    /// woken in between.
    ///
    /// # Blocking
    ///
    /// As [`wait_while`](Condvar::wait_while), until `timeout` has passed.
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Condvar::wait_while). A timeout is no error, but [`Waited::TimedOut`].
    ///
    /// Python: `Condition.wait_for(predicate, timeout)`.
    #[doc(alias = "wait_for")]
    pub fn wait_timeout_while<G: WaitGuard>(
        &self,
        guard: G,
        timeout: Duration,
        condition: impl FnMut(&mut G) -> bool,
    ) -> Result<(G, Waited), LockError<(G, Waited)>> {
        self.wait_while_until(guard, Some(Deadline::after(timeout)), condition)
    }

    /// Wakes one sleeper, if there is one.
    ///
    /// Never blocks, and is async-signal-safe. It need not be called under the lock. A process
    /// that is killed in it has done all of it or nothing.
    #[doc(alias = "notify")]
    pub fn notify_one(&self) {
        self.raw.notify(1);
    }

    /// Wakes `count` sleepers, or as many as there are. As [`notify_one`](Condvar::notify_one).
    ///
    /// Python: `Condition.notify(n)`.
    pub fn notify(&self, count: usize) {
        self.raw.notify(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Wakes all sleepers. As [`notify_one`](Condvar::notify_one).
    pub fn notify_all(&self) {
        self.raw.notify(u32::MAX);
    }

    /// Whether both are handles to the same condition variable.
    pub fn same(&self, other: &Condvar) -> bool {
        self.raw.same(&other.raw)
    }

    fn wait_until<G: WaitGuard>(
        &self,
        guard: G,
        deadline: Option<Deadline>,
    ) -> Result<(G, Waited), LockError<(G, Waited)>> {
        let generation = self.raw.generation();
        let released = guard.release();
        let waited = match self.raw.sleep(generation, deadline) {
            Err(Error::TimedOut) => Waited::TimedOut,
            // Whatever else ended the sleep: the caller looks.
            _ => Waited::Notified,
        };
        match G::lock_again(released) {
            Ok(guard) => Ok((guard, waited)),
            Err(error) => Err(error.map(|guard| (guard, waited))),
        }
    }

    fn wait_while_until<G: WaitGuard>(
        &self,
        mut guard: G,
        deadline: Option<Deadline>,
        mut condition: impl FnMut(&mut G) -> bool,
    ) -> Result<(G, Waited), LockError<(G, Waited)>> {
        // Read the clock after the condition, so that a condition that came about in time counts.
        while condition(&mut guard) {
            if deadline.is_some_and(Deadline::has_passed) {
                return Ok((guard, Waited::TimedOut));
            }
            let tick = Deadline::after(TICK).or_earlier(deadline);
            (guard, _) = self.wait_until(guard, Some(tick))?;
        }
        Ok((guard, Waited::Notified))
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
