//! Records that were delivered and stay in the ring until they are acknowledged.
//!
//! While there are any, the queue is *leasing*: the head stays before the oldest of them, and
//! `next` says what comes after the last one that was delivered. A record's state is the one word
//! that counts; `next`, the marks and the table of owners only follow it, so a holder of the lock
//! that dies in between leaves them behind, and the next holder reads the states again.

use std::sync::atomic::Ordering;

use super::cursor::Cursor;
use super::getting::Getting;
use super::owner::Owner;
use super::ring::{Record, Ring};
use super::turn::Patience;
use crate::Error;
use crate::sys::OWNERS;

/// In a record's state: delivered to the owner whose place stands in bits 8 to 15.
const LEASED: u32 = 4;
/// In a record's state: done with. The head passes it when it comes by.
const DONE: u32 = 8;
/// In a record's state: was leased, and is to be delivered again.
const RETURNED: u32 = 16;
/// Where the owner's place begins.
const OWNER: u32 = 8;
/// What a record says of its bytes, not of its deliveries.
const KIND: u32 = 3;

impl Record {
    fn owner(&self) -> Option<usize> {
        (self.state & LEASED != 0).then_some((self.state >> OWNER & 0xff) as usize)
    }

    /// Whether it has been delivered before, to somebody who did not acknowledge it.
    pub(crate) fn is_redelivered(&self) -> bool {
        self.state & (LEASED | RETURNED) != 0
    }
}

impl Getting<'_> {
    /// The record to be delivered next: one that was given back, or else the first new one.
    #[cold]
    pub(crate) fn next_of_leased(&mut self) -> Result<Option<Record>, Error> {
        let header = &self.ring.header;
        let mut next = Cursor::of(header.next.load(Ordering::Relaxed));
        if header.returned.load(Ordering::Relaxed) != 0 {
            let found = self.find(|record| record.state & RETURNED != 0)?;
            if found.is_some() {
                return Ok(found);
            }
            header.returned.store(0, Ordering::Relaxed);
        }
        loop {
            let record = self.record_at(next)?;
            // One that is done with lies here if its taker died before it moved `next`.
            let Some(record) = record.filter(|record| record.state & DONE != 0) else {
                return Ok(record);
            };
            next = record.next;
            header.next.store(next.word(), Ordering::Release);
        }
    }

    /// Marks `record` as done with, and frees what can be freed.
    #[cold]
    pub(crate) fn take_among_leased(&mut self, record: &Record) -> Result<(), Error> {
        self.mark(record, DONE)?;
        self.sweep()
    }

    /// Marks `record`, the one that [`next`](Getting::next) gave, as delivered to `owner`.
    pub(crate) fn lease(&mut self, record: &Record, owner: Owner) -> Result<(), Error> {
        let place = self.place_of(owner)?;
        self.mark(record, LEASED | (place as u32) << OWNER)?;
        if !self.leasing {
            self.ring.header.next.store(record.next.word(), Ordering::Release);
            self.ring.header.leasing.store(1, Ordering::Release);
            self.leasing = true;
        }
        Ok(())
    }

    /// Sets how far `record` is, in one store, and moves `next` if the record lies there.
    fn mark(&mut self, record: &Record, mark: u32) -> Result<(), Error> {
        self.ring.set_state(record.at.units, record.len, record.state & KIND | mark)?;
        let next = &self.ring.header.next;
        if self.leasing && Cursor::of(next.load(Ordering::Relaxed)) == record.at {
            next.store(record.next.word(), Ordering::Release);
        }
        Ok(())
    }

    /// Moves the head over what is done with. If nothing is left, the queue leases no more.
    fn sweep(&mut self) -> Result<(), Error> {
        let next = self.end_of_leased()?;
        while self.head != next {
            let record = self.ring.record(self.head, next)?;
            if record.state & DONE == 0 {
                break;
            }
            self.pass(&record)?;
        }
        self.commit();
        if self.head == next {
            self.ring.header.returned.store(0, Ordering::Relaxed);
            self.ring.header.leasing.store(0, Ordering::Release);
            self.leasing = false;
        }
        Ok(())
    }

    /// Where the delivered records end.
    fn end_of_leased(&self) -> Result<Cursor, Error> {
        let next = Cursor::of(self.ring.header.next.load(Ordering::Relaxed));
        if next.units_since(self.head) > self.ring.units() {
            return Err(Error::Protocol("the queue's leases reach further than its ring"));
        }
        Ok(next)
    }

    /// Looks whether there is really nothing to deliver, for one who is about to wait. Otherwise
    /// it would wake at once, again and again.
    pub(crate) fn check_no_news(&self) -> Result<(), Error> {
        if !self.leasing && self.ring.header.returned.load(Ordering::Relaxed) != 0 {
            return Err(Error::Protocol("the queue has items that came back from no lease"));
        }
        Ok(())
    }

    /// The first delivered record that is `wanted`.
    fn find(&self, mut wanted: impl FnMut(&Record) -> bool) -> Result<Option<Record>, Error> {
        if !self.leasing {
            return Ok(None);
        }
        let next = self.end_of_leased()?;
        let mut at = self.head;
        while at != next {
            let record = self.ring.record(at, next)?;
            if wanted(&record) {
                return Ok(Some(record));
            }
            at = record.next;
        }
        Ok(None)
    }

    /// The owner's place in the table, taken if it has none.
    fn place_of(&self, owner: Owner) -> Result<usize, Error> {
        let owners = &self.ring.header.owners;
        let place_with = |word| owners.iter().position(|o| o.load(Ordering::Relaxed) == word);
        if let Some(place) = place_with(owner.0) {
            return Ok(place);
        }
        if place_with(0).is_none() {
            self.clear_idle_owners()?;
        }
        let place = place_with(0).ok_or(Error::TooManyHolders { max: OWNERS })?;
        owners[place].store(owner.0, Ordering::Relaxed);
        Ok(place)
    }

    /// Frees the places of owners who hold nothing.
    fn clear_idle_owners(&self) -> Result<(), Error> {
        let mut busy = [false; OWNERS + 1];
        self.find(|record| {
            if let Some(place) = record.owner() {
                busy[place] = true;
            }
            false
        })?;
        for (owner, _) in self.ring.header.owners.iter().zip(busy).filter(|(_, busy)| !busy) {
            owner.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Who holds `record`.
    fn holder(&self, record: &Record) -> Option<Owner> {
        let word = self.ring.header.owners.get(record.owner()?)?.load(Ordering::Relaxed);
        (word != 0).then_some(Owner(word))
    }

    /// Ends a lease of `owner`: the one at `at`, or its oldest.
    pub(crate) fn acknowledge(&mut self, at: Option<Cursor>, owner: Owner) -> Result<(), Error> {
        let record = self.leased(at, owner)?;
        self.take_among_leased(&record)
    }

    /// Makes the record that `owner` leases at `at` deliverable again.
    pub(crate) fn give_back(&mut self, at: Cursor, owner: Owner) -> Result<(), Error> {
        let record = self.leased(Some(at), owner)?;
        self.ring.header.returned.store(1, Ordering::Relaxed);
        self.mark(&record, RETURNED)
    }

    fn leased(&self, at: Option<Cursor>, owner: Owner) -> Result<Record, Error> {
        let is_it = |record: &Record| {
            at.is_none_or(|at| at == record.at) && self.holder(record) == Some(owner)
        };
        self.find(is_it)?.ok_or(Error::NotHeld)
    }
}

impl Ring {
    /// Gives back what processes held that have ended. Says how many items that were.
    pub(crate) fn reap(&self, patience: Patience) -> Result<u32, Error> {
        if self.header.leasing.load(Ordering::Acquire) == 0 {
            return Ok(0);
        }
        let mut getting = self.getting(patience)?;
        if !getting.leasing {
            return Ok(0);
        }
        let mut given_back = 0;
        for (place, word) in self.header.owners.iter().enumerate() {
            let owner = Owner(word.load(Ordering::Relaxed));
            if owner.0 == 0 || !owner.is_dead() {
                continue;
            }
            // The hint first, the place last: whoever dies in between leaves too much to look at.
            self.header.returned.store(1, Ordering::Relaxed);
            while let Some(record) = getting.find(|record| record.owner() == Some(place))? {
                getting.mark(&record, RETURNED)?;
                given_back += 1;
            }
            word.store(0, Ordering::Relaxed);
        }
        // Who has died between its acknowledgement and this has left it to us.
        getting.sweep()?;
        drop(getting);
        self.ring_news(given_back);
        Ok(given_back)
    }

    /// Whether a closed queue, all of whose items have been delivered, has none for the caller any
    /// more: whether no other process holds one that it might give back.
    ///
    /// Who holds some itself does not wait for others, who may be waiting for it.
    pub(crate) fn is_drained(&self, patience: Patience) -> Result<bool, Error> {
        self.reap(patience)?;
        if self.header.leasing.load(Ordering::Acquire) == 0 {
            return Ok(true);
        }
        let (getting, current) = (self.getting(patience)?, Owner::current());
        let (mut mine, mut others, mut returned) = (false, false, false);
        getting.find(|record| {
            match getting.holder(record) {
                Some(owner) if owner == current => mine = true,
                Some(_) => others = true,
                None => returned |= record.state & RETURNED != 0,
            }
            false
        })?;
        Ok(!returned && (mine || !others))
    }

    /// Whether a get has something to do that has found a closed queue not drained.
    pub(crate) fn has_returns(&self) -> bool {
        self.tail() != self.next()
            || self.header.returned.load(Ordering::Relaxed) != 0
            || self.header.leasing.load(Ordering::Acquire) == 0
    }

    /// How many items were given back and not delivered again.
    pub(crate) fn returned(&self) -> Result<usize, Error> {
        if self.header.returned.load(Ordering::Acquire) == 0 {
            return Ok(0);
        }
        let getting = self.getting(Patience::Until(None))?;
        let mut count = 0;
        getting.find(|record| {
            count += usize::from(record.state & RETURNED != 0);
            false
        })?;
        Ok(count)
    }
}
