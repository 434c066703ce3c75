//! A queue of byte strings: its handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::{Deadline, fd_table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::Error;
use crate::raw::packets::Packets;
use crate::raw::ring::Ring;
use crate::raw::spill::Spill;
use crate::raw::turn::Patience;
use crate::sys::Region;

/// The ring of a queue for which nobody has said otherwise.
pub(crate) const BYTES: usize = 128 * 1024;

/// A bounded queue of byte strings, between any number of processes.
///
/// The layer under [`Queue`](crate::Queue), for payloads that are bytes already: they are copied
/// once into shared memory and once out of it. Everything that `Queue` says of order, deaths and
/// capacity holds here.
///
/// # Examples
///
/// ```
/// use mp_ipc::{ByteQueue, Error};
///
/// let queue = ByteQueue::new(2)?;
/// queue.put(b"one")?;
/// queue.put(&[0; 1_000_000])?; // longer than the ring: travels beside it
/// assert!(matches!(queue.try_put(b"three"), Err(Error::Full)));
///
/// let mut buffer = Vec::new();
/// assert_eq!(queue.get_into(&mut buffer)?, 3);
/// assert_eq!(buffer, b"one");
/// assert_eq!(queue.get()?.len(), 1_000_000);
/// assert!(matches!(queue.try_get(), Err(Error::Empty)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct ByteQueue {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ring: Ring,
    pub(crate) packets: Packets,
    pub(crate) spill: Spill,
}

impl ByteQueue {
    /// Makes a queue of at most `maxsize` items; 0 is "as many as fit".
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] or [`Error::Os`] when memory or descriptors run out.
    pub fn new(maxsize: usize) -> Result<ByteQueue, Error> {
        ByteQueue::with_capacity(maxsize, BYTES)
    }

    /// Makes a queue of at most `maxsize` items with a ring of `bytes`, rounded up to a power of
    /// two from 4 KiB to 2 GiB. What is longer than a quarter of the ring travels beside it.
    ///
    /// # Errors
    ///
    /// As [`new`](ByteQueue::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{ByteQueue, Error};
    ///
    /// let queue = ByteQueue::with_capacity(0, 3_000)?;
    /// assert_eq!((queue.capacity(), queue.maxsize()), (4096, None));
    /// while queue.try_put(&[7; 24]).is_ok() {}
    /// assert!(queue.is_full() && queue.len() == 4096 / (8 + 24));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_capacity(maxsize: usize, bytes: usize) -> Result<ByteQueue, Error> {
        ByteQueue::create(maxsize, bytes, mp_shm::type_hash::<[u8; 0]>())
    }

    pub(crate) fn create(maxsize: usize, bytes: usize, element: u64) -> Result<ByteQueue, Error> {
        let ring = Ring::create(maxsize, bytes, element)?;
        Ok(ByteQueue::from_parts(ring, Packets::create()?))
    }

    fn from_parts(ring: Ring, packets: Packets) -> ByteQueue {
        ByteQueue { inner: Arc::new(Inner { ring, packets, spill: Spill::default() }) }
    }

    /// Puts `bytes` in, waiting for room.
    ///
    /// # Blocking
    ///
    /// As [`Queue::put`](crate::Queue::put).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::Memory`] when there is no memory for one that travels beside
    /// the ring; [`Error::Protocol`] when a process has broken the queue's memory.
    pub fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        self.put_message(bytes, &[], Patience::Until(None))
    }

    /// Puts `bytes` in if there is room at once.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], besides those of [`put`](ByteQueue::put).
    pub fn try_put(&self, bytes: &[u8]) -> Result<(), Error> {
        self.put_message(bytes, &[], Patience::Try)
    }

    /// Puts `bytes` in, waiting for room no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`Queue::put_timeout`](crate::Queue::put_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], besides those of [`put`](ByteQueue::put).
    pub fn put_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), Error> {
        self.put_message(bytes, &[], Patience::Until(Some(Deadline::after(timeout))))
    }

    /// Takes the next byte string out, waiting for one.
    ///
    /// # Blocking
    ///
    /// As [`Queue::get`](crate::Queue::get).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] as [`Queue::get`](crate::Queue::get); [`Error::Protocol`] when a process
    /// has broken the queue's memory.
    pub fn get(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.get_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes the next byte string out if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], besides those of [`get`](ByteQueue::get).
    pub fn try_get(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.get_with(&mut bytes, Patience::Try)?;
        Ok(bytes)
    }

    /// Takes the next byte string out, waiting no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`Queue::get_timeout`](crate::Queue::get_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], besides those of [`get`](ByteQueue::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{ByteQueue, Error};
    ///
    /// let (queue, soon) = (ByteQueue::new(1)?, Duration::from_millis(1));
    /// assert!(matches!(queue.get_timeout(soon), Err(Error::TimedOut)));
    /// queue.put_timeout(b"one", soon)?;
    /// assert!(matches!(queue.put_timeout(b"two", soon), Err(Error::TimedOut)));
    /// assert_eq!(queue.get_timeout(soon)?, b"one");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.get_with(&mut bytes, Patience::Until(Some(Deadline::after(timeout))))?;
        Ok(bytes)
    }

    /// Takes the next byte string into `buffer`, in place of what is there, and says how long it
    /// is. A buffer that is used again and again needs no fresh memory.
    ///
    /// # Blocking
    ///
    /// As [`Queue::get`](crate::Queue::get).
    ///
    /// # Errors
    ///
    /// As [`get`](ByteQueue::get).
    pub fn get_into(&self, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        buffer.clear();
        self.get_with(buffer, Patience::Until(None))?;
        Ok(buffer.len())
    }

    #[inline]
    fn get_with(&self, to: &mut Vec<u8>, patience: Patience) -> Result<(), Error> {
        if self.ring().get_bytes(to, patience) {
            return Ok(());
        }
        self.take(to, None, patience).map(drop)
    }

    /// How many items wait to be taken: the exact number at one instant of the call.
    ///
    /// # Blocking
    ///
    /// Only while there are items that came back from a [`Lease`](crate::Lease): waits for the
    /// consumers that are at it. If one dies: *recovers*. One that is paused inside of its own
    /// `get` keeps this waiting.
    pub fn len(&self) -> usize {
        self.ring().len() + self.ring().returned().unwrap_or(0)
    }

    /// Whether nothing waits to be taken.
    ///
    /// # Blocking
    ///
    /// As [`len`](ByteQueue::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for one more item, however short.
    pub fn is_full(&self) -> bool {
        !self.is_closed() && !self.ring().has_room(Ring::units_of(1))
    }

    /// The most items, if there is a limit besides that of the bytes.
    pub fn maxsize(&self) -> Option<usize> {
        self.ring().limit()
    }

    /// The size of the ring. An item takes 8 bytes besides its own, rounded up to 8.
    pub fn capacity(&self) -> usize {
        self.ring().bytes()
    }

    /// Ends the queue: nobody puts any more, in no process. What is in it can be taken.
    ///
    /// All who wait in `put` wake with [`Error::Closed`], and so do all who wait in `get` for
    /// whom nothing is left, or can come back from a [`Lease`](crate::Lease). A put that runs at the same time has either happened before, and
    /// its item can be taken, or fails. It does not wait for anybody.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{ByteQueue, Error};
    ///
    /// let queue = ByteQueue::new(0)?;
    /// queue.put(b"last")?;
    /// queue.close();
    /// assert!(queue.is_closed() && matches!(queue.put(b"more"), Err(Error::Closed)));
    /// assert_eq!((queue.len(), queue.get()?), (1, b"last".to_vec()));
    /// assert!(queue.is_empty() && matches!(queue.get(), Err(Error::Closed)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn close(&self) {
        self.ring().close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.ring().is_closed()
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.inner.ring
    }

    pub(crate) fn deserialize_as<'de, D: Deserializer<'de>>(
        deserializer: D,
        element: u64,
    ) -> Result<ByteQueue, D::Error> {
        let (region, enter, leave) = <(Region, u32, u32)>::deserialize(deserializer)?;
        let ring = Ring::attach(region, element).map_err(de::Error::custom)?;
        let fd = |index| {
            let fd = fd_table::with(index, |fd| fd.try_clone_to_owned());
            fd.map_err(de::Error::custom)?.map_err(de::Error::custom)
        };
        Ok(ByteQueue::from_parts(ring, Packets::attach(fd(enter)?, fd(leave)?)))
    }
}

/// A queue travels as its memory and the two ends of its socket pair.
impl Serialize for ByteQueue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [enter, leave] = self.inner.packets.ends();
        let enter = fd_table::push_once(enter).map_err(ser::Error::custom)?;
        let leave = fd_table::push_once(leave).map_err(ser::Error::custom)?;
        (self.ring().region(), enter, leave).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteQueue, D::Error> {
        ByteQueue::deserialize_as(deserializer, mp_shm::type_hash::<[u8; 0]>())
    }
}

impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteQueue")
            .field("items", &self.ring().len())
            .field("maxsize", &self.maxsize())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}
