//! The worker's end of a lane.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use mp_sys::Deadline;
use mp_sys::socket::{RecvFlags, SendFlags};

use crate::bell::{Bell, recv_fds, send_fds};
use crate::codec::{Block, Number};
use crate::lane::{
    ALONE, CLAIMS, FOR_ROOM, FOR_TASKS, Frame, Lane, NOW, QUEUED, TAKEN, of_pool, of_worker,
    sleepers,
};
use crate::linger::{linger, slept};
use crate::sys::{self, fence, fence_after_swap};

/// The end that reads tasks and writes replies.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    lane: Lane,
    wire: OwnedFd,
    bell: Bell,
    /// How far tasks have been read.
    head: u64,
    /// How many tasks were ever met; the next one's claim word is this modulo `CLAIMS`.
    met: u64,
    /// How far replies are committed.
    tail: u64,
}

/// A task that this worker has claimed.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: u64,
    pub(crate) extra: u64,
    /// When it was claimed, in nanoseconds of the monotonic clock.
    pub(crate) since: u64,
    pub(crate) fds: Vec<OwnedFd>,
}

impl WorkerEnd {
    pub(crate) fn new(lane: Lane, wire: OwnedFd, bell: Bell) -> WorkerEnd {
        WorkerEnd { lane, wire, bell, head: 0, met: 0, tail: 0 }
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Tells the pool how this worker fares.
    pub(crate) fn set_state(&self, state: u64) {
        self.lane.worker[of_worker::STATE].store(state, Ordering::Release);
        self.bell.ring();
    }

    /// Waits for a task and claims it; its bytes come into `body`. `None`: the worker is to end.
    ///
    /// Waits for the pool; if that dies, the kernel ends this process too.
    pub(crate) fn next(&mut self, body: &mut Vec<u8>) -> Option<Claimed> {
        body.clear();
        while !self.is_deserted() {
            let Some(frame) = self.peek() else {
                if self.lane.sleepers[sleepers::RETIRE].load(Ordering::Acquire) != 0 {
                    return None;
                }
                self.bell.ring_last();
                if !linger(None, || self.is_wanted()) {
                    self.sleep(FOR_TASKS, || self.is_wanted());
                }
                continue;
            };
            if !frame.has(Frame::FIRST) {
                self.skip(frame); // The rest of something taken back.
                continue;
            }
            let fds = if frame.fds == 0 { Vec::new() } else { self.receive() };
            let claim = &self.lane.claims[self.met as usize % CLAIMS];
            self.met += 1;
            let since = Deadline::now().as_nanos().max(TAKEN + 1);
            // The one point where the two ends meet: exactly one of the two swaps succeeds.
            let mine = claim.compare_exchange(QUEUED, since, Ordering::AcqRel, Ordering::Acquire);
            // Release: pairs with the Acquire in `PoolEnd::room`.
            self.lane.worker[of_worker::MET].store(self.met, Ordering::Release);
            if mine.is_err() {
                self.skip(frame);
                continue;
            }
            if self.take(frame, body) {
                return Some(Claimed { id: frame.id, extra: frame.extra, since, fds });
            }
            body.clear();
        }
        None
    }

    /// Whether no other item is to be begun.
    #[inline]
    fn is_deserted(&self) -> bool {
        // Relaxed: seen a little later, it costs an item that counts for nobody.
        self.lane.sleepers[sleepers::RETIRE].load(Ordering::Relaxed) >= NOW
    }

    /// Whether a task waits, or the worker is to end.
    fn is_wanted(&self) -> bool {
        self.lane.pool[of_pool::TASK_TAIL].load(Ordering::Acquire) != self.head
            || self.lane.sleepers[sleepers::RETIRE].load(Ordering::Acquire) != 0
    }

    /// Sleeps until the pool wakes this worker, unless what it waits for `has_come`.
    fn sleep(&self, what_for: u32, has_come: impl Fn() -> bool) {
        let word = &self.lane.sleepers[sleepers::WORKER];
        // A swap, and so behind the one by which the pool may just have woken us.
        word.swap(what_for, Ordering::SeqCst);
        // SeqCst: pairs with the fence in `PoolEnd::wake`.
        fence_after_swap();
        if !has_come() {
            self.bell.ring_last();
            let begin = Deadline::now();
            let _ = sys::wait(word, what_for, None);
            slept(begin);
        }
        word.store(0, Ordering::Relaxed);
    }

    /// Tells the pool of a reply.
    #[inline]
    fn ring(&self) {
        let mark = &self.lane.pool[of_pool::MARK];
        self.bell.ring_patiently(|| self.met >= mark.load(Ordering::Relaxed));
    }

    fn peek(&self) -> Option<Frame> {
        // Acquire: pairs with the Release in `PoolEnd::push`.
        let tail = self.lane.pool[of_pool::TASK_TAIL].load(Ordering::Acquire);
        if tail == self.head {
            return None;
        }
        let mut head = [0; Frame::HEAD];
        self.lane.tasks.read(self.head, &mut head);
        Some(Frame::from_bytes(head))
    }

    /// Reads the message that begins with `frame`; `false` if the pool broke it off.
    fn take(&mut self, mut frame: Frame, body: &mut Vec<u8>) -> bool {
        loop {
            let len = (frame.len as usize).min(self.lane.tasks.capacity());
            self.lane.tasks.append_to(self.head + Frame::HEAD as u64, len, body);
            self.skip(frame);
            if frame.has(Frame::ABORT) {
                return false;
            }
            if !frame.has(Frame::MORE) {
                return true;
            }
            frame = loop {
                match self.peek() {
                    Some(frame) => break frame,
                    None if self.is_deserted() => return false,
                    // One that is to retire soon waits for the rest all the same.
                    None => self.sleep(FOR_TASKS, || self.peek().is_some() || self.is_deserted()),
                }
            };
        }
    }

    fn skip(&mut self, frame: Frame) {
        self.head += Frame::span(frame.len as usize) as u64;
        // Release: pairs with the Acquire in `PoolEnd::room`: the bytes have been read.
        self.lane.worker[of_worker::TASK_HEAD].store(self.head, Ordering::Release);
        // SeqCst: pairs with the fence in `PoolEnd::want_room`.
        fence(Ordering::SeqCst);
        let room = &self.lane.sleepers[sleepers::ROOM];
        if room.load(Ordering::Relaxed) != 0 && self.is_half_empty() {
            room.store(0, Ordering::SeqCst);
            self.bell.ring();
        }
    }

    /// Whether so much of the ring is free that telling the pool is worth a wake.
    fn is_half_empty(&self) -> bool {
        let tail = self.lane.pool[of_pool::TASK_TAIL].load(Ordering::Acquire);
        tail.saturating_sub(self.head) <= self.lane.tasks.capacity() as u64 / 2
    }

    fn receive(&self) -> Vec<OwnedFd> {
        // The pool sent them before it queued the frame. If they do not fit into this process,
        // decoding the task says so.
        recv_fds(&self.wire, RecvFlags::empty()).unwrap_or_default()
    }

    /// Begins the reply to task `id`, which has `items` items.
    pub(crate) fn reply(&mut self, id: u64, items: u64) -> Reply<'_> {
        let begin = self.tail;
        let at = begin + Frame::HEAD as u64;
        let block = OpenBlock::default();
        let first = Frame::FIRST;
        let mut reply = Reply { limit: 0, end: self, id, begin, at, first, items, block };
        reply.look_for_room();
        reply
    }
}

/// A reply that is being written, result by result.
///
/// Results go straight into the ring, and after each of them `draft` is moved behind it: what is
/// done survives the worker.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    end: &'a mut WorkerEnd,
    id: u64,
    /// Where the open frame begins.
    begin: u64,
    /// Where the next byte goes.
    at: u64,
    /// How far there is room, as known.
    limit: u64,
    first: u16,
    /// How many items have no result yet.
    items: u64,
    block: OpenBlock,
}

/// Numbers that are being written one by one: for `left` more there is room.
#[derive(Debug, Default)]
struct OpenBlock {
    head: u64,
    size: u8,
    count: u32,
    left: u32,
}

impl Reply<'_> {
    /// Appends a number, which lies together with those before it.
    #[inline(always)]
    pub(crate) fn write_number(&mut self, number: Number) {
        let bytes = number.bytes();
        if self.block.left == 0 || usize::from(self.block.size) != bytes.len() {
            self.begin_block(bytes.len());
        }
        if let Ok(word) = bytes.try_into()
            && self.at.is_multiple_of(8)
        {
            self.end.lane.replies.store(self.at, u64::from_le_bytes(word));
        } else {
            self.end.lane.replies.write(self.at, bytes);
        }
        self.at += bytes.len() as u64;
        self.block.left -= 1;
    }

    /// Begins a block for numbers of `size` bytes, as long as there is room in the frame.
    #[cold]
    fn begin_block(&mut self, size: usize) {
        self.end_block();
        let least = (Block::HEAD + size) as u64;
        loop {
            self.look_for_room();
            if self.limit >= self.at + least {
                break;
            }
            if self.at > self.begin + Frame::HEAD as u64 {
                self.close(Frame::MORE, 0, 0);
            } else {
                self.wait_for_room();
            }
        }
        let room = (self.limit - self.at) as usize - Block::HEAD;
        let count = (room / size).min(self.items.max(1) as usize) as u32;
        self.block = OpenBlock { head: self.at, size: size as u8, count, left: count };
        let head = Block { size: size as u8, count }.to_bytes();
        self.end.lane.replies.write(self.at, &head);
        self.at += Block::HEAD as u64;
    }

    /// Corrects the head of a block that has become shorter than it was to be.
    fn end_block(&mut self) {
        let OpenBlock { head, size, count, left } = std::mem::take(&mut self.block);
        if left > 0 {
            let block = Block { size, count: count - left };
            self.end.lane.replies.write(head, &block.to_bytes());
        }
    }

    /// Appends bytes, in several frames if they do not fit into one.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.block.left > 0 {
            self.end_block();
        }
        if self.at + bytes.len() as u64 <= self.limit {
            self.end.lane.replies.write(self.at, bytes);
            self.at += bytes.len() as u64;
        } else {
            self.write_slowly(bytes);
        }
    }

    #[cold]
    fn write_slowly(&mut self, mut bytes: &[u8]) {
        loop {
            let room = self.limit.saturating_sub(self.at) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.end.lane.replies.write(self.at, now);
            self.at += now.len() as u64;
            bytes = later;
            if bytes.is_empty() {
                return;
            }
            self.look_for_room();
            if self.limit <= self.at && self.at > self.begin + Frame::HEAD as u64 {
                self.close(Frame::MORE, 0, 0);
                self.look_for_room();
            }
            while self.limit <= self.at {
                self.wait_for_room();
            }
        }
    }

    /// Marks what has been written as whole results.
    #[inline]
    pub(crate) fn commit_item(&mut self) {
        self.items = self.items.saturating_sub(1);
        // Release: pairs with the Acquire in `PoolEnd::leftovers`.
        self.end.lane.worker[of_worker::DRAFT].store(self.at, Ordering::Release);
    }

    /// Whether no other item is to be begun: those that are left belong to another worker.
    #[inline]
    pub(crate) fn is_deserted(&self) -> bool {
        self.end.is_deserted()
    }

    /// Notes when an item began, for a task that runs against the clock, and returns that.
    pub(crate) fn begin_item(&self) -> u64 {
        let now = Deadline::now().as_nanos();
        self.end.lane.worker[of_worker::SINCE].store(now, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `PoolEnd::desert`: either we see that we are deserted, or
        // the pool sees that all before this item is done.
        fence(Ordering::SeqCst);
        now
    }

    /// Ends the reply. `nanos` is how long the task ran.
    pub(crate) fn finish(mut self, fds: &[OwnedFd], nanos: u64) {
        self.end_block();
        let mut sent = 0;
        if !fds.is_empty() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            if send_fds(&self.end.wire, &fds, SendFlags::empty()).is_ok() {
                sent = fds.len() as u16;
            }
        }
        while self.limit < self.begin + Frame::HEAD as u64 {
            self.wait_for_room(); // The ring is so full that not even the head fits.
        }
        self.close(0, sent, nanos);
    }

    /// Commits the open frame and begins the next one.
    fn close(&mut self, flags: u16, fds: u16, extra: u64) {
        let len = (self.at - self.begin) as usize - Frame::HEAD;
        let flags = flags | self.first;
        let frame = Frame { len: len as u32, flags, fds, id: self.id, extra };
        self.end.lane.replies.write(self.begin, &frame.to_bytes());
        self.end.tail = self.begin + Frame::span(len) as u64;
        // Release: the commit; pairs with the Acquire in `PoolEnd::next_reply`.
        self.end.lane.worker[of_worker::REPLY_TAIL].store(self.end.tail, Ordering::Release);
        self.end.ring();
        self.first = 0;
        self.begin = self.end.tail;
        self.at = self.begin + Frame::HEAD as u64;
        self.limit = 0;
    }

    /// Learns how much room there is, no more than makes a good frame.
    fn look_for_room(&mut self) {
        self.limit = self.room();
    }

    fn room(&self) -> u64 {
        let ring = self.end.lane.replies.capacity() as u64;
        // Acquire: pairs with the Release in `PoolEnd::next_reply`.
        let head = self.end.lane.pool[of_pool::REPLY_HEAD].load(Ordering::Acquire);
        let is_read = self.end.lane.sleepers[sleepers::RETIRE].load(Ordering::Acquire) != ALONE;
        // What nobody reads may be written over.
        let head = if is_read { head } else { self.begin };
        (head + ring).min(self.begin + ring / 4)
    }

    /// Waits until the pool has read something.
    fn wait_for_room(&mut self) {
        self.end.sleep(FOR_ROOM, || self.room() != self.limit);
        self.look_for_room();
    }
}
