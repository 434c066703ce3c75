//! The pool's end of a lane.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use mp_sys::socket::{RecvFlags, SendFlags};

use crate::bell::{recv_fds, send_fds};
use crate::lane::{
    ALONE, CLAIMS, FOR_ROOM, FOR_TASKS, Frame, Lane, NOW, QUEUED, SOON, TAKEN, of_pool, of_worker,
    sleepers,
};
use crate::sys::{self, fence};

/// The end that writes tasks and reads replies. Nothing here ever waits.
#[derive(Debug)]
pub(crate) struct PoolEnd {
    lane: Lane,
    wire: OwnedFd,
    /// How far tasks are committed.
    tail: u64,
    /// How many tasks were ever queued; the next one's claim word is this modulo `CLAIMS`.
    queued: u64,
    /// How far replies have been read, and how far the worker has been told so.
    head: u64,
    told: u64,
    /// The worker's words as they were when they were last needed: it writes there all the time,
    /// and each look takes the line from it.
    seen: Seen,
    /// The worker may sleep, and has been sent something.
    pushed: bool,
}

#[derive(Debug, Default)]
struct Seen {
    met: Cell<u64>,
    task_head: Cell<u64>,
    reply_tail: Cell<u64>,
}

/// What became of a queued task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has touched it.
    Queued,
    /// The pool has taken it back.
    Taken,
    /// The worker claimed it at this moment of the monotonic clock.
    Claimed(u64),
}

/// The worker wrote something that no worker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl PoolEnd {
    pub(crate) fn new(lane: Lane, wire: OwnedFd) -> PoolEnd {
        let seen = Seen::default();
        PoolEnd { lane, wire, tail: 0, queued: 0, head: 0, told: 0, seen, pushed: false }
    }

    /// Whether a claim word is free. One is used again only when the worker has passed it and is
    /// through with its task.
    pub(crate) fn has_claim(&self) -> bool {
        let has = |met: u64| self.queued.saturating_sub(met) < CLAIMS as u64 - 1;
        has(self.seen.met.get()) || {
            // Acquire: pairs with the worker's Release: it has looked at those claims.
            self.seen.met.set(self.lane.worker[of_worker::MET].load(Ordering::Acquire));
            has(self.seen.met.get())
        }
    }

    /// Whether `bytes` bytes can be queued at once, frame heads included.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let has = |head: u64| {
            let used = self.tail.saturating_sub(head) as usize;
            self.lane.tasks.capacity().saturating_sub(used) >= bytes
        };
        has(self.seen.task_head.get()) || {
            // Acquire: pairs with the worker's Release: it has read what we are about to overwrite.
            let head = self.lane.worker[of_worker::TASK_HEAD].load(Ordering::Acquire);
            self.seen.task_head.set(head);
            has(head)
        }
    }

    /// The longest frame: a longer message goes in pieces, so that both ends work at once.
    pub(crate) fn piece_max(&self) -> usize {
        self.lane.tasks.capacity() / 4
    }

    /// Asks to be rung when the worker has made room; look again after this.
    pub(crate) fn want_room(&self) {
        self.lane.sleepers[sleepers::ROOM].store(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `WorkerEnd::freed`.
        fence(Ordering::SeqCst);
    }

    /// Has a patient caller woken when all but `left` of what is queued has been begun, and the last
    /// of that replied to.
    pub(crate) fn mark(&self, left: usize) {
        let mark = self.queued.saturating_sub(left as u64);
        // Released by `Ear::arm`.
        self.lane.pool[of_pool::MARK].store(mark, Ordering::Relaxed);
    }

    /// Whether the worker has come to its mark.
    pub(crate) fn is_at_mark(&self) -> bool {
        let mark = self.lane.pool[of_pool::MARK].load(Ordering::Relaxed);
        self.lane.worker[of_worker::MET].load(Ordering::Acquire) >= mark
    }

    /// Whether the worker has made room since [`want_room`](PoolEnd::want_room).
    pub(crate) fn made_room(&self) -> bool {
        self.lane.sleepers[sleepers::ROOM].load(Ordering::Acquire) == 0
    }

    /// Whether the worker has read all that was queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.has_room(self.lane.tasks.capacity())
    }

    /// Writes a frame, for which there is [room](PoolEnd::has_room), to be
    /// [committed](PoolEnd::commit). Returns the number of its claim word, if it is the first of
    /// its message.
    pub(crate) fn push(&mut self, frame: Frame, body: &[u8]) -> u64 {
        debug_assert!(self.has_room(Frame::span(body.len())) && frame.len as usize == body.len());
        let claim = self.queued;
        if frame.has(Frame::FIRST) {
            // Released by the store of the tail.
            self.lane.claims[claim as usize % CLAIMS].store(QUEUED, Ordering::Relaxed);
            self.queued += 1;
        }
        self.lane.tasks.write(self.tail, &frame.to_bytes());
        self.lane.tasks.write(self.tail + Frame::HEAD as u64, body);
        self.tail += Frame::span(body.len()) as u64;
        self.pushed = true;
        claim
    }

    /// Sends descriptors ahead of the frame that names them. Refuses when the socket is full.
    pub(crate) fn send_fds(&self, fds: &[BorrowedFd<'_>]) -> Result<(), mp_sys::Errno> {
        send_fds(&self.wire, fds, SendFlags::DONTWAIT)
    }

    /// Wakes the worker, whatever it sleeps for.
    fn wake(&self) {
        self.wake_if(|sleeps_for| sleeps_for != 0);
    }

    fn wake_if(&self, wanted: impl Fn(u32) -> bool) {
        let word = &self.lane.sleepers[sleepers::WORKER];
        // SeqCst: pairs with the fence in `WorkerEnd::sleep`: either the worker sees the commit,
        // or we see that it sleeps.
        fence(Ordering::SeqCst);
        if wanted(word.load(Ordering::Relaxed)) && word.swap(0, Ordering::SeqCst) != 0 {
            sys::wake(word, 1);
        }
    }

    /// Shows the worker what has been pushed, and wakes it if it sleeps.
    #[inline]
    pub(crate) fn commit(&mut self) {
        if std::mem::take(&mut self.pushed) {
            // Release: the commit; pairs with the Acquire in `WorkerEnd::peek`.
            self.lane.pool[of_pool::TASK_TAIL].store(self.tail, Ordering::Release);
            self.wake_if(|sleeps_for| sleeps_for == FOR_TASKS);
        }
    }

    /// Tells the worker to end once its ring is empty.
    pub(crate) fn retire(&self) {
        debug_assert!(!self.pushed, "it would not look again");
        self.lane.sleepers[sleepers::RETIRE].store(SOON, Ordering::Release);
        self.wake();
    }

    /// Tells a worker that cannot be killed to begin nothing more.
    pub(crate) fn desert(&self) {
        self.lane.sleepers[sleepers::RETIRE].store(NOW, Ordering::Release);
        // It also has the fence that pairs with the one in `Reply::begin_item`.
        self.wake();
    }

    /// Tells a [deserted](PoolEnd::desert) worker that nobody reads what it writes.
    pub(crate) fn leave_alone(&self) {
        // Release: pairs with the Acquire in `Reply::room`: what we read is behind us.
        self.lane.sleepers[sleepers::RETIRE].store(ALONE, Ordering::Release);
        self.wake();
    }

    /// Asks the task to stop, should it be the one that runs.
    pub(crate) fn ask_to_stop(&self, task: u64) {
        self.lane.pool[of_pool::STOP].store(task, Ordering::Relaxed);
    }

    /// Asks the item that began at this moment to stop, should it be the one that runs.
    pub(crate) fn ask_item_to_stop(&self, since: u64) {
        self.lane.pool[of_pool::OVERDUE].store(since, Ordering::Relaxed);
    }

    /// One of the worker's states.
    pub(crate) fn state(&self) -> u64 {
        self.lane.worker[of_worker::STATE].load(Ordering::Acquire)
    }

    /// When the worker began its item, if it keeps that clock.
    pub(crate) fn since(&self) -> u64 {
        self.lane.worker[of_worker::SINCE].load(Ordering::Relaxed)
    }

    pub(crate) fn claim(&self, number: u64) -> Claim {
        // Acquire: pairs with the worker's claim.
        match self.lane.claims[number as usize % CLAIMS].load(Ordering::Acquire) {
            QUEUED => Claim::Queued,
            TAKEN => Claim::Taken,
            since => Claim::Claimed(since),
        }
    }

    /// Takes a queued task back; `false` if the worker was faster.
    pub(crate) fn take_back(&self, number: u64) -> bool {
        // The one point where the two ends meet: exactly one of the two swaps succeeds.
        self.lane.claims[number as usize % CLAIMS]
            .compare_exchange(QUEUED, TAKEN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether a reply waits.
    pub(crate) fn has_reply(&self) -> bool {
        self.lane.worker[of_worker::REPLY_TAIL].load(Ordering::Acquire) != self.head
    }

    /// Takes the next reply frame, and appends what it holds to `body`. A worker that waits for
    /// room waits until it is [told](PoolEnd::make_room).
    pub(crate) fn next_reply(&mut self, body: &mut Vec<u8>) -> Result<Option<Frame>, Garbled> {
        if self.seen.reply_tail.get() == self.head {
            // Acquire: pairs with the Release in `Reply::close`.
            let tail = self.lane.worker[of_worker::REPLY_TAIL].load(Ordering::Acquire);
            self.seen.reply_tail.set(tail);
        }
        let waiting = self.waiting(self.seen.reply_tail.get())?;
        if waiting == 0 {
            return Ok(None);
        }
        let mut head = [0; Frame::HEAD];
        self.lane.replies.read(self.head, &mut head);
        let frame = Frame::from_bytes(head);
        let len = frame.len as usize;
        if waiting < Frame::span(len) {
            return Err(Garbled);
        }
        self.lane.replies.append_to(self.head + Frame::HEAD as u64, len, body);
        self.head += Frame::span(len) as u64;
        if self.head - self.told >= self.lane.replies.capacity() as u64 / 8 {
            self.make_room();
        }
        Ok(Some(frame))
    }

    /// Tells the worker how far its replies have been read.
    pub(crate) fn make_room(&mut self) {
        if self.told != self.head {
            self.told = self.head;
            // Release: pairs with the Acquire in `Reply::room`: we have read it.
            self.lane.pool[of_pool::REPLY_HEAD].store(self.head, Ordering::Release);
            self.wake_if(|sleeps_for| sleeps_for == FOR_ROOM);
        }
    }

    /// After the worker's death: appends the results that it left in the frame it had open.
    pub(crate) fn leftovers(&mut self, body: &mut Vec<u8>) -> Result<(), Garbled> {
        let draft = self.lane.worker[of_worker::DRAFT].load(Ordering::Acquire);
        let begin = self.head + Frame::HEAD as u64;
        if draft > begin {
            self.waiting(draft)?;
            self.lane.replies.append_to(begin, (draft - begin) as usize, body);
        }
        Ok(())
    }

    /// How many bytes lie between our head and `tail`, which the worker has written.
    fn waiting(&self, tail: u64) -> Result<usize, Garbled> {
        match tail.checked_sub(self.head) {
            Some(waiting) if waiting <= self.lane.replies.capacity() as u64 => Ok(waiting as usize),
            _ => Err(Garbled),
        }
    }

    /// Takes the descriptors that came with a reply.
    pub(crate) fn recv_fds(&self) -> Result<Vec<OwnedFd>, mp_sys::Errno> {
        recv_fds(&self.wire, RecvFlags::DONTWAIT)
    }
}
