//! `Queue`: values from some processes to others.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, QueueOp};
use crate::protocol::{Patience, Reply};
use crate::proxy::proxy;
use crate::scope::{pack_all, unpack_all};
use crate::{Error, PutError};

/// A queue that lives in a manager's server.
///
/// Values are given out in the order in which they were put, each once. A value that a consumer
/// has got dies with it; if that must not be, use a [`JoinableQueue`](crate::JoinableQueue).
///
/// Processes of one family on one machine have a faster one in `mp_ipc::Queue`; this one is also
/// reached from elsewhere.
///
/// Python: `SyncManager.Queue(maxsize)`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let jobs = manager.queue::<String>(2)?;
/// jobs.put("first".to_string())?;
/// jobs.put("second".to_string())?;
/// let full = jobs.try_put("third".to_string()).unwrap_err();
/// assert!(matches!(full.error(), Error::Full));
/// assert_eq!(full.into_value(), "third", "and nothing is lost");
///
/// assert_eq!(jobs.get()?, "first");
/// jobs.close()?;
/// assert_eq!(jobs.get()?, "second", "what is left can be got");
/// assert!(matches!(jobs.get_timeout(Duration::from_secs(9)), Err(Error::Closed)));
/// # Ok(())
/// # }
/// ```
pub struct Queue<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(Queue<T>, Queue);

impl<T: Serialize + DeserializeOwned> Queue<T> {
    /// Puts a value at the end.
    ///
    /// # Blocking
    ///
    /// Waits for room, which others make by getting. If they die: *may hang*, for nobody knows
    /// who will come to get; use [`put_timeout`](Queue::put_timeout) where that can be.
    ///
    /// # Errors
    ///
    /// The value, and [`Error::Closed`], [`Error::Encode`], [`Error::TooBig`] or
    /// [`Error::Disconnected`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_for(value, Patience::Forever)
    }

    /// Puts a value at the end if there is room. Python: `q.put_nowait(value)`.
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put); [`Error::Full`].
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_for(value, Patience::Never)
    }

    /// Puts a value at the end, and waits for room no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`put`](Queue::put), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put); [`Error::TimedOut`].
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_for(value, Patience::of(Some(timeout)))
    }

    /// Puts all of `values`, in order, in one round trip if there is room.
    ///
    /// # Blocking
    ///
    /// As [`put`](Queue::put).
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put), with the values that are not in the queue.
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        let mut values: Vec<T> = values.into_iter().collect();
        while !values.is_empty() {
            match self.send(&values, Patience::Forever) {
                // What is left is asked for again: then the server says why.
                Ok(count) => drop(values.drain(..count.min(values.len()))),
                Err(error) => return Err(PutError::new(values, error)),
            }
        }
        Ok(())
    }

    /// Gets the first value.
    ///
    /// # Blocking
    ///
    /// Waits for a value. If those who could put one die: *may hang*, for nobody knows who will
    /// come to put; [`close`](Queue::close) ends it, and [`get_timeout`](Queue::get_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is closed and empty; [`Error::Decode`];
    /// [`Error::Disconnected`].
    pub fn get(&self) -> Result<T, Error> {
        self.get_for(Patience::Forever)
    }

    /// Gets the first value if there is one. Python: `q.get_nowait()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get); [`Error::Empty`].
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_for(Patience::Never)
    }

    /// Gets the first value, and waits for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`get`](Queue::get), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get); [`Error::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_for(Patience::of(Some(timeout)))
    }

    /// Gets what is there in one round trip, `most` values at most; waits for the first.
    ///
    /// # Blocking
    ///
    /// As [`get`](Queue::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get).
    pub fn get_many(&self, most: usize) -> Result<Vec<T>, Error> {
        self.get_many_for(most, Patience::Forever)
    }

    /// How many values are in the queue. Python: `q.qsize()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "qsize")]
    pub fn len(&self) -> Result<usize, Error> {
        self.handle.count(Op::Queue(QueueOp::Len))
    }

    /// Whether it is empty. Python: `q.empty()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// Whether a `put` would wait. Python: `q.full()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "full")]
    pub fn is_full(&self) -> Result<bool, Error> {
        self.handle.flag(Op::Queue(QueueOp::IsFull))
    }

    /// Ends it: nothing more can be put, and what is left can be got. Wakes all who wait.
    /// Python: `q.shutdown()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "shutdown")]
    pub fn close(&self) -> Result<(), Error> {
        self.handle.unit(Op::Queue(QueueOp::Close))
    }

    fn put_for(&self, value: T, wait: Patience) -> Result<(), PutError<T>> {
        match self.send([&value], wait) {
            Ok(_) => Ok(()),
            Err(error) => Err(PutError::new(value, error)),
        }
    }

    /// Puts values; how many of them.
    fn send<'a>(
        &self,
        values: impl IntoIterator<Item = &'a T>,
        wait: Patience,
    ) -> Result<usize, Error>
    where
        T: 'a,
    {
        let values = pack_all(self.handle.session(), values)?;
        self.handle.count(Op::Queue(QueueOp::Put { values, wait }))
    }

    fn get_for(&self, wait: Patience) -> Result<T, Error> {
        self.get_many_for(1, wait)?.pop().ok_or_else(Error::unexpected)
    }

    fn get_many_for(&self, most: usize, wait: Patience) -> Result<Vec<T>, Error> {
        match self.handle.call(Op::Queue(QueueOp::Get { most: most as u64, wait }))? {
            Reply::Values(values) => unpack_all(self.handle.session(), &values),
            _ => Err(Error::unexpected()),
        }
    }
}
