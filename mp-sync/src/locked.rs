//! A shared object with a lock beside it.

use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, LockError, ReentrantMutex, ReentrantMutexGuard};

/// A shared object, such as mp-shm's `Value` or `Array`, with the lock that Python gives it.
///
/// Single operations on a `Value` are atomic and need no lock; this is for several that belong
/// together. The object stays reachable without the lock, as in Python: the lock is an agreement.
///
/// Python: `Value(type, init)` and `Array(type, init)` with `lock=True`.
///
/// # Examples
///
/// ```
/// use mp_shm::Array;
/// use mp_sync::{LockError, Locked};
///
/// let accounts = Locked::new(Array::from_slice(&[100_i64, 0])?)?;
/// {
///     let both = accounts.lock().or_else(LockError::recover)?;
///     both.set(0, both.get(0).unwrap() - 30)?;
///     both.set(1, both.get(1).unwrap() + 30)?;
/// }
/// assert_eq!(accounts.object().to_vec(), [70, 30]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[doc(alias = "synchronized")]
pub struct Locked<V> {
    lock: ReentrantMutex<()>,
    object: V,
}

impl<V> Locked<V> {
    /// Gives `object` a lock.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new(object: V) -> Result<Locked<V>, Error> {
        Ok(Locked::with_lock(object, ReentrantMutex::new(())?))
    }

    /// Lets `object` share `lock` with others.
    ///
    /// Python: `Value(type, init, lock=lock)`.
    pub fn with_lock(object: V, lock: ReentrantMutex<()>) -> Locked<V> {
        Locked { lock, object }
    }

    /// Locks; the guard dereferences to the object.
    ///
    /// # Blocking
    ///
    /// As [`ReentrantMutex::lock`].
    ///
    /// # Errors
    ///
    /// As [`ReentrantMutex::lock`].
    pub fn lock(&self) -> Result<LockedGuard<'_, V>, LockError<LockedGuard<'_, V>>> {
        self.guard(self.lock.lock())
    }

    /// Locks if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`ReentrantMutex::try_lock`].
    pub fn try_lock(&self) -> Result<LockedGuard<'_, V>, LockError<LockedGuard<'_, V>>> {
        self.guard(self.lock.try_lock())
    }

    /// Locks, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`ReentrantMutex::lock_timeout`].
    ///
    /// # Errors
    ///
    /// As [`ReentrantMutex::lock_timeout`].
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<LockedGuard<'_, V>, LockError<LockedGuard<'_, V>>> {
        self.guard(self.lock.lock_timeout(timeout))
    }

    /// The object, without the lock.
    ///
    /// Python: `get_obj()`.
    #[doc(alias = "get_obj")]
    pub fn object(&self) -> &V {
        &self.object
    }

    /// The lock.
    ///
    /// Python: `get_lock()`.
    #[doc(alias = "get_lock")]
    pub fn mutex(&self) -> &ReentrantMutex<()> {
        &self.lock
    }

    fn guard<'a>(
        &'a self,
        locked: Result<ReentrantMutexGuard<'a, ()>, LockError<ReentrantMutexGuard<'a, ()>>>,
    ) -> Result<LockedGuard<'a, V>, LockError<LockedGuard<'a, V>>> {
        let guard = |guard| LockedGuard { object: &self.object, _guard: guard };
        locked.map(guard).map_err(|error| error.map(guard))
    }
}

/// The lock of a [`Locked`] object; dropping it unlocks.
#[must_use = "the lock is released when the guard is dropped"]
#[derive(Debug)]
pub struct LockedGuard<'a, V> {
    object: &'a V,
    _guard: ReentrantMutexGuard<'a, ()>,
}

impl<V> Deref for LockedGuard<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.object
    }
}
