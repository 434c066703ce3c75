//! `JoinableQueue`: a queue that knows when all that was put is done.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, QueueOp};
use crate::protocol::Patience;
use crate::proxy::proxy;
use crate::queue::{get, get_many, is_full, put, put_all};
use crate::{Error, PutError};

/// A queue that lives in a manager's server and knows when all that was put is done.
///
/// A value that was got belongs to the process that got it until that calls
/// [`task_done`](JoinableQueue::task_done). If the process dies before, the value is the next to
/// be got by another: so each value is done at least once, whoever dies.
///
/// Python: `SyncManager.JoinableQueue(maxsize)`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let jobs = manager.joinable_queue::<u32>(0)?;
/// jobs.extend([1, 2])?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         for _ in 0..2 {
///             jobs.get().unwrap();
///             jobs.task_done().unwrap();
///         }
///     });
///     jobs.join()
/// })?;
/// assert!(matches!(jobs.task_done(), Err(Error::Overflow)), "nothing is left to be done");
/// # Ok(())
/// # }
/// ```
pub struct JoinableQueue<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(JoinableQueue<T>, JoinableQueue);

impl<T: Serialize + DeserializeOwned> JoinableQueue<T> {
    /// Reports the value that this process got first, of those that it has not reported, as done.
    ///
    /// # Errors
    ///
    /// [`Error::Overflow`] when it was called more often than `get` in this process;
    /// [`Error::Disconnected`].
    pub fn task_done(&self) -> Result<(), Error> {
        self.handle.unit(Op::Queue(QueueOp::Done(1)))
    }

    /// Waits until all that was put is done.
    ///
    /// # Blocking
    ///
    /// Waits for the consumers' [`task_done`](JoinableQueue::task_done). If a consumer dies
    /// before that: *recovers* if another stands ready to get its value, and otherwise *reports*
    /// [`Error::ConsumerDied`]; it may then be called again. A consumer that lives and never
    /// reports keeps it waiting.
    ///
    /// # Errors
    ///
    /// [`Error::ConsumerDied`], [`Error::Disconnected`].
    pub fn join(&self) -> Result<(), Error> {
        self.handle.unit(Op::Queue(QueueOp::Join(Patience::Forever)))
    }

    /// As [`join`](JoinableQueue::join), no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`join`](JoinableQueue::join), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`join`](JoinableQueue::join); [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.handle.unit(Op::Queue(QueueOp::Join(Patience::of(Some(timeout)))))
    }

    /// Puts a value at the end.
    ///
    /// # Blocking
    ///
    /// Waits for room, which others make by getting. If they die: *may hang*, for nobody knows
    /// who will come to get; use [`put_timeout`](JoinableQueue::put_timeout) where that can be.
    ///
    /// # Errors
    ///
    /// The value, and [`Error::Closed`], [`Error::Encode`], [`Error::TooBig`] or
    /// [`Error::Disconnected`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        put(&self.handle, value, Patience::Forever)
    }

    /// Puts a value at the end if there is room. Python: `q.put_nowait(value)`.
    ///
    /// # Errors
    ///
    /// As [`put`](JoinableQueue::put); [`Error::Full`].
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        put(&self.handle, value, Patience::Never)
    }

    /// Puts a value at the end, and waits for room no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`put`](JoinableQueue::put), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`put`](JoinableQueue::put); [`Error::TimedOut`].
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        put(&self.handle, value, Patience::of(Some(timeout)))
    }

    /// Puts all of `values`, in order, in one round trip if there is room.
    ///
    /// # Blocking
    ///
    /// As [`put`](JoinableQueue::put).
    ///
    /// # Errors
    ///
    /// As [`put`](JoinableQueue::put), with the values that are not in the queue.
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        put_all(&self.handle, values.into_iter().collect(), None)
    }

    /// Gets the first value.
    ///
    /// # Blocking
    ///
    /// Waits for a value. If those who could put one die: *may hang*, for nobody knows who will
    /// come to put; [`close`](JoinableQueue::close) ends it, and [`get_timeout`](JoinableQueue::get_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is closed and empty; [`Error::Decode`];
    /// [`Error::Disconnected`].
    pub fn get(&self) -> Result<T, Error> {
        get(&self.handle, Patience::Forever)
    }

    /// Gets the first value if there is one. Python: `q.get_nowait()`.
    ///
    /// # Errors
    ///
    /// As [`get`](JoinableQueue::get); [`Error::Empty`].
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, Error> {
        get(&self.handle, Patience::Never)
    }

    /// Gets the first value, and waits for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`get`](JoinableQueue::get), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`get`](JoinableQueue::get); [`Error::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        get(&self.handle, Patience::of(Some(timeout)))
    }

    /// Gets what is there in one round trip, `most` values at most; waits for the first.
    ///
    /// # Blocking
    ///
    /// As [`get`](JoinableQueue::get).
    ///
    /// # Errors
    ///
    /// As [`get`](JoinableQueue::get).
    pub fn get_many(&self, most: usize) -> Result<Vec<T>, Error> {
        get_many(&self.handle, most, Patience::Forever)
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
        is_full(&self.handle)
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
}
