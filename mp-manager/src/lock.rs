//! `Lock`: one at a time.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::handle::Handle;
use crate::op::{LockOp, Op};
use crate::protocol::{Patience, Reply};
use crate::proxy::proxy;
use crate::{Condition, Error, LockError};

/// A lock that lives in a manager's server.
///
/// It belongs to the thread that took it. If that thread's process dies, whoever is next gets the
/// lock and is told. Those who wait get it in the order of their coming.
///
/// Processes of one family on one machine have a faster one in `mp_sync::Mutex`.
///
/// Python: `SyncManager.Lock()`. There, any thread may release it; here only its guard.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, LockError, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let lock = manager.lock()?;
/// let guard = lock.lock().or_else(LockError::recover)?;
/// assert!(lock.is_locked()?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let other = lock.try_lock();
///         assert!(matches!(other, Err(LockError::Failed(Error::WouldBlock))));
///     });
/// });
/// drop(guard);
/// assert!(!lock.is_locked()?);
/// # Ok(())
/// # }
/// ```
pub struct Lock {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Lock, Lock);

/// A lock that its owner may take again.
///
/// It is free when the last of its owner's guards is dropped. In all else it is a [`Lock`], with
/// that one's methods.
///
/// Python: `SyncManager.RLock()`.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, LockError, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let lock = manager.rlock()?;
/// let outer = lock.lock().or_else(LockError::recover)?;
/// let inner = lock.lock().or_else(LockError::recover)?;
/// drop(outer);
/// assert!(lock.is_locked()?);
/// drop(inner);
/// assert!(!lock.is_locked()?);
/// # Ok(())
/// # }
/// ```
pub struct RLock {
    lock: Lock,
}

proxy!(RLock, RLock, inside lock);

impl Deref for RLock {
    type Target = Lock;

    fn deref(&self) -> &Lock {
        &self.lock
    }
}

/// The lock is this thread's. Dropping the guard releases it.
///
/// A guard stays with its thread. Dropping it waits for the server's answer; when the server is
/// gone there is nothing to release.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct LockGuard<'a> {
    pub(crate) handle: &'a Handle,
    /// The lock belongs to this thread's connection.
    _here: PhantomData<*const ()>,
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        let _ = self.handle.unit(Op::Lock(LockOp::Release));
    }
}

impl Lock {
    /// Takes the lock; an [`RLock`] once more, if this thread has it.
    ///
    /// # Blocking
    ///
    /// Waits for its owner's release. If the owner dies: *recovers*, and the next owner is told.
    /// If the server dies: *reports* [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] with the guard; [`Error::WouldDeadlock`] if this thread has it, and it
    /// is no [`RLock`]; [`Error::Disconnected`].
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Result<LockGuard<'_>, LockError<LockGuard<'_>>> {
        acquire(&self.handle, Patience::Forever)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock); [`Error::WouldBlock`].
    pub fn try_lock(&self) -> Result<LockGuard<'_>, LockError<LockGuard<'_>>> {
        acquire(&self.handle, Patience::Never)
    }

    /// Takes the lock, and waits for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`lock`](Lock::lock), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock); [`Error::TimedOut`].
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<LockGuard<'_>, LockError<LockGuard<'_>>> {
        acquire(&self.handle, Patience::of(Some(timeout)))
    }

    /// Whether somebody has it. Python: `lock.locked()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> Result<bool, Error> {
        self.handle.flag(Op::Lock(LockOp::Locked))
    }

    /// A condition of what this lock guards.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]; [`Error::Overflow`] for the 1,025th.
    pub fn condition(&self) -> Result<Condition, Error> {
        Condition::of(&self.handle)
    }
}

pub(crate) fn acquire(
    handle: &Handle,
    wait: Patience,
) -> Result<LockGuard<'_>, LockError<LockGuard<'_>>> {
    match handle.call(Op::Lock(LockOp::Acquire(wait)))? {
        Reply::Acquired { owner_died } => {
            let guard = LockGuard { handle, _here: PhantomData };
            if owner_died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
        }
        _ => Err(Error::unexpected().into()),
    }
}
