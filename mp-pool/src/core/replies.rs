//! Replies: from the workers' lanes into the mailboxes of those who wait.

use std::iter::{from_fn, once};
use std::sync::Arc;

use mp_sys::Deadline;

use super::Core;
use crate::batch::{Batch, Content, Piece};
use crate::codec::{self, Item, Row};
use crate::job::Failure;
use crate::lane::{Frame, READY};
use crate::pool_end::Garbled;
use crate::work::Work;
use crate::worker::INIT;

/// Buffers of up to so many bytes are used again for other messages.
pub(crate) const SHORT: usize = 1024;

impl Core {
    /// Takes in the replies of one worker.
    pub(crate) fn drain(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if worker.wants_room && worker.end.made_room() {
            worker.wants_room = false;
        }
        if !worker.ready && worker.end.state() == READY {
            worker.ready = true;
            self.stillborn = 0;
        }
        let mut any = false;
        loop {
            let Some(worker) = &mut self.slots[slot].worker else { return };
            match worker.end.next_reply(&mut worker.partial) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    any = true;
                    if !frame.has(Frame::MORE) && self.replied(slot, frame).is_err() {
                        self.discard(slot);
                        break;
                    }
                }
                Err(Garbled) => {
                    self.discard(slot);
                    break;
                }
            }
        }
        if any && let Some(worker) = &mut self.slots[slot].worker {
            worker.last_busy = Deadline::now();
            worker.end.make_room();
        }
    }

    fn replied(&mut self, slot: usize, frame: Frame) -> Result<(), Garbled> {
        let Some(worker) = &mut self.slots[slot].worker else { return Ok(()) };
        let bytes = std::mem::take(&mut worker.partial);
        let fds = match frame.fds {
            0 => Vec::new(),
            _ => worker.end.recv_fds().map_err(|_| Garbled)?,
        };
        if frame.id == INIT {
            worker.init_failure = init_failure(&bytes);
            return Ok(());
        }
        let work = self.ledger.finish(slot, frame.id).ok_or(Garbled)?;
        self.timed -= usize::from(work.limits.is_timed());
        self.slots[slot].counts.enter(work.count, frame.extra, work.first);
        self.totals.enter(work.count, frame.extra, work.first);
        let content = Content::Reply { bytes, fds };
        let Work { batch, first, count, mut body, .. } = work;
        if body.capacity() <= SHORT
            && let Some(worker) = &mut self.slots[slot].worker
        {
            body.clear();
            worker.partial = body; // The next reply's memory.
        }
        self.outbox.push((batch, Piece { first, count, nanos: frame.extra, content }));
        Ok(())
    }

    pub(crate) fn deliver(&mut self, batch: &Arc<Batch>, first: u64, count: u32, content: Content) {
        self.outbox.push((Arc::clone(batch), Piece { first, count, nanos: 0, content }));
    }

    /// Delivers what is in the outbox, neighbours of one batch together.
    pub(crate) fn post(&mut self) {
        self.delivered += self.outbox.len() as u64;
        let mut outbox = self.outbox.drain(..).peekable();
        while let Some((batch, piece)) = outbox.next() {
            let more = || outbox.next_if(|(next, _)| Arc::ptr_eq(next, &batch)).map(|(_, p)| p);
            batch.arrive(once(piece).chain(from_fn(more)), &mut self.effects);
        }
    }
}

/// What an initialiser's reply says, if that is a failure.
fn init_failure(row: &[u8]) -> Option<String> {
    let failure = |item| match codec::decode(item) {
        Ok(Failure::Panicked(panic)) => panic.to_string(),
        Ok(Failure::Codec(reason)) | Err(reason) => reason,
    };
    match Row::new(row).take() {
        Some(Item::Value(item)) => codec::decode::<Result<(), String>>(item).ok()?.err(),
        Some(Item::Failure(item)) => Some(failure(item)),
        None => None,
    }
}
