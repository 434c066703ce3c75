//! A worker as the pool sees it, and how tasks go to it.

use std::sync::Arc;

use mp_sys::{Deadline, Errno};

use crate::hand::Hand;
use crate::job::{COUNT, TIMED};
use crate::lane::Frame;
use crate::ledger::TaskId;
use crate::pool_end::PoolEnd;
use crate::stats::Counts;
use crate::work::Work;

/// A place for a worker. Its number stays when one worker replaces another.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) worker: Option<Worker>,
    /// Somebody is starting a worker for it.
    pub(crate) hiring: bool,
    /// Its worker was ended for having nothing to do.
    pub(crate) dormant: bool,
    pub(crate) counts: Counts,
}

/// A worker's life, as the pool sees it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) hand: Arc<Hand>,
    pub(crate) end: PoolEnd,
    /// The reply that is coming in.
    pub(super) partial: Vec<u8>,
    pub(super) feed: Feed,
    /// It was asked to ring when there is room.
    pub(super) wants_room: bool,
    pub(crate) ready: bool,
    /// It was told to end once it is done.
    pub(crate) retiring: bool,
    /// It was killed.
    pub(crate) ended: bool,
    /// It was asked to end, and is killed if it has not by then.
    pub(crate) doomed: Option<Deadline>,
    /// Why its initialiser failed.
    pub(super) init_failure: Option<String>,
    pub(crate) hired: Deadline,
    /// When it last had something to do.
    pub(crate) last_busy: Deadline,
}

/// A message too long for the ring at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    Nothing,
    /// Of this task, so many bytes are queued.
    Task(TaskId, usize),
    /// This task was taken back half-way: the worker has to be told.
    Abort(TaskId),
}

impl Worker {
    pub(super) fn fits(&self, work: &Work) -> bool {
        let len = work.body.len();
        self.feed == Feed::Nothing
            && self.end.has_claim()
            && self.end.has_room(Frame::span(len.min(self.end.piece_max())))
    }

    /// Queues a task, or as much of it as there is room for. Returns its claim word.
    pub(super) fn send(&mut self, id: TaskId, work: &Work) -> Result<u64, Errno> {
        if !work.fds.is_empty() {
            let fds: Vec<_> = work.fds.iter().map(std::os::fd::AsFd::as_fd).collect();
            self.end.send_fds(&fds)?;
        }
        let timed = if work.limits.is_timed() { TIMED } else { 0 };
        let now = work.body.len().min(self.end.piece_max());
        let more = if now < work.body.len() { Frame::MORE } else { 0 };
        let frame = Frame {
            len: now as u32,
            flags: Frame::FIRST | more,
            fds: work.fds.len() as u16,
            id,
            extra: (u64::from(work.count) & COUNT) | timed,
        };
        let claim = self.end.push(frame, &work.body[..now]);
        if more != 0 {
            self.feed = Feed::Task(id, now);
            self.feed(Some(work));
        }
        Ok(claim)
    }

    /// Queues more of a long message, as far as there is room.
    pub(super) fn feed(&mut self, work: Option<&Work>) {
        let mut asked = false;
        loop {
            let (id, bytes, done) = match (self.feed, work) {
                (Feed::Nothing, _) => return,
                (Feed::Task(id, done), Some(work)) => (id, &work.body[done..], Some(done)),
                (Feed::Abort(id) | Feed::Task(id, _), _) => (id, &[][..], None),
            };
            let piece = bytes.len().min(self.end.piece_max());
            if !self.end.has_room(Frame::span(piece)) {
                if asked {
                    return;
                }
                asked = true;
                self.wants_room = true;
                self.end.want_room(); // And look once more: it may just have been made.
                continue;
            }
            let (flags, next) = match done {
                None => (Frame::ABORT, Feed::Nothing),
                Some(_) if piece == bytes.len() => (0, Feed::Nothing),
                Some(done) => (Frame::MORE, Feed::Task(id, done + piece)),
            };
            let frame = Frame { len: piece as u32, flags, fds: 0, id, extra: 0 };
            self.end.push(frame, &bytes[..piece]);
            self.feed = next;
            self.end.commit();
        }
    }
}
