//! The ring: its memory, its two locks, and what can be seen without them.
#![expect(unsafe_code, reason = "places the header in shared memory")]

use std::sync::atomic::Ordering;

use mp_shm::Kind;

use super::cursor::Cursor;
use super::header::{Header, RING};
use super::turn::{Patience, Turn};
use super::wait::{Lull, Waiter};
use crate::Error;
use crate::sys::{BYTES_MIN, Placed, Region, Window};

/// Records are measured in these.
pub(crate) const UNIT: usize = 8;
/// The largest ring: positions never become ambiguous.
const BYTES_MAX: usize = 1 << 31;

/// In a record's state: it begins with the label of its descriptors.
pub(crate) const HANDLES: u32 = 1;
/// In a record's state: its bytes lie in the segment that is its first descriptor.
pub(crate) const SPILLED: u32 = 2;

/// One queue's memory, as this process sees it.
#[derive(Debug)]
pub(crate) struct Ring {
    // INVARIANT (disjoint): the header lies before RING, the data from there on, and nobody else
    // places anything in the region, which this type does not give out.
    region: Region,
    pub(crate) header: Placed<Header>,
    data: Window,
    /// A power of two.
    units: u32,
    /// The most items; `u32::MAX` is no limit.
    limit: u32,
    /// For the waits of this process for room, and for items.
    pub(crate) room: Lull,
    pub(crate) news: Lull,
}

/// One record of the ring, its length checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) at: Cursor,
    pub(crate) next: Cursor,
    /// Bytes after the header word.
    pub(crate) len: u32,
    pub(crate) state: u32,
}

impl Ring {
    /// `limit` 0 is no limit; `bytes` is rounded up to a power of two.
    pub(crate) fn create(limit: usize, bytes: usize, element: u64) -> Result<Ring, Error> {
        let bytes = bytes.clamp(BYTES_MIN, BYTES_MAX).next_power_of_two();
        let region = Region::create(Kind::QUEUE, RING + bytes, element)?;
        // More items than units never fit, so a larger limit is none.
        let limit = if limit >= bytes / UNIT { 0 } else { limit as u32 };
        let ring = Ring::open(region)?;
        ring.header.limit.store(limit, Ordering::Relaxed);
        Ok(Ring { limit: if limit == 0 { u32::MAX } else { limit }, ..ring })
    }

    /// The queue that another process has made.
    pub(crate) fn attach(region: Region, element: u64) -> Result<Ring, Error> {
        Ring::open(region.expect(Kind::QUEUE, element)?)
    }

    fn open(region: Region) -> Result<Ring, Error> {
        let bytes = region.len().saturating_sub(RING);
        if !bytes.is_power_of_two() || !(BYTES_MIN..=BYTES_MAX).contains(&bytes) {
            return Err(Error::Protocol("a queue's ring has a size that no queue makes"));
        }
        // SAFETY: INVARIANT (disjoint).
        let header = unsafe { region.place::<Header>(0) }?;
        let data = region.window(RING, bytes)?;
        let limit = match header.limit.load(Ordering::Relaxed) {
            0 => u32::MAX,
            limit => limit,
        };
        let (room, news) = (Lull::default(), Lull::default());
        Ok(Ring { region, header, data, units: (bytes / UNIT) as u32, limit, room, news })
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn units(&self) -> u32 {
        self.units
    }

    pub(crate) fn bytes(&self) -> usize {
        self.units as usize * UNIT
    }

    /// The most items, if there is a limit but that of the bytes.
    pub(crate) fn limit(&self) -> Option<usize> {
        (self.limit != u32::MAX).then_some(self.limit as usize)
    }

    /// How many units a record of `len` bytes takes, with its header word.
    #[inline]
    pub(crate) fn units_of(len: usize) -> u32 {
        (1 + len.div_ceil(UNIT)) as u32
    }

    /// The longest record that goes through the ring and not beside it: a quarter.
    pub(crate) fn inline_max(&self) -> usize {
        self.bytes() / 4
    }

    /// Up to where records exist. Acquire: pairs with the commit of a put.
    #[inline]
    pub(crate) fn tail(&self) -> Cursor {
        Cursor::of(self.header.put.commit.load(Ordering::Acquire))
    }

    /// Up to where the room is free. Acquire: pairs with the commit of a get.
    #[inline]
    pub(crate) fn head(&self) -> Cursor {
        Cursor::of(self.header.get.commit.load(Ordering::Acquire))
    }

    /// What is delivered next, if nothing was given back.
    #[inline]
    pub(crate) fn next(&self) -> Cursor {
        if self.header.leasing.load(Ordering::Acquire) != 0 {
            return Cursor::of(self.header.next.load(Ordering::Acquire));
        }
        self.head()
    }

    /// Acquire: pairs with the store in close().
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.header.closed.load(Ordering::Acquire) != 0
    }

    /// Whether a get has something to do: an item, or the end.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.tail() != self.next()
            || self.is_closed()
            || self.header.returned.load(Ordering::Relaxed) != 0
    }

    /// How many items wait to be delivered, at one instant of this call.
    pub(crate) fn len(&self) -> usize {
        loop {
            let next = self.next();
            let tail = self.tail();
            // The tail was read while the other word stood still, so both were true together.
            if self.next() == next {
                return tail.items_since(next) as usize;
            }
        }
    }

    /// How many items were put and are not done with.
    pub(crate) fn unfinished(&self) -> usize {
        loop {
            let head = self.head();
            let tail = self.tail();
            if self.head() == head {
                return tail.items_since(head) as usize;
            }
        }
    }

    /// Whether a record of `units` fits behind `tail`, if `head` and `next` are up to date.
    #[inline]
    pub(crate) fn fits(&self, tail: Cursor, head: Cursor, next: Cursor, units: u32) -> bool {
        tail.units_since(head) <= self.units - units && tail.items_since(next) < self.limit
    }

    /// For a put that may have to wait for room.
    #[inline]
    pub(crate) fn room_waiter(&self, patience: Patience) -> Waiter<'_> {
        let seen = (&self.header.putters, &self.header.getters);
        Waiter::new(&self.header.get.bell, &self.room, seen, patience)
    }

    /// For a get that may have to wait for an item.
    #[inline]
    pub(crate) fn news_waiter(&self, patience: Patience) -> Waiter<'_> {
        let seen = (&self.header.getters, &self.header.putters);
        Waiter::new(&self.header.put.bell, &self.news, seen, patience)
    }

    /// Tells sleeping getters of `count` records, which the caller has just put.
    #[inline]
    pub(crate) fn ring_news(&self, count: u32) {
        if self.header.put.bell.ring(count) {
            self.header.putters.here();
        }
    }

    /// Tells sleeping putters of the room of `count` records, which the caller has just got.
    #[inline]
    pub(crate) fn ring_room(&self, count: u32) {
        if self.header.get.bell.ring(count) {
            self.header.getters.here();
        }
    }

    /// How many records of `units` fit.
    pub(crate) fn room_for(&self, units: u32) -> u32 {
        let tail = self.tail();
        let free = self.units.saturating_sub(tail.units_since(self.head()));
        (free / units.max(1)).min(self.limit.saturating_sub(tail.items_since(self.next())))
    }

    /// Whether a put of `units` has something to do: room, or the end.
    #[inline]
    pub(crate) fn has_room(&self, units: u32) -> bool {
        let tail = self.tail();
        self.fits(tail, self.head(), self.next(), units.min(self.units)) || self.is_closed()
    }

    /// The record at `at`, which lies before `end`.
    #[inline]
    pub(crate) fn record(&self, at: Cursor, end: Cursor) -> Result<Record, Error> {
        let word = self.load(at.units)?;
        let (len, state) = (word as u32, (word >> 32) as u32);
        let units = Ring::units_of(len as usize);
        // Loaded once, checked before use: what a broken process wrote is an error here.
        if units > end.units_since(at) {
            return Err(Error::Protocol("a record in the queue is longer than the queue is full"));
        }
        Ok(Record { at, next: at.past(units), len, state })
    }

    /// Whether `units` fit behind `tail`. The caller has the put lock.
    #[inline]
    pub(crate) fn has_room_behind(&self, tail: Cursor, units: u32) -> bool {
        let side = &self.header.put;
        // What was seen lies at or before the real head, so what fits by it fits.
        let seen = Cursor::of(side.seen.load(Ordering::Relaxed));
        if self.fits(tail, seen, seen, units) {
            return true;
        }
        let head = self.head();
        side.seen.store(head.word(), Ordering::Relaxed);
        self.fits(tail, head, self.next(), units)
    }

    /// Up to where there are records behind `at`, as last seen or, if need be, as it is. The
    /// caller has the get lock.
    #[inline]
    pub(crate) fn end_behind(&self, at: Cursor) -> Cursor {
        let side = &self.header.get;
        let seen = Cursor::of(side.seen.load(Ordering::Relaxed));
        // What was seen long ago may lie behind `at` (a holder died): then it counts for nothing.
        if seen.units_since(at).wrapping_sub(1) < self.units {
            return seen;
        }
        let tail = self.tail();
        side.seen.store(tail.word(), Ordering::Relaxed);
        tail
    }

    /// Writes a record's header word: when it is made, and when its state changes.
    #[inline]
    pub(crate) fn set_state(&self, unit: u32, len: u32, state: u32) -> Result<(), Error> {
        let word = u64::from(state) << 32 | u64::from(len);
        self.data.store(self.offset(unit), word).map_err(Into::into)
    }

    #[inline]
    pub(crate) fn load(&self, unit: u32) -> Result<u64, Error> {
        self.data.load(self.offset(unit)).map_err(Into::into)
    }

    /// As [`load`](Ring::load), where the reason of a failure is of no interest.
    #[inline]
    pub(crate) fn load_word(&self, unit: u32) -> Option<u64> {
        self.data.load(self.offset(unit)).ok()
    }

    /// Writes one unit; `false` if that cannot be.
    #[inline]
    pub(crate) fn store(&self, unit: u32, word: u64) -> bool {
        self.data.store(self.offset(unit), word).is_ok()
    }

    /// Fetches the line two lines behind `unit`, which the other side has read last, so that a
    /// put to come need not wait for it.
    #[inline]
    pub(crate) fn expect_store(&self, unit: u32) {
        self.data.prefetch_store(self.offset(unit.wrapping_add(16)));
    }

    /// Copies `bytes` into the ring from `unit` on, around its end if need be.
    #[inline]
    pub(crate) fn copy_in(&self, unit: u32, bytes: &[u8]) -> Result<(), Error> {
        let start = self.offset(unit);
        if let Some((first, rest)) = bytes.split_at_checked(self.bytes() - start)
            && !rest.is_empty()
        {
            self.data.write(start, first)?;
            return self.data.write(0, rest).map_err(Into::into);
        }
        self.data.write(start, bytes).map_err(Into::into)
    }

    /// Copies `len` bytes out of the ring to the end of `to`.
    #[inline]
    pub(crate) fn copy_out(&self, unit: u32, len: usize, to: &mut Vec<u8>) -> Result<(), Error> {
        let start = self.offset(unit);
        let first = len.min(self.bytes() - start);
        self.data.append(start, first, to)?;
        if first < len {
            self.data.append(0, len - first, to)?;
        }
        Ok(())
    }

    #[inline]
    fn offset(&self, unit: u32) -> usize {
        (unit & (self.units - 1)) as usize * UNIT
    }

    /// From here on no put begins.
    pub(crate) fn close(&self) {
        self.header.closed.store(1, Ordering::Release);
        self.header.put.bell.ring_all();
        self.header.get.bell.ring_all();
    }

    /// Whether the queue is closed and `next` is the end: no item comes to the caller any more.
    ///
    /// A put that had begun before the end may still commit, so this waits for its lock.
    #[cold]
    pub(crate) fn is_over(&self, patience: Patience) -> Result<bool, Error> {
        if !self.is_closed() {
            return Ok(false);
        }
        drop(Turn::take(&self.header.put.lock, patience)?);
        // Whoever has the lock after us sees that the queue is closed. What comes back from those
        // who hold items is the last that can come.
        Ok(self.tail() == self.next() && self.is_drained(patience)?)
    }
}
