//! A queue of byte strings: the waiting and the handles, without types.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use mp_shm::Region;
use mp_sys::{Deadline, fd_table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::Error;
use crate::raw::bell::Listener;
use crate::raw::cursor::Cursor;
use crate::raw::fast::SHORT;
use crate::raw::getting::Getting;
use crate::raw::owner::Owner;
use crate::raw::packets::Packets;
use crate::raw::ring::{HANDLES, Patience, Record, Ring, SPILLED};
use crate::raw::spill::Spill;
use crate::raw::wait::{Waiter, Wake};

/// The ring of a queue for which nobody has said otherwise.
pub(crate) const BYTES: usize = 128 * 1024;

/// Records up to this many units take any place that becomes free; a longer one looks at each.
const SMALL: u32 = 16;

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
    inner: Arc<Inner>,
}

struct Inner {
    ring: Ring,
    packets: Packets,
    spill: Spill,
}

/// What came with the bytes of a message.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) fds: Vec<OwnedFd>,
    /// Where the record lies, for its acknowledgement.
    pub(crate) at: Cursor,
    pub(crate) redelivered: bool,
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
    /// [`Error::Closed`].
    pub fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        self.put_message(bytes, &[], Patience::Until(None))
    }

    /// Puts `bytes` in if there is room at once.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Closed`].
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
    /// [`Error::TimedOut`], [`Error::Closed`].
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
    /// [`Error::Closed`] when the queue is closed and empty.
    pub fn get(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.get_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes the next byte string out if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::Closed`] when the queue is closed and empty.
    pub fn try_get(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.take(&mut bytes, None, Patience::Try)?;
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
    /// [`Error::TimedOut`]; [`Error::Closed`] when the queue is closed and empty.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.take(&mut bytes, None, Patience::Until(Some(Deadline::after(timeout))))?;
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
    /// [`Error::Closed`] when the queue is closed and empty.
    pub fn get_into(&self, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        buffer.clear();
        self.take(buffer, None, Patience::Until(None))?;
        Ok(buffer.len())
    }

    /// How many items wait to be taken: the exact number at one instant of the call.
    pub fn len(&self) -> usize {
        self.ring().len() + self.ring().returned().unwrap_or(0)
    }

    /// Whether nothing waits to be taken.
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
    /// whom nothing is left. A put that runs at the same time has either happened before, and
    /// its item can be taken, or fails. It does not wait for anybody.
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

    /// Puts one message in.
    #[inline]
    pub(crate) fn put_message(
        &self,
        bytes: &[u8],
        fds: &[OwnedFd],
        patience: Patience,
    ) -> Result<(), Error> {
        if fds.is_empty() && bytes.len() <= SHORT {
            let mut short = [0; SHORT];
            short[..bytes.len()].copy_from_slice(bytes);
            if self.ring().put_short(&short, bytes.len(), patience) {
                return Ok(());
            }
        }
        self.put_any(bytes, fds, patience)
    }

    /// Puts one message in, the long way.
    #[cold]
    pub(crate) fn put_any(
        &self,
        bytes: &[u8],
        fds: &[OwnedFd],
        patience: Patience,
    ) -> Result<(), Error> {
        if bytes.len() > self.ring().inline_max() {
            return self.put_spilled(bytes, fds, patience);
        }
        if fds.is_empty() {
            return self.put_record(0, &[], 0, bytes, patience).map(drop);
        }
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(OwnedFd::as_fd).collect();
        self.put_record(HANDLES, &fds, 0, bytes, patience).map(drop)
    }

    #[cold]
    fn put_spilled(&self, bytes: &[u8], fds: &[OwnedFd], patience: Patience) -> Result<(), Error> {
        let Inner { ring, spill, .. } = &*self.inner;
        let mut waiter = ring.room_waiter(patience);
        let segment = loop {
            if let Some(segment) = spill.fill(ring, bytes)? {
                break segment;
            }
            let ready = || ring.is_closed() || spill.has_room(ring);
            if waiter.wait(Listener::Each, ready, || 0)? == Wake::Over {
                return Err(over(patience, Error::Full));
            }
            if ring.is_closed() {
                return Err(Error::Closed);
            }
        };
        let all = std::iter::once(segment.region().as_fd());
        let all: Vec<BorrowedFd<'_>> = all.chain(fds.iter().map(OwnedFd::as_fd)).collect();
        let put = self.put_record(HANDLES | SPILLED, &all, bytes.len() as u64, &[], patience);
        drop(all);
        spill.keep(segment, put.as_ref().ok().copied());
        put.map(drop)
    }

    /// Puts one record in and says where it lies.
    #[inline]
    fn put_record(
        &self,
        state: u32,
        fds: &[BorrowedFd<'_>],
        spilled: u64,
        bytes: &[u8],
        patience: Patience,
    ) -> Result<Cursor, Error> {
        let ring = self.ring();
        let mut waiter = ring.room_waiter(patience);
        let put = loop {
            match self.put_once(state, fds, spilled, bytes, patience, &mut waiter) {
                Ok(None) => {}
                Ok(Some(at)) => break Ok(at),
                Err(Error::TimedOut) => break Err(over(patience, Error::Full)),
                Err(error) => break Err(error),
            }
        };
        waiter.done(|| ring.has_room(Ring::units_of(1)));
        put
    }

    /// One attempt, and if it fails for want of room, one wait.
    #[inline]
    fn put_once(
        &self,
        state: u32,
        fds: &[BorrowedFd<'_>],
        spilled: u64,
        bytes: &[u8],
        patience: Patience,
        waiter: &mut Waiter<'_>,
    ) -> Result<Option<Cursor>, Error> {
        let ring = self.ring();
        let units = match state {
            0 => Ring::units_of(bytes.len()),
            _ => 2 + Ring::units_of(bytes.len()),
        };
        let mut put = ring.putting(patience)?;
        let mut woken = None;
        if put.has_room(units) {
            let at = put.tail();
            if state == 0 {
                put.write(0, &[], bytes)?;
            } else {
                let label = put.label();
                if !self.inner.packets.send(label, fds)? {
                    drop(put);
                    woken = Some(waiter.nap());
                    return self.after(woken, patience);
                }
                let word = u64::from(label) | (fds.len() as u64) << 32;
                let mut prefix = [0; 16];
                prefix[..8].copy_from_slice(&word.to_le_bytes());
                prefix[8..].copy_from_slice(&spilled.to_le_bytes());
                put.write(state, &prefix, bytes)?;
            }
            let count = put.commit();
            drop(put);
            ring.header.put.bell.ring(count);
            return Ok(Some(at));
        }
        drop(put);
        let listener = if units > SMALL { Listener::Each } else { Listener::Any };
        woken.get_or_insert(waiter.wait(
            listener,
            || ring.has_room(units),
            || ring.room_for(units),
        )?);
        self.after(woken, patience)
    }

    fn after(&self, woken: Option<Wake>, patience: Patience) -> Result<Option<Cursor>, Error> {
        match woken {
            Some(Wake::Over) => Err(over(patience, Error::Full)),
            _ => Ok(None),
        }
    }

    /// Takes the next message out, appending its bytes to `to`. With an owner it is leased.
    #[inline]
    pub(crate) fn take(
        &self,
        to: &mut Vec<u8>,
        owner: Option<Owner>,
        patience: Patience,
    ) -> Result<Taken, Error> {
        let ring = self.ring();
        let mut waiter = ring.news_waiter(patience);
        let taken = loop {
            match self.take_once(to, owner, patience, &mut waiter) {
                Ok(None) => {}
                Ok(Some(taken)) => break Ok(taken),
                Err(Error::TimedOut) => break Err(over(patience, Error::Empty)),
                Err(error) => break Err(error),
            }
        };
        waiter.done(|| ring.has_news());
        taken
    }

    /// One attempt, and if there is nothing, one wait.
    #[inline]
    fn take_once(
        &self,
        to: &mut Vec<u8>,
        owner: Option<Owner>,
        patience: Patience,
        waiter: &mut Waiter<'_>,
    ) -> Result<Option<Taken>, Error> {
        let ring = self.ring();
        // Without the lock, so that those who find nothing disturb nobody.
        if ring.has_news() {
            let mut get = ring.getting(patience)?;
            if let Some(record) = get.next()? {
                let taken = self.receive(&mut get, &record, to, owner)?;
                drop(get);
                ring.header.get.bell.ring(1);
                return Ok(Some(taken));
            }
            drop(get);
            if ring.is_over(patience)? {
                return Err(Error::Closed);
            }
        }
        match waiter.wait(Listener::Any, || ring.has_news(), || ring.len() as u32)? {
            Wake::Look => {}
            // Whoever held an item and has died did not ring either. Without the lock, next time.
            Wake::Tick => drop(ring.reap(Patience::Try)),
            Wake::Over => return Err(over(patience, Error::Empty)),
        }
        Ok(None)
    }

    /// Takes `record` out, appending its bytes to `to`.
    #[inline]
    pub(crate) fn receive(
        &self,
        get: &mut Getting<'_>,
        record: &Record,
        to: &mut Vec<u8>,
        owner: Option<Owner>,
    ) -> Result<Taken, Error> {
        let mut fds = Vec::new();
        if record.state & HANDLES == 0 {
            get.copy(record, 0, to)?;
        } else {
            fds = self.receive_handles(get, record, to)?;
        }
        match owner {
            Some(owner) => get.lease(record, owner)?,
            None => {
                get.take(record)?;
                self.commit(get)?;
            }
        }
        Ok(Taken { fds, at: record.at, redelivered: record.is_redelivered() })
    }

    #[cold]
    fn receive_handles(
        &self,
        get: &Getting<'_>,
        record: &Record,
        to: &mut Vec<u8>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let prefix = get.prefix(record)?;
        let mut fds = self.inner.packets.look(prefix.label, prefix.fds)?;
        if record.state & SPILLED == 0 {
            get.copy(record, 2, to)?;
        } else if fds.is_empty() {
            return Err(Error::Protocol("a long message has come without its segment"));
        } else {
            self.inner.spill.copy_out(fds.remove(0), prefix.len, to)?;
        }
        Ok(fds)
    }

    /// Frees what has been taken, and the descriptors that came with it.
    #[inline]
    fn commit(&self, get: &mut Getting<'_>) -> Result<(), Error> {
        get.commit();
        match get.freed_label.take() {
            None => Ok(()),
            Some(label) => self.inner.packets.discard(label),
        }
    }

    /// Ends a lease of `owner`: that at `at`, or its oldest.
    pub(crate) fn acknowledge(&self, at: Option<Cursor>, owner: Owner) -> Result<(), Error> {
        let mut get = self.ring().getting(Patience::Until(None))?;
        get.acknowledge(at, owner)?;
        self.commit(&mut get)?;
        drop(get);
        self.ring().header.get.bell.ring(1);
        Ok(())
    }

    /// Lets somebody else have what `owner` leases at `at`.
    pub(crate) fn give_back(&self, at: Cursor, owner: Owner) -> Result<(), Error> {
        let mut get = self.ring().getting(Patience::Until(None))?;
        get.give_back(at, owner)?;
        drop(get);
        self.ring().header.put.bell.ring(1);
        Ok(())
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

fn over(patience: Patience, at_once: Error) -> Error {
    match patience {
        Patience::Try => at_once,
        Patience::Until(_) => Error::TimedOut,
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
