//! A queue of values.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_sys::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::byte_get::Taken;
use crate::byte_queue::BYTES;
use crate::message::{decode_from, encode_short, with_encoded, with_scratch};
use crate::raw::owner::Owner;
use crate::raw::short::Short;
use crate::raw::turn::Patience;
use crate::{ByteQueue, Error, PutError};

/// A bounded queue between any number of producers and consumers, in any number of processes.
///
/// A clone is another handle to the same queue, and so is a queue that has travelled: it can be a
/// field of an argument, of a message through a connection, or of an item of another queue.
/// Items are values that serde can write; handles in them travel too. Items come out in the order
/// in which they went in. There is no thread behind a queue: when `put` returns, the item is in
/// shared memory, outlives its producer, and every `get`, `len` and `is_empty` knows of it.
///
/// # Capacity
///
/// A queue is full when it holds `maxsize` items, or when its ring of bytes is full. An item that
/// is longer than a quarter of the ring travels beside it, in memory of its producer that is used
/// again and again, so items of any size pass through a ring of any size; of those, a process
/// has two under way at most.
///
/// # What a death loses
///
/// - A producer that dies in `put`: its item is either in the queue, whole, or not there at all.
/// - A consumer that dies in `get`: its item is still in the queue, or the consumer had it. Once
///   the item is out of the queue, which is at one instant before `get` returns, it lives and
///   dies with the consumer. Nothing is delivered twice.
/// - [`get_lease`](Queue::get_lease) closes that window: the item comes back to the queue if its
///   consumer dies before it says [`ack`](crate::Lease::ack). A consumer that dies between its
///   work and `ack` has done the work, and it will be done again: at least once, where `get` is
///   at most once.
///
/// Nobody else is harmed: whoever dies, at any instruction, the others go on.
///
/// Python: `multiprocessing.Queue(maxsize)`. There is no feeder thread, so `join_thread` and
/// `cancel_join_thread` have nothing to do.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_ipc::{Error, Queue};
///
/// let queue = Queue::new(2)?;
/// queue.put("one".to_string())?;
/// queue.put("two".to_string())?;
/// let full = queue.try_put("three".to_string()).unwrap_err();
/// assert_eq!(full.into_value(), "three", "a failed put gives its value back");
///
/// assert_eq!(queue.get()?, "one");
/// queue.close();
/// assert_eq!(queue.get()?, "two", "what is left can be taken");
/// assert!(matches!(queue.get_timeout(Duration::from_secs(1)), Err(Error::Closed)));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "multiprocessing.Queue")]
pub struct Queue<T> {
    bytes: ByteQueue,
    _items: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// Makes a queue of at most `maxsize` items; 0 is "as many as fit into 128 KiB".
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] or [`Error::Os`] when memory or descriptors run out.
    pub fn new(maxsize: usize) -> Result<Queue<T>, Error> {
        Queue::with_capacity(maxsize, BYTES)
    }

    /// Makes a queue of at most `maxsize` items with a ring of `bytes`, rounded up to a power of
    /// two from 4 KiB to 2 GiB.
    ///
    /// # Errors
    ///
    /// As [`new`](Queue::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Error, Queue};
    ///
    /// let queue = Queue::with_capacity(2, 5_000)?;
    /// assert_eq!((queue.maxsize(), queue.capacity()), (Some(2), 8192));
    /// queue.put_many([1, 2])?;
    /// assert!(queue.is_full() && queue.len() == 2);
    /// let late = queue.put_timeout(3, Duration::from_millis(1)).unwrap_err();
    /// assert!(matches!(late.into_parts(), (3, Error::TimedOut)));
    ///
    /// assert_eq!((queue.try_get()?, queue.try_get()?), (1, 2));
    /// assert!(queue.is_empty() && matches!(queue.try_get(), Err(Error::Empty)));
    /// queue.close();
    /// assert!(queue.is_closed());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_capacity(maxsize: usize, bytes: usize) -> Result<Queue<T>, Error> {
        let bytes = ByteQueue::create(maxsize, bytes, mp_shm::type_hash::<Queue<T>>())?;
        Ok(Queue { bytes, _items: PhantomData })
    }

    /// How many items wait to be taken: the exact number at one instant of the call.
    ///
    /// Python: `Queue.qsize()`.
    ///
    /// # Blocking
    ///
    /// As [`ByteQueue::len`].
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits to be taken. Python: `Queue.empty()`.
    ///
    /// # Blocking
    ///
    /// As [`ByteQueue::len`].
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is no room for one more item, however short. Python: `Queue.full()`.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.bytes.is_full()
    }

    /// The most items, if there is a limit besides that of the bytes.
    pub fn maxsize(&self) -> Option<usize> {
        self.bytes.maxsize()
    }

    /// The size of the ring. An item takes 8 bytes besides its own, rounded up to 8.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Ends the queue, for everybody: as [`ByteQueue::close`].
    ///
    /// Python: `queue.Queue.shutdown()`, which `multiprocessing.Queue` does not have; its
    /// `close()`, which ends the queue for the calling process only, is dropping the handle here.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.bytes.close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.bytes.is_closed()
    }

    pub(crate) fn bytes(&self) -> &ByteQueue {
        &self.bytes
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts `value` in, waiting for room. Python: `Queue.put(obj)`.
    ///
    /// # Blocking
    ///
    /// Waits for room, which consumers make, and for the producers that are at it. If one of
    /// either dies: *recovers*. A producer that is paused inside of its own `put` keeps the
    /// others waiting; `put_timeout` keeps its deadline all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::Encode`], [`Error::Handle`] or [`Error::TooManyHandles`] when
    /// the value cannot be written; [`Error::Memory`] when there is no memory for a long one;
    /// [`Error::Protocol`] when a process has broken the queue's memory. The value comes back.
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_with(value, Patience::Until(None))
    }

    /// Puts `value` in if there is room at once. Python: `Queue.put_nowait(obj)`.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], besides those of [`put`](Queue::put). The value comes back.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_with(value, Patience::Try)
    }

    /// Puts `value` in, waiting for room no longer than `timeout`.
    ///
    /// Python: `Queue.put(obj, timeout=t)`.
    ///
    /// # Blocking
    ///
    /// As [`put`](Queue::put), and never past the timeout.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], besides those of [`put`](Queue::put). The value comes back.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_with(value, Patience::Until(Some(Deadline::after(timeout))))
    }

    #[inline]
    pub(crate) fn put_with(&self, value: T, patience: Patience) -> Result<(), PutError<T>> {
        let mut short = Short::default();
        if encode_short(&value, &mut short) && self.bytes.ring().put_short(&short, patience) {
            return Ok(());
        }
        let put = with_encoded(&value, |bytes, fds| self.bytes.put_message(bytes, fds, patience));
        put.map_err(|error| PutError::new(value, error))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the next item out, waiting for one. Python: `Queue.get()`.
    ///
    /// # Blocking
    ///
    /// Waits for an item, which producers put, and for the consumers that are at it; in a closed
    /// queue, for the other processes that hold its last items. If one of them dies: *recovers*. A
    /// consumer that is paused inside of its own `get` keeps the
    /// others waiting; `get_timeout` keeps its deadline all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the queue is closed and empty, and nothing can [come
    /// back](crate::Lease#the-end-of-a-queue); [`Error::Decode`] when the item is
    /// no `T`, which then is gone; [`Error::Os`] when its handles need more descriptors than this
    /// process may open, and then it stays; [`Error::Protocol`] when a process has broken the
    /// queue's memory.
    pub fn get(&self) -> Result<T, Error> {
        self.get_with(Patience::Until(None))
    }

    /// Takes the next item out if there is one. Python: `Queue.get_nowait()`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], besides those of [`get`](Queue::get).
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_with(Patience::Try)
    }

    /// Takes the next item out, waiting for one no longer than `timeout`.
    ///
    /// Python: `Queue.get(timeout=t)`.
    ///
    /// # Blocking
    ///
    /// As [`get`](Queue::get), and never past the timeout.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], besides those of [`get`](Queue::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use mp_ipc::{Error, Queue};
    ///
    /// let (queue, begin) = (Queue::<u32>::new(0)?, Instant::now());
    /// let got = queue.get_timeout(Duration::from_millis(20));
    /// assert!(matches!(got, Err(Error::TimedOut)) && begin.elapsed().as_millis() >= 20);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_with(Patience::Until(Some(Deadline::after(timeout))))
    }

    #[inline]
    fn get_with(&self, patience: Patience) -> Result<T, Error> {
        if let Some(short) = self.bytes.ring().get_short(patience) {
            return decode_from(short.bytes(), Vec::new());
        }
        self.get_long(patience)
    }

    /// [`get_with`](Queue::get_with) of what is no short item that lies there.
    #[cold]
    fn get_long(&self, patience: Patience) -> Result<T, Error> {
        let ring = self.bytes.ring();
        let got = ring.has_news().then(|| {
            with_scratch(|scratch| {
                ring.get_bytes(scratch, patience).then(|| decode_from(scratch, Vec::new()))
            })
        });
        match got.flatten() {
            Some(value) => value,
            None => self.take(None, patience).map(|(value, _)| value),
        }
    }

    #[cold]
    pub(crate) fn take(
        &self,
        owner: Option<Owner>,
        patience: Patience,
    ) -> Result<(T, Taken), Error> {
        with_scratch(|scratch| {
            let mut taken = self.bytes.take(scratch, owner, patience)?;
            let fds = std::mem::take(&mut taken.fds);
            match (decode_from(scratch, fds), owner) {
                (Ok(value), _) => Ok((value, taken)),
                // What cannot be read by anybody does not come back.
                (Err(error), Some(owner)) => {
                    self.bytes.acknowledge(Some(taken.at), owner)?;
                    Err(error)
                }
                (Err(error), None) => Err(error),
            }
        })
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { bytes: self.bytes.clone(), _items: PhantomData }
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        let element = mp_shm::type_hash::<Queue<T>>();
        let bytes = ByteQueue::deserialize_as(deserializer, element)?;
        Ok(Queue { bytes, _items: PhantomData })
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.bytes).finish()
    }
}
