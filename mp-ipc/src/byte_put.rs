//! The put of a queue of byte strings: which way a message takes, and the waiting for room.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Error;
use crate::byte_queue::{ByteQueue, Inner};
use crate::raw::bell::Listener;
use crate::raw::cursor::Cursor;
use crate::raw::putting::Putting;
use crate::raw::ring::{HANDLES, Ring, SPILLED};
use crate::raw::turn::Patience;
use crate::raw::wait::{Waiter, Wake};

/// Records up to this many units take any place that becomes free; a longer one looks at each.
const SMALL: u32 = 16;

impl ByteQueue {
    /// Puts one message in.
    #[inline]
    pub(crate) fn put_message(
        &self,
        bytes: &[u8],
        fds: &[OwnedFd],
        patience: Patience,
    ) -> Result<(), Error> {
        if fds.is_empty() && self.ring().put_bytes(bytes, patience) {
            return Ok(());
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
                return Err(patience.over(Error::Full));
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
                Err(Error::TimedOut) => break Err(patience.over(Error::Full)),
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
                    if self.drop_orphans(&put, label)? {
                        return Ok(None);
                    }
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
            ring.ring_news(count);
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

    /// Throws away the packets of putters that were killed before their records existed, where no
    /// get will: every packet of an empty ring is such a one. Says whether there were any.
    #[cold]
    fn drop_orphans(&self, put: &Putting<'_>, label: u32) -> Result<bool, Error> {
        let ring = self.ring();
        if ring.head() != put.tail() {
            return Ok(false);
        }
        let _get = ring.getting(Patience::Try)?;
        self.inner.packets.discard(label)
    }

    fn after(&self, woken: Option<Wake>, patience: Patience) -> Result<Option<Cursor>, Error> {
        match woken {
            Some(Wake::Over) => Err(patience.over(Error::Full)),
            _ => Ok(None),
        }
    }
}
