//! An item that comes back to its queue if its consumer dies.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use mp_sys::Deadline;
use serde::de::DeserializeOwned;

use crate::byte_get::Taken;
use crate::raw::cursor::Cursor;
use crate::raw::owner::Owner;
use crate::raw::turn::Patience;
use crate::{Error, Queue};

/// An item on approval, from [`Queue::get_lease`].
///
/// Work with the item, then [`ack`](Lease::ack). Dropped without that, or left behind by a
/// process that dies, the item is the next one that a consumer gets. The lease belongs to the
/// process; its threads may pass it around.
///
/// While it lasts, the item keeps its room in the ring, and so does what was put after it.
///
/// # The end of a queue
///
/// The items of a closed queue are all done when none is left and none is held. So a consumer
/// that holds nothing waits for other processes that do, and gets what they give back or leave
/// behind; then it is told [`Error::Closed`]. A process that holds items itself is told so as soon
/// as nothing is left: others may be waiting for what it holds. `try_get` says [`Error::Empty`]
/// where `get` would wait.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, Queue};
///
/// let queue = Queue::new(0)?;
/// queue.put(7)?;
/// drop(queue.get_lease()?);
///
/// let again = queue.get_lease()?;
/// assert!(again.is_redelivered());
/// assert_eq!(again.ack()?, 7);
/// assert!(matches!(queue.try_get(), Err(Error::Empty)));
/// # Ok::<(), Error>(())
/// ```
pub struct Lease<T> {
    /// `None` once the item was acknowledged.
    value: Option<T>,
    queue: Queue<T>,
    owner: Owner,
    at: Cursor,
    redelivered: bool,
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the next item out on approval: it comes back to the queue unless it is
    /// [acknowledged](Lease::ack), also if this process dies.
    ///
    /// # Blocking
    ///
    /// As [`get`](Queue::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get), and [`Error::TooManyHolders`].
    pub fn get_lease(&self) -> Result<Lease<T>, Error> {
        self.lease_with(Patience::Until(None))
    }

    /// As [`get_lease`](Queue::get_lease), if there is an item at once.
    ///
    /// # Errors
    ///
    /// As [`try_get`](Queue::try_get), and [`Error::TooManyHolders`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Queue};
    ///
    /// let queue = Queue::new(0)?;
    /// queue.put(7)?;
    /// let lease = queue.try_get_lease()?;
    /// assert!(matches!(queue.try_get_lease(), Err(Error::Empty)));
    /// drop(lease);
    /// assert!(queue.try_get_lease()?.is_redelivered());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_get_lease(&self) -> Result<Lease<T>, Error> {
        self.lease_with(Patience::Try)
    }

    /// As [`get_lease`](Queue::get_lease), waiting no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`get_timeout`](Queue::get_timeout).
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Queue::get_timeout), and [`Error::TooManyHolders`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Error, Queue};
    ///
    /// let queue = Queue::<u32>::new(0)?;
    /// let late = queue.get_lease_timeout(Duration::from_millis(1));
    /// assert!(matches!(late, Err(Error::TimedOut)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_lease_timeout(&self, timeout: Duration) -> Result<Lease<T>, Error> {
        self.lease_with(Patience::Until(Some(Deadline::after(timeout))))
    }

    fn lease_with(&self, patience: Patience) -> Result<Lease<T>, Error> {
        let owner = Owner::current();
        let (value, Taken { at, redelivered, .. }) = self.take(Some(owner), patience)?;
        Ok(Lease { value: Some(value), queue: self.clone(), owner, at, redelivered })
    }
}

impl<T> Lease<T> {
    /// Whether somebody had the item before and did not acknowledge it.
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// Says that the item is done with, and returns it.
    ///
    /// # Blocking
    ///
    /// Waits for the consumers that are at it. If one dies: *recovers*. One that is paused inside
    /// of its own `get` keeps this waiting.
    ///
    /// # Errors
    ///
    /// [`Error::NotHeld`] in a forked child: the item is its parent's.
    #[expect(clippy::missing_panics_doc, reason = "the value is there until this takes it")]
    pub fn ack(mut self) -> Result<T, Error> {
        self.queue.bytes().acknowledge(Some(self.at), self.owner_here()?)?;
        Ok(self.value.take().expect("a lease has its value until it is acknowledged"))
    }

    /// The lease's owner, if that is this process.
    fn owner_here(&self) -> Result<Owner, Error> {
        if self.owner == Owner::current() { Ok(self.owner) } else { Err(Error::NotHeld) }
    }
}

/// Gives the item back.
///
/// Waits as [`ack`](Lease::ack) does. If that fails, the item comes back when this process ends.
impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if self.value.is_some()
            && let Ok(owner) = self.owner_here()
        {
            let _ = self.queue.bytes().give_back(self.at, owner);
        }
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a lease has its value until it is acknowledged")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a lease has its value until it is acknowledged")
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
