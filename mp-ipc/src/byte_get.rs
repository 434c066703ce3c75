//! The get of a queue of byte strings: the waiting for news, and what becomes of what was got.

use std::os::fd::OwnedFd;

use crate::Error;
use crate::byte_queue::ByteQueue;
use crate::raw::bell::Listener;
use crate::raw::cursor::Cursor;
use crate::raw::getting::Getting;
use crate::raw::owner::Owner;
use crate::raw::ring::{HANDLES, Record, SPILLED};
use crate::raw::turn::Patience;
use crate::raw::wait::{Waiter, Wake};

/// What came with the bytes of a message.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) fds: Vec<OwnedFd>,
    /// Where the record lies, for its acknowledgement.
    pub(crate) at: Cursor,
    pub(crate) redelivered: bool,
}

impl ByteQueue {
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
                Err(Error::TimedOut) => break Err(patience.over(Error::Empty)),
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
        let mut is_ending = false;
        // Without the lock, so that those who find nothing disturb nobody.
        if ring.has_news() {
            let mut get = ring.getting(patience)?;
            if let Some(record) = get.next()? {
                let was_leasing = get.leasing;
                let taken = self.receive(&mut get, &record, to, owner)?;
                self.ring_for_room(get, was_leasing);
                return Ok(Some(taken));
            }
            get.check_no_news()?;
            drop(get);
            if ring.is_over(patience)? {
                return Err(Error::Closed);
            }
            is_ending = ring.is_closed();
        }
        let ready = || if is_ending { ring.has_returns() } else { ring.has_news() };
        match waiter.wait(Listener::Any, ready, || ring.len() as u32)? {
            Wake::Look => {}
            // Whoever held an item and has died did not ring either. Without the lock, next time.
            Wake::Tick => drop(ring.reap(Patience::Try)),
            // So that those who wait less than a tick, or not at all, find it too.
            Wake::Over if ring.reap(patience).is_ok_and(|items| items > 0) => {}
            Wake::Over => return Err(patience.over(Error::Empty)),
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
            Some(label) => self.inner.packets.discard(label).map(drop),
        }
    }

    /// Ends a lease of `owner`: that at `at`, or its oldest.
    pub(crate) fn acknowledge(&self, at: Option<Cursor>, owner: Owner) -> Result<(), Error> {
        let mut get = self.ring().getting(Patience::Until(None))?;
        get.acknowledge(at, owner)?;
        self.commit(&mut get)?;
        self.ring_for_room(get, true);
        Ok(())
    }

    /// Ends a get that has freed an item, and wakes whom that concerns.
    #[inline]
    fn ring_for_room(&self, get: Getting<'_>, was_leasing: bool) {
        let ring = self.ring();
        let was_last = was_leasing && !get.leasing;
        drop(get);
        ring.ring_room(1);
        if was_last && ring.is_closed() {
            // Those who waited for what might come back.
            ring.header.put.bell.ring_all();
        }
    }

    /// Lets somebody else have what `owner` leases at `at`.
    pub(crate) fn give_back(&self, at: Cursor, owner: Owner) -> Result<(), Error> {
        let mut get = self.ring().getting(Patience::Until(None))?;
        get.give_back(at, owner)?;
        drop(get);
        self.ring().ring_news(1);
        Ok(())
    }
}
