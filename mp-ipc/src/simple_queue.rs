//! A queue with four methods.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, PutError, Queue};

/// A [`Queue`] without limits on items and without timeouts.
///
/// Python: `multiprocessing.SimpleQueue()`.
///
/// # Examples
///
/// ```
/// use mp_ipc::SimpleQueue;
///
/// let queue = SimpleQueue::new()?;
/// assert!(queue.is_empty());
/// queue.put(1)?;
/// assert_eq!(queue.get()?, 1);
/// queue.close();
/// assert!(queue.put(2).is_err(), "closed for everybody");
/// assert!(matches!(queue.get(), Err(mp_ipc::Error::Closed)), "and empty");
/// # Ok::<(), mp_ipc::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SimpleQueue<T> {
    queue: Queue<T>,
}

impl<T> SimpleQueue<T> {
    /// Makes a queue.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub fn new() -> Result<SimpleQueue<T>, Error> {
        Ok(SimpleQueue { queue: Queue::new(0)? })
    }

    /// Whether nothing waits to be taken.
    ///
    /// # Blocking
    ///
    /// As [`ByteQueue::len`](crate::ByteQueue::len).
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Ends the queue, for everybody: as [`Queue::close`].
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<T: Serialize> SimpleQueue<T> {
    /// Puts `value` in, waiting while 128 KiB of items wait to be taken.
    ///
    /// # Blocking
    ///
    /// As [`Queue::put`].
    ///
    /// # Errors
    ///
    /// As [`Queue::put`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.queue.put(value)
    }
}

impl<T: DeserializeOwned> SimpleQueue<T> {
    /// Takes the next item out, waiting for one.
    ///
    /// # Blocking
    ///
    /// As [`Queue::get`].
    ///
    /// # Errors
    ///
    /// As [`Queue::get`].
    pub fn get(&self) -> Result<T, Error> {
        self.queue.get()
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> SimpleQueue<T> {
        SimpleQueue { queue: self.queue.clone() }
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimpleQueue").field(&self.queue).finish()
    }
}
