//! A number of permits.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_shm::Place;
use serde::{Deserialize, Serialize};

use crate::handle::Handle;
use crate::raw::{Entry, PERMITS_MAX, RawSemaphore};
use crate::{Deadline, Error};

/// How many threads can hold permits of one semaphore.
const HOLDERS: usize = 64;

// SAFETY: repr(C), made of `RawMutex`es and atomics, zero is "no permits", and no destructor.
unsafe impl<const N: usize> Place for RawSemaphore<N> {}

/// A number of permits that threads of any process take and give back.
///
/// A [`Permit`] belongs to the thread that took it: if that thread ends, however it ends, the
/// permit comes back. [`Permit::forget`] takes the permit out of that ownership, so that anybody
/// may [`release`](Semaphore::release) it: this is how one process takes and another gives, and
/// what Python's `acquire` and `release` do. At most 64 threads can own permits at a time; of
/// forgotten ones there can be any number.
///
/// Python: `Semaphore(value)`; with one permit, and `forget`, its `Lock`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_sync::{Error, Semaphore};
///
/// let seats = Semaphore::new(2)?;
/// let one = seats.acquire()?;
/// seats.acquire()?.forget(); // as in Python: somebody will release it
/// assert_eq!(seats.acquire_timeout(Duration::ZERO).unwrap_err(), Error::TimedOut);
/// drop(one);
/// seats.release(1)?;
/// assert_eq!(seats.value(), 2);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Semaphore {
    raw: Handle<RawSemaphore<HOLDERS>>,
}

impl Semaphore {
    /// Makes a semaphore with `permits` permits.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyPermits`] above 2^31 - 1, [`Error::Memory`] when shared memory runs out.
    pub fn new(permits: u32) -> Result<Semaphore, Error> {
        let raw = Handle::<RawSemaphore<HOLDERS>>::zeroed()?;
        raw.add(permits, PERMITS_MAX)?;
        Ok(Semaphore { raw })
    }

    /// Takes a permit.
    ///
    /// # Blocking
    ///
    /// Waits for a permit to be given back or released, which wakes one waiter for each. If its
    /// owner dies: *recovers*, the kernel wakes a waiter, which takes the dead one's permit. If a
    /// woken waiter dies: *recovers*, within 50 ms. If the one who should release a forgotten
    /// permit dies: *may hang*, since a forgotten permit has no owner.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyHolders`]; [`Error::TooManyHeld`].
    ///
    /// Python: `Semaphore.acquire()`.
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        self.acquire_until(None)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire), and [`Error::WouldBlock`].
    pub fn try_acquire(&self) -> Result<Permit<'_>, Error> {
        // SAFETY: the permit keeps this handle, and with it the mapping; if it is forgotten by
        // `mem::forget`, the handle keeps the mapping for ever (Handle).
        unsafe { self.raw.try_acquire() }?.map(|entry| self.permit(entry)).ok_or(Error::WouldBlock)
    }

    /// Takes a permit, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Semaphore::acquire), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire), and [`Error::TimedOut`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, Error> {
        self.acquire_until(Some(Deadline::after(timeout)))
    }

    /// Adds `count` permits: those of somebody who forgot them, or more than there ever were.
    ///
    /// Never blocks. Async-signal-safe: a signal handler may call it, whatever it has interrupted.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyPermits`] when there would be more than 2^31 - 1; nothing is added then.
    ///
    /// Python: `Semaphore.release(n)`.
    #[doc(alias = "add_permits")]
    pub fn release(&self, count: u32) -> Result<(), Error> {
        self.release_up_to(count, PERMITS_MAX)
    }

    /// How many permits can be taken at this moment.
    ///
    /// Python: `Semaphore.get_value()`.
    #[doc(alias = "get_value")]
    pub fn value(&self) -> u32 {
        self.raw.value()
    }

    /// Whether both are handles to the same semaphore.
    pub fn same(&self, other: &Semaphore) -> bool {
        self.raw.same(&other.raw)
    }

    pub(crate) fn release_up_to(&self, count: u32, max: u32) -> Result<(), Error> {
        self.raw.add(count, max)
    }

    fn acquire_until(&self, deadline: Option<Deadline>) -> Result<Permit<'_>, Error> {
        // SAFETY: as in `try_acquire`.
        Ok(self.permit(unsafe { self.raw.acquire_until(deadline) }?))
    }

    fn permit(&self, entry: Entry) -> Permit<'_> {
        self.raw.give();
        Permit { semaphore: self, entry, not_send: PhantomData }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Holder((Option<u32>, u32));
        impl fmt::Debug for Holder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (tid, permits) = self.0;
                f.debug_struct("Holder")
                    .field("pid", &tid.and_then(crate::owner::pid_of))
                    .field("tid", &tid)
                    .field("permits", &permits)
                    .finish()
            }
        }
        f.debug_struct("Semaphore")
            .field("value", &self.value())
            .field("holders", &self.raw.holders().map(Holder).collect::<Vec<_>>())
            .finish()
    }
}

/// A permit of a [`Semaphore`]; dropping it gives it back. It stays in its thread.
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    entry: Entry,
    not_send: PhantomData<*const ()>,
}

impl Permit<'_> {
    /// Keeps the permit from coming back: somebody will [`release`](Semaphore::release) it, from
    /// whatever thread or process.
    pub fn forget(self) {
        self.semaphore.raw.take();
        self.semaphore.raw.forget(self.entry);
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.raw.take();
        self.semaphore.raw.give_back(self.entry);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
