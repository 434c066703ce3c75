//! `Semaphore` and `BoundedSemaphore`: a number of permits.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, SemaphoreOp};
use crate::protocol::{Patience, Reply};
use crate::proxy::proxy;

/// A number of permits that lives in a manager's server.
///
/// A permit belongs to the thread that took it until it is dropped, or [forgotten](Permit::forget)
/// to be [released](Semaphore::release) by somebody else. The permits of a process that dies come
/// back.
///
/// Python: `SyncManager.Semaphore(value)`.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let seats = manager.semaphore(1)?;
/// let mine = seats.acquire()?;
/// assert!(matches!(seats.try_acquire(), Err(Error::WouldBlock)));
/// drop(mine);
/// assert_eq!(seats.value()?, 1);
/// seats.release(2)?;
/// assert_eq!(seats.value()?, 3);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Semaphore, Semaphore);

/// A semaphore that never has more permits than it began with. In all else it is a [`Semaphore`],
/// with that one's methods.
///
/// Python: `SyncManager.BoundedSemaphore(value)`.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let seats = manager.bounded_semaphore(2)?;
/// assert!(matches!(seats.release(1), Err(Error::Overflow)));
/// seats.acquire()?.forget();
/// seats.release(1)?;
/// # Ok(())
/// # }
/// ```
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

proxy!(BoundedSemaphore, BoundedSemaphore, inside semaphore);

impl Deref for BoundedSemaphore {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.semaphore
    }
}

/// A permit of this thread's. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub struct Permit<'a> {
    handle: &'a Handle,
    /// The permit belongs to this thread's connection.
    _here: PhantomData<*const ()>,
}

impl Permit<'_> {
    /// Keeps the permit from coming back, also when this process dies. Whoever is to give it back
    /// calls `release`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn forget(self) -> Result<(), Error> {
        let forgotten = self.handle.unit(Op::Semaphore(SemaphoreOp::Forget));
        std::mem::forget(self);
        forgotten
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let _ = self.handle.unit(Op::Semaphore(SemaphoreOp::Release));
    }
}

impl Semaphore {
    /// Takes a permit.
    ///
    /// # Blocking
    ///
    /// Waits for a permit to come back. If a process that has one dies: *recovers*, its permits
    /// come back. If the server dies: *reports* [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        acquire(&self.handle, Patience::Forever)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`], [`Error::Disconnected`].
    pub fn try_acquire(&self) -> Result<Permit<'_>, Error> {
        acquire(&self.handle, Patience::Never)
    }

    /// Takes a permit, and waits for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Semaphore::acquire), until the time is up.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, Error> {
        acquire(&self.handle, Patience::of(Some(timeout)))
    }

    /// Adds permits that nobody has; to a [`BoundedSemaphore`], those that were
    /// [forgotten](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`Error::Overflow`] above 2,147,483,647 permits, or above what a bounded one began with;
    /// [`Error::Disconnected`].
    pub fn release(&self, count: u32) -> Result<(), Error> {
        self.handle.unit(Op::Semaphore(SemaphoreOp::Add(count.into())))
    }

    /// How many permits can be taken. Python: `s.get_value()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "get_value")]
    pub fn value(&self) -> Result<usize, Error> {
        self.handle.count(Op::Semaphore(SemaphoreOp::Value))
    }
}

fn acquire(handle: &Handle, wait: Patience) -> Result<Permit<'_>, Error> {
    match handle.call(Op::Semaphore(SemaphoreOp::Acquire(wait)))? {
        Reply::Acquired { .. } => Ok(Permit { handle, _here: PhantomData }),
        _ => Err(Error::unexpected()),
    }
}
