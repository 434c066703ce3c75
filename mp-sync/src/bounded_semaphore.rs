//! A semaphore that notices one release too many.
#![expect(unsafe_code, reason = "promises that the words may lie in shared memory")]

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mp_shm::{Place, Placed};
use serde::{Deserialize, Serialize};

use crate::{Error, Permit, Semaphore};

/// What lies in shared memory: the number of permits at the start. Written before it is shared.
#[repr(transparent)]
struct Bound(AtomicU32);

// SAFETY: one atomic; no destructor.
unsafe impl Place for Bound {}

/// A [`Semaphore`] that can never have more permits than it had at the start.
///
/// Python: `BoundedSemaphore(value)`.
///
/// # Examples
///
/// ```
/// use mp_sync::{BoundedSemaphore, Error};
///
/// let seats = BoundedSemaphore::new(1)?;
/// seats.acquire()?.forget();
/// seats.release(1)?;
/// assert_eq!(seats.release(1), Err(Error::TooManyPermits { max: 1 }));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    bound: Placed<Bound>,
}

impl BoundedSemaphore {
    /// Makes a semaphore with `permits` permits, now and at most.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::new`].
    pub fn new(permits: u32) -> Result<BoundedSemaphore, Error> {
        let bound = Placed::<Bound>::zeroed()?;
        bound.0.store(permits, Ordering::Relaxed);
        Ok(BoundedSemaphore { semaphore: Semaphore::new(permits)?, bound })
    }

    /// As [`Semaphore::acquire`].
    ///
    /// # Blocking
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        self.semaphore.acquire()
    }

    /// As [`Semaphore::try_acquire`].
    ///
    /// # Errors
    ///
    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Result<Permit<'_>, Error> {
        self.semaphore.try_acquire()
    }

    /// As [`Semaphore::acquire_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`Semaphore::acquire_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, Error> {
        self.semaphore.acquire_timeout(timeout)
    }

    /// Adds `count` permits that somebody has [forgotten](Permit::forget). Never blocks, and is
    /// async-signal-safe.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyPermits`] when so many have not been forgotten; nothing is added then. The
    /// check and the adding are one step, so of two who release too much one is told.
    ///
    /// Python: `BoundedSemaphore.release()`.
    pub fn release(&self, count: u32) -> Result<(), Error> {
        self.semaphore.release_up_to(count, self.bound.0.load(Ordering::Relaxed))
    }

    /// As [`Semaphore::value`].
    #[doc(alias = "get_value")]
    pub fn value(&self) -> u32 {
        self.semaphore.value()
    }

    /// Whether both are handles to the same semaphore.
    pub fn same(&self, other: &BoundedSemaphore) -> bool {
        self.semaphore.same(&other.semaphore)
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("semaphore", &self.semaphore)
            .field("bound", &self.bound.0)
            .finish()
    }
}
