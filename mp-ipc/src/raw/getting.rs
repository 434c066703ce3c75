//! The get side of the ring, under its lock.

use std::sync::atomic::Ordering;

use super::cursor::Cursor;
use super::ring::{HANDLES, Record, Ring};
use super::turn::{Patience, Turn};
use crate::Error;

/// The get lock, held. What is [taken](Getting::take) is gone from the [commit](Getting::commit)
/// on; dropped without one, nothing has happened.
#[derive(Debug)]
pub(crate) struct Getting<'a> {
    pub(crate) ring: &'a Ring,
    /// Up to where everything is done with. The shared word follows at the commit.
    pub(crate) head: Cursor,
    /// Some records behind the head are leased: see `lease`.
    pub(crate) leasing: bool,
    /// The label of the last freed record that had descriptors: their packet can go.
    pub(crate) freed_label: Option<u32>,
    _turn: Turn<'a>,
}

/// How the payload of a record with handles begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    /// The label of the packet that carries the descriptors.
    pub(crate) label: u32,
    /// How many they are.
    pub(crate) fds: u32,
    /// Of a spilled record: how many bytes lie in the segment.
    pub(crate) len: u64,
}

impl Ring {
    #[inline]
    pub(crate) fn getting(&self, patience: Patience) -> Result<Getting<'_>, Error> {
        let turn = Turn::take(&self.header.get.lock, patience)?;
        // Relaxed: only holders of the lock write these, and the lock has ordered their stores.
        let head = Cursor::of(self.header.get.commit.load(Ordering::Relaxed));
        let leasing = self.header.leasing.load(Ordering::Relaxed) != 0;
        Ok(Getting { ring: self, head, leasing, freed_label: None, _turn: turn })
    }
}

impl Getting<'_> {
    /// The record to be delivered next.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Error> {
        if self.leasing {
            return self.next_of_leased();
        }
        self.record_at(self.head)
    }

    /// The record at `at`, if there is one yet.
    #[inline]
    pub(crate) fn record_at(&self, at: Cursor) -> Result<Option<Record>, Error> {
        let end = self.ring.end_behind(at);
        if end == at {
            return Ok(None);
        }
        if end.units_since(at) > self.ring.units() {
            return Err(Error::Protocol("the queue's tail is further than its ring is long"));
        }
        self.ring.record(at, end).map(Some)
    }

    /// Copies the bytes of `record`, from `skip` units on, to the end of `to`.
    #[inline]
    pub(crate) fn copy(&self, record: &Record, skip: u32, to: &mut Vec<u8>) -> Result<(), Error> {
        let at = record.at.units.wrapping_add(1).wrapping_add(skip);
        let len = record.len.saturating_sub(skip * 8) as usize;
        self.ring.copy_out(at, len, to)
    }

    /// The first words of a record with handles.
    pub(crate) fn prefix(&self, record: &Record) -> Result<Prefix, Error> {
        let word = self.ring.load(record.at.units.wrapping_add(1))?;
        let len = self.ring.load(record.at.units.wrapping_add(2))?;
        Ok(Prefix { label: word as u32, fds: (word >> 32) as u32, len })
    }

    /// Takes `record`, the one that [`next`](Getting::next) gave, out of the ring.
    #[inline]
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), Error> {
        if self.leasing {
            return self.take_among_leased(record);
        }
        self.pass(record)
    }

    /// Moves the head behind `record`, which lies there and is done with.
    #[inline]
    pub(crate) fn pass(&mut self, record: &Record) -> Result<(), Error> {
        if record.state & HANDLES != 0 {
            self.freed_label = Some(self.prefix(record)?.label);
        }
        self.head = record.next;
        Ok(())
    }

    /// Frees the room of everything before the head.
    #[inline]
    pub(crate) fn commit(&mut self) {
        // Release: pairs with the Acquire in Ring::head(). The bytes have been copied.
        self.ring.header.get.commit.store(self.head.word(), Ordering::Release);
    }
}
