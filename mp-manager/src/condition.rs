//! `Condition`: waiting for what a lock guards to change.

use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::Handle;
use crate::lock::{LockGuard, acquire};
use crate::op::{LockOp, Op};
use crate::protocol::{Kind, Patience, Reply, Shape};
use crate::{Error, LockError};

/// A condition that lives in a manager's server, with the lock that belongs to it.
///
/// [`Manager::condition`](crate::Manager::condition) makes one with an [`RLock`](crate::RLock) of
/// its own; `condition` of a lock makes another one for the same lock.
///
/// Python: `SyncManager.Condition(lock)`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_manager::{Error, LockError, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let (ready, count) = (manager.condition()?, manager.value(&0)?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut guard = ready.lock().or_else(LockError::recover).unwrap();
///         count.update(|n| n + 1).unwrap();
///         guard.notify_all().unwrap();
///     });
///     let mut guard = ready.lock().or_else(LockError::recover)?;
///     let came = guard.wait_for_timeout(Duration::from_secs(9), || Ok(count.get()? == 1));
///     assert!(came.unwrap());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Condition {
    handle: Arc<Handle>,
    number: u64,
}

/// The condition's lock is this thread's. Dropping the guard releases it.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct ConditionGuard<'a> {
    lock: LockGuard<'a>,
    number: u64,
}

/// How a wait for a condition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Somebody notified.
    Notified,
    /// The time was up.
    TimedOut,
}

impl Condition {
    /// The condition that a fresh object begins with.
    pub(crate) fn first(handle: Arc<Handle>) -> Condition {
        Condition { handle, number: 0 }
    }

    /// A further condition of a lock.
    pub(crate) fn of(lock: &Arc<Handle>) -> Result<Condition, Error> {
        let number = lock.count(Op::Lock(LockOp::Condition))? as u64;
        Ok(Condition { handle: lock.clone(), number })
    }

    /// Takes the condition's lock.
    ///
    /// # Blocking
    ///
    /// As [`Lock::lock`](crate::Lock::lock).
    ///
    /// # Errors
    ///
    /// As [`Lock::lock`](crate::Lock::lock).
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Result<ConditionGuard<'_>, LockError<ConditionGuard<'_>>> {
        self.guard(Patience::Forever)
    }

    /// Takes the condition's lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Condition::lock); [`Error::WouldBlock`].
    pub fn try_lock(&self) -> Result<ConditionGuard<'_>, LockError<ConditionGuard<'_>>> {
        self.guard(Patience::Never)
    }

    /// Takes the condition's lock, and waits for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`lock`](Condition::lock), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`lock`](Condition::lock); [`Error::TimedOut`].
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ConditionGuard<'_>, LockError<ConditionGuard<'_>>> {
        self.guard(Patience::of(Some(timeout)))
    }

    fn guard(&self, wait: Patience) -> Result<ConditionGuard<'_>, LockError<ConditionGuard<'_>>> {
        let number = self.number;
        match acquire(&self.handle, wait) {
            Ok(lock) => Ok(ConditionGuard { lock, number }),
            Err(LockError::OwnerDied(lock)) => {
                Err(LockError::OwnerDied(ConditionGuard { lock, number }))
            }
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }
}

impl ConditionGuard<'_> {
    /// Lets go of the lock, however often it was taken, waits to be notified, and takes it again
    /// as often. There is no waking without a notification.
    ///
    /// # Blocking
    ///
    /// Waits for a notification and then for the lock. If the one that should notify dies: *may
    /// hang*, for nobody knows who will; use [`wait_timeout`](ConditionGuard::wait_timeout). If
    /// the lock's owner dies: *recovers*.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`]: the wait is over, the lock is taken again, and one of its owners
    /// died meanwhile. [`Error::Disconnected`].
    pub fn wait(&mut self) -> Result<(), LockError<()>> {
        self.wait_until(None).map(drop)
    }

    /// As [`wait`](ConditionGuard::wait), and the notification is waited for no longer than
    /// `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`wait`](ConditionGuard::wait). Once the time is up it still waits for the lock.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Waited, LockError<()>> {
        self.wait_until(Some(Deadline::after(timeout)))
    }

    /// Waits until `holds` says that it is so; it is called with the lock in hand.
    ///
    /// # Blocking
    ///
    /// As [`wait`](ConditionGuard::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait), and what `holds` says.
    pub fn wait_for(
        &mut self,
        holds: impl FnMut() -> Result<bool, Error>,
    ) -> Result<(), LockError<()>> {
        self.wait_for_until(None, holds).map(drop)
    }

    /// As [`wait_for`](ConditionGuard::wait_for), in all no longer than `timeout`; what `holds`
    /// said last.
    ///
    /// # Blocking
    ///
    /// As [`wait_timeout`](ConditionGuard::wait_timeout).
    ///
    /// # Errors
    ///
    /// As [`wait_for`](ConditionGuard::wait_for).
    pub fn wait_for_timeout(
        &mut self,
        timeout: Duration,
        holds: impl FnMut() -> Result<bool, Error>,
    ) -> Result<bool, LockError<()>> {
        self.wait_for_until(Some(Deadline::after(timeout)), holds)
    }

    /// Wakes one of those who wait; whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn notify_one(&mut self) -> Result<bool, Error> {
        Ok(self.notify(1)? == 1)
    }

    /// Wakes `count` of those who wait, the longest waiting first; how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn notify(&mut self, count: usize) -> Result<usize, Error> {
        let op = LockOp::Notify { condition: self.number, most: count as u64 };
        self.lock.handle.count(Op::Lock(op))
    }

    /// Wakes all who wait; how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn notify_all(&mut self) -> Result<usize, Error> {
        self.notify(usize::MAX)
    }

    fn wait_until(&mut self, deadline: Option<Deadline>) -> Result<Waited, LockError<()>> {
        let wait = Patience::of(deadline.map(Deadline::remaining));
        let op = LockOp::Wait { condition: self.number, wait };
        match self.lock.handle.call(Op::Lock(op))? {
            Reply::Woken { owner_died: true, .. } => Err(LockError::OwnerDied(())),
            Reply::Woken { notified: true, .. } => Ok(Waited::Notified),
            Reply::Woken { notified: false, .. } => Ok(Waited::TimedOut),
            _ => Err(Error::unexpected().into()),
        }
    }

    fn wait_for_until(
        &mut self,
        deadline: Option<Deadline>,
        mut holds: impl FnMut() -> Result<bool, Error>,
    ) -> Result<bool, LockError<()>> {
        loop {
            if holds()? {
                return Ok(true);
            }
            if deadline.is_some_and(Deadline::has_passed) {
                return Ok(false);
            }
            self.wait_until(deadline)?;
        }
    }
}

/// The same condition.
impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.handle.same(&other.handle) && self.number == other.number
    }
}

impl Eq for Condition {}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "condition {} of {:?}", self.number, self.handle)
    }
}

/// A handle: for messages to other processes, and for values of managed objects.
impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Reference(&self.handle), self.number).serialize(serializer)
    }
}

struct Reference<'a>(&'a Handle);

impl Serialize for Reference<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct Referent(Arc<Handle>);

impl<'de> Deserialize<'de> for Referent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Referent, D::Error> {
        let expected = Shape::new(Kind::Condition, &[]);
        let fits = |found: &Shape| matches!(found.kind, Kind::Condition | Kind::Lock | Kind::RLock);
        Handle::deserialize(deserializer, &expected, fits).map(Referent)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
        let (Referent(handle), number) = Deserialize::deserialize(deserializer)?;
        Ok(Condition { handle, number })
    }
}

impl crate::proxy::sealed::Sealed for Condition {
    fn shape() -> Shape {
        Shape::new(Kind::Condition, &[])
    }

    fn of(handle: Arc<Handle>) -> Condition {
        Condition::first(handle)
    }

    fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

impl crate::Proxy for Condition {}
