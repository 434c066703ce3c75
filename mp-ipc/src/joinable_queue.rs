//! A queue that knows when all that was put into it is done.

use std::fmt;
use std::time::Duration;

use mp_sys::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::raw::bell::Listener;
use crate::raw::owner::Owner;
use crate::raw::turn::Patience;
use crate::raw::wait::Wake;
use crate::{Error, PutError, Queue};

/// A [`Queue`] whose items are tasks: each is got, worked on, and reported as done.
///
/// [`join`](JoinableQueue::join) waits until every item that was put has been reported. An item
/// whose consumer dies in between is delivered to another one, so the work is done at least once.
/// An item keeps its room in the ring until it is done, and so does what was put after it.
///
/// Python: `multiprocessing.JoinableQueue(maxsize)`. There, `join` waits for ever if a consumer
/// dies before `task_done`. Here, `task_done` speaks of an item that the same process has got.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, JoinableQueue};
///
/// let queue = JoinableQueue::new(0)?;
/// queue.put("sweep".to_string())?;
/// assert_eq!(queue.get()?, "sweep");
/// assert_eq!((queue.len(), queue.unfinished()), (0, 1));
/// queue.task_done()?;
/// queue.join()?;
/// assert!(matches!(queue.task_done(), Err(Error::NotHeld)), "one get, one task_done");
/// # Ok::<(), Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
#[doc(alias = "multiprocessing.JoinableQueue")]
pub struct JoinableQueue<T> {
    queue: Queue<T>,
}

impl<T> JoinableQueue<T> {
    /// Makes a queue of at most `maxsize` items; 0 is "as many as fit into 128 KiB".
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub fn new(maxsize: usize) -> Result<JoinableQueue<T>, Error> {
        Ok(JoinableQueue { queue: Queue::new(maxsize)? })
    }

    /// Makes a queue of at most `maxsize` items with a ring of `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, JoinableQueue};
    ///
    /// let queue = JoinableQueue::with_capacity(1, 4096)?;
    /// queue.put(1)?;
    /// assert!(queue.is_full() && matches!(queue.try_put(2).unwrap_err().error(), Error::Full));
    /// assert_eq!((queue.try_get()?, queue.is_empty()), (1, true));
    /// assert!(matches!(queue.try_get(), Err(Error::Empty)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_capacity(maxsize: usize, bytes: usize) -> Result<JoinableQueue<T>, Error> {
        Ok(JoinableQueue { queue: Queue::with_capacity(maxsize, bytes)? })
    }

    /// Reports the item that this process got first, of those that it has not reported, as done.
    ///
    /// # Blocking
    ///
    /// As [`Lease::ack`](crate::Lease::ack).
    ///
    /// # Errors
    ///
    /// [`Error::NotHeld`] when it was called more often than `get` in this process.
    pub fn task_done(&self) -> Result<(), Error> {
        self.queue.bytes().acknowledge(None, Owner::current())
    }

    /// Waits until every item that was put has been reported as done.
    ///
    /// # Blocking
    ///
    /// Waits for the consumers' [`task_done`](JoinableQueue::task_done). If a consumer dies
    /// before that: *recovers* if another consumer gets the item, and otherwise *reports*
    /// [`Error::ConsumerDied`]. It may then be called again, to wait for a consumer that is busy
    /// or yet to be started. A consumer that lives and never reports keeps it waiting.
    ///
    /// # Errors
    ///
    /// [`Error::ConsumerDied`] when a dead consumer's item waits to be got; [`Error::Protocol`]
    /// when a process has broken the queue's memory.
    pub fn join(&self) -> Result<(), Error> {
        self.join_until(None)
    }

    /// As [`join`](JoinableQueue::join), no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`join`](JoinableQueue::join), and never past the timeout.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and as [`join`](JoinableQueue::join).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Error, JoinableQueue};
    ///
    /// let (queue, soon) = (JoinableQueue::new(0)?, Duration::from_millis(1));
    /// queue.put_timeout(7, soon)?;
    /// assert_eq!(queue.get_timeout(soon)?, 7);
    /// assert!(matches!(queue.join_timeout(soon), Err(Error::TimedOut)), "got is not done");
    /// queue.task_done()?;
    /// queue.join_timeout(soon)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.join_until(Some(Deadline::after(timeout)))
    }

    fn join_until(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        let ring = self.queue.bytes().ring();
        let mut waiter = ring.room_waiter(Patience::Until(deadline));
        let is_done = || ring.unfinished() == 0;
        let mut waiting = 0;
        let joined = loop {
            if is_done() {
                break Ok(());
            }
            match waiter.wait(Listener::Each, is_done, || 0)? {
                Wake::Look => {}
                Wake::Over => break Err(Error::TimedOut),
                Wake::Tick => {
                    // One tick for the consumers that wait to take what was given back.
                    let items = ring.returned()?;
                    if items > 0 && waiting > 0 {
                        break Err(Error::ConsumerDied { items });
                    }
                    // Without the lock it is for the next tick.
                    drop(ring.reap(Patience::Try));
                    waiting = ring.returned()?;
                }
            }
        };
        waiter.done(|| ring.has_room(2));
        joined
    }

    /// How many items were put and not reported as done.
    pub fn unfinished(&self) -> usize {
        self.queue.bytes().ring().unfinished()
    }

    /// How many items wait to be got. Python: `JoinableQueue.qsize()`.
    ///
    /// # Blocking
    ///
    /// As [`ByteQueue::len`](crate::ByteQueue::len).
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no item waits to be got.
    ///
    /// # Blocking
    ///
    /// As [`len`](JoinableQueue::len).
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether there is no room for one more item, however short.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Ends the queue, for everybody: as [`Queue::close`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, JoinableQueue};
    ///
    /// let queue = JoinableQueue::new(0)?;
    /// queue.put(7)?;
    /// queue.close();
    /// assert!(queue.is_closed() && queue.put(8).is_err());
    /// assert_eq!(queue.get()?, 7, "what is left is still to be done");
    /// queue.task_done()?;
    /// assert!(matches!(queue.get(), Err(Error::Closed)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn close(&self) {
        self.queue.close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl<T: Serialize> JoinableQueue<T> {
    /// As [`Queue::put`].
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

    /// As [`Queue::try_put`].
    ///
    /// # Errors
    ///
    /// As [`Queue::try_put`].
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.queue.try_put(value)
    }

    /// As [`Queue::put_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`Queue::put_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Queue::put_timeout`].
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.queue.put_timeout(value, timeout)
    }
}

impl<T: DeserializeOwned> JoinableQueue<T> {
    /// Takes the next item out, to be answered by [`task_done`](JoinableQueue::task_done).
    ///
    /// # Blocking
    ///
    /// As [`Queue::get`].
    ///
    /// # Errors
    ///
    /// As [`Queue::get_lease`].
    pub fn get(&self) -> Result<T, Error> {
        self.get_with(Patience::Until(None))
    }

    /// As [`get`](JoinableQueue::get), if there is an item at once.
    ///
    /// # Errors
    ///
    /// As [`Queue::try_get_lease`].
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_with(Patience::Try)
    }

    /// As [`get`](JoinableQueue::get), waiting no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`Queue::get_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Queue::get_lease_timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_with(Patience::Until(Some(Deadline::after(timeout))))
    }

    fn get_with(&self, patience: Patience) -> Result<T, Error> {
        Ok(self.queue.take(Some(Owner::current()), patience)?.0)
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> JoinableQueue<T> {
        JoinableQueue { queue: self.queue.clone() }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinableQueue").field(&self.queue).finish()
    }
}
