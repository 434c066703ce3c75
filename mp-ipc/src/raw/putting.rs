//! The put side of the ring, under its lock.

use std::sync::atomic::Ordering;

use super::cursor::Cursor;
use super::ring::Ring;
use super::turn::{Patience, Turn};
use crate::Error;

/// The put lock, held. What is [written](Putting::write) exists from the [commit](Putting::commit)
/// on; dropped without one, nothing has happened.
#[derive(Debug)]
pub(crate) struct Putting<'a> {
    ring: &'a Ring,
    tail: Cursor,
    /// Records written and not committed yet.
    written: u32,
    _turn: Turn<'a>,
}

impl Ring {
    #[inline]
    pub(crate) fn putting(&self, patience: Patience) -> Result<Putting<'_>, Error> {
        let side = &self.header.put;
        let turn = Turn::take(&side.lock, patience)?;
        if self.is_closed() {
            return Err(Error::Closed);
        }
        // Relaxed: the lock has ordered the last holder's stores before us.
        let tail = Cursor::of(side.commit.load(Ordering::Relaxed));
        Ok(Putting { ring: self, tail, written: 0, _turn: turn })
    }
}

impl Putting<'_> {
    /// Whether a record of `units` fits.
    #[inline]
    pub(crate) fn has_room(&self, units: u32) -> bool {
        self.ring.has_room_behind(self.tail, units)
    }

    /// Writes a record behind the tail, of which `prefix` and `bytes` are the payload. The prefix
    /// is whole units, and there [is room](Putting::has_room).
    #[inline]
    pub(crate) fn write(&mut self, state: u32, prefix: &[u8], bytes: &[u8]) -> Result<(), Error> {
        let (at, len) = (self.tail.units, prefix.len() + bytes.len());
        self.ring.set_state(at, len as u32, state)?;
        if !prefix.is_empty() {
            self.ring.copy_in(at.wrapping_add(1), prefix)?;
        }
        self.ring.copy_in(at.wrapping_add(Ring::units_of(prefix.len())), bytes)?;
        self.tail = self.tail.past(Ring::units_of(len));
        self.written += 1;
        Ok(())
    }

    /// The label for the next packet of descriptors. No two packets have the same, also when a
    /// holder dies between the label and the commit.
    pub(crate) fn label(&self) -> u32 {
        let label = self.ring.header.put.label.load(Ordering::Relaxed).wrapping_add(1);
        self.ring.header.put.label.store(label, Ordering::Relaxed);
        label
    }

    /// Where the next record goes.
    pub(crate) fn tail(&self) -> Cursor {
        self.tail
    }

    /// Makes the written records exist, all at once, and says how many they were.
    #[inline]
    pub(crate) fn commit(&mut self) -> u32 {
        // Release: pairs with the Acquire in Ring::tail().
        self.ring.header.put.commit.store(self.tail.word(), Ordering::Release);
        std::mem::take(&mut self.written)
    }
}
