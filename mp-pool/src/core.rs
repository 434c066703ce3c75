//! The core: the ledger, the workers' lanes, and what moves tasks and results between them.
//!
//! Everything here happens under the pool's one lock and waits for nothing. What might take long
//! or call foreign code (wakers, callbacks) is put among the `effects` and happens after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::{Deadline, Errno};

use crate::batch::{Batch, Content, Effect, Piece};
use crate::codec::{self, Item, Row};
use crate::hand::Hand;
use crate::job::{COUNT, Failure, TIMED};
use crate::lane::{Frame, READY};
use crate::ledger::{Fate, Ledger, Place, TaskId};
use crate::pool_end::{Claim, Garbled, PoolEnd};
use crate::settings::Settings;
use crate::stats::Counts;
use crate::work::Work;
use crate::worker::INIT;
use crate::{Error, TaskError};

/// The pool's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// Takes no more tasks; those it has are done.
    Closed,
    /// Everything is over; workers are on their way out.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) phase: Phase,
    /// How many calls are at work that were taken when the pool was open.
    pub(crate) admitted: usize,
    /// They may send more, though the pool is closed.
    pub(crate) admits: bool,
    /// Why the pool gave up.
    pub(crate) broken: Option<String>,
    pub(crate) ledger: Ledger<Work>,
    pub(crate) slots: Vec<Slot>,
    /// How many workers there should be.
    pub(crate) target: usize,
    /// Changes whenever a worker comes or goes.
    pub(crate) epoch: u64,
    /// How many tasks run against the clock.
    pub(crate) timed: usize,
    /// When the collector will look by itself.
    pub(crate) alarm: Option<Deadline>,
    /// How many workers died in a row before one came to life.
    pub(crate) stillborn: u32,
    /// When workers died that nobody had ended.
    pub(crate) deaths: VecDeque<u64>,
    pub(crate) restart_limit: Option<(u32, Duration)>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) effects: Vec<Effect>,
    /// The collector has been told that a closed pool has no tasks left.
    told_done: bool,
    /// How many pieces have been delivered.
    pub(crate) delivered: u64,
    pub(crate) totals: Counts,
}

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
    partial: Vec<u8>,
    feed: Feed,
    /// It was asked to ring when there is room.
    wants_room: bool,
    pub(crate) ready: bool,
    /// It was told to end once it is done.
    pub(crate) retiring: bool,
    /// It was killed.
    pub(crate) ended: bool,
    /// It was asked to end, and is killed if it has not by then.
    pub(crate) doomed: Option<Deadline>,
    /// Why its initialiser failed.
    init_failure: Option<String>,
    pub(crate) hired: Deadline,
    /// When it last had something to do.
    pub(crate) last_busy: Deadline,
}

/// A message too long for the ring at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Nothing,
    /// Of this task, so many bytes are queued.
    Task(TaskId, usize),
    /// This task was taken back half-way: the worker has to be told.
    Abort(TaskId),
}

impl Core {
    pub(crate) fn new(settings: &Settings) -> Core {
        let mut core = Core {
            phase: Phase::Open,
            admitted: 0,
            admits: true,
            broken: None,
            ledger: Ledger::new(),
            slots: Vec::new(),
            target: 0,
            epoch: 0,
            timed: 0,
            alarm: None,
            stillborn: 0,
            deaths: VecDeque::new(),
            restart_limit: settings.restarts,
            idle_timeout: settings.idle_timeout,
            effects: Vec::new(),
            told_done: false,
            delivered: 0,
            totals: Counts::default(),
        };
        core.resize(settings.workers);
        core
    }

    /// Whether the pool takes tasks.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match (self.phase, &self.broken) {
            (_, Some(reason)) => Err(Error::Broken(reason.clone())),
            (Phase::Open, None) => Ok(()),
            _ => Err(Error::Closed),
        }
    }

    /// Whether a closed pool has just come to have no tasks left.
    pub(crate) fn is_newly_done(&mut self) -> bool {
        self.is_done() && !std::mem::replace(&mut self.told_done, true)
    }

    /// Whether the pool is closed and has no tasks left.
    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Closed && self.ledger.len() == 0 && self.admitted == 0
    }

    /// Enters a task and sends it if a worker can take it.
    pub(crate) fn submit(&mut self, work: Work) -> TaskId {
        self.timed += usize::from(work.limits.is_timed());
        let id = self.ledger.submit(work);
        self.dispatch();
        id
    }

    /// Sends what can be sent.
    pub(crate) fn dispatch(&mut self) {
        loop {
            let slots = &self.slots;
            let fits = |slot: usize, work: &Work| {
                slots[slot].worker.as_ref().is_some_and(|worker| worker.fits(work))
            };
            let Some((id, slot)) = self.ledger.next(fits) else {
                if self.ledger.waiting() > 0 && self.ask_for_room() {
                    continue;
                }
                return;
            };
            let Some(worker) = &mut self.slots[slot].worker else { return };
            let Some(work) = self.ledger.get(id) else { return };
            match worker.send(id, work) {
                Ok(claim) => {
                    self.ledger.assigned(id, slot, claim);
                    if self.ledger.is_spent(slot) {
                        worker.retiring = true; // That was the last one for this worker.
                        worker.end.retire();
                    }
                }
                Err(Errno::AGAIN) => return, // Its socket is full: the next reply makes room.
                Err(errno) => {
                    let reason = format!("sending descriptors failed: {errno}");
                    self.leave(id, |_| Content::Failed(TaskError::Codec(reason)));
                }
            }
        }
    }

    /// Tasks wait, and no lane has room: those that are full of what was taken back may soon have
    /// some. `true` if one has by now.
    fn ask_for_room(&mut self) -> bool {
        let mut any = false;
        for slot in 0..self.slots.len() {
            if let Some(worker) = &mut self.slots[slot].worker
                && self.ledger.queue(slot).is_empty()
                && self.ledger.is_open(slot)
                && worker.feed == Feed::Nothing
                && !worker.wants_room
            {
                worker.wants_room = true;
                worker.end.want_room();
                any |= worker.end.has_claim() && worker.end.is_empty();
            }
        }
        any
    }

    /// Takes the task out of the book and delivers its end.
    fn leave(&mut self, id: TaskId, end: impl FnOnce(Option<Fate>) -> Content) {
        if let Some((work, fate)) = self.ledger.remove(id) {
            self.timed -= usize::from(work.limits.is_timed());
            self.deliver(&work.batch, work.first, work.count, end(fate));
        }
    }

    pub(crate) fn deliver(&mut self, batch: &Arc<Batch>, first: u64, count: u32, content: Content) {
        self.deliver_timed(batch, first, count, 0, content);
    }

    fn deliver_timed(
        &mut self,
        batch: &Arc<Batch>,
        first: u64,
        count: u32,
        nanos: u64,
        content: Content,
    ) {
        self.delivered += 1;
        batch.arrive(Piece { first, count, nanos, content }, &mut self.effects);
    }

    /// Whether any worker has replied to anything, or made room that was asked for.
    pub(crate) fn has_news(&self) -> bool {
        let made_room = |worker: &Worker| worker.wants_room && worker.end.made_room();
        self.workers().any(|(_, worker)| worker.end.has_reply() || made_room(worker))
    }

    /// Marks each lane where half of what lies there is done.
    pub(crate) fn mark(&self) {
        for (slot, worker) in self.workers() {
            worker.end.mark(self.ledger.queue(slot).len() / 2);
        }
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = (usize, &Worker)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.worker.as_ref()?)))
    }

    /// Takes in all replies, and sends what there is room for.
    pub(crate) fn pump(&mut self) {
        for slot in 0..self.slots.len() {
            self.drain(slot);
        }
        self.dispatch();
        self.balance();
        for slot in 0..self.slots.len() {
            self.feed(slot);
        }
    }

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
            worker.end.wake(); // It may wait for room.
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
        self.deliver_timed(&work.batch, work.first, work.count, frame.extra, content);
        Ok(())
    }

    /// Sends more of a long message.
    fn feed(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        let work = match worker.feed {
            Feed::Nothing => return,
            Feed::Abort(_) => None,
            Feed::Task(id, _) => self.ledger.get(id),
        };
        worker.feed(work);
    }

    /// Lets a worker with nothing to do have what another one has queued.
    fn balance(&mut self) {
        while let Some(busiest) = self.ledger.imbalance() {
            let queue = self.ledger.queue(busiest);
            let spare: Vec<TaskId> = queue.iter().rev().take(queue.len() / 2).copied().collect();
            let before = self.ledger.waiting();
            for id in spare {
                if !self.take_back(id) {
                    break;
                }
            }
            if self.ledger.waiting() == before {
                return;
            }
            self.dispatch();
            if self.ledger.waiting() > 0 {
                return; // They fit nowhere else after all; the next reply makes room.
            }
        }
    }

    /// Takes a queued task back into the backlog; `false` if the worker was faster.
    pub(crate) fn take_back(&mut self, id: TaskId) -> bool {
        let Some(Place::At { worker: slot, claim }) = self.ledger.place(id) else { return false };
        let Some(worker) = &mut self.slots[slot].worker else { return false };
        if !worker.end.take_back(claim) {
            return false;
        }
        if matches!(worker.feed, Feed::Task(fed, _) if fed == id) {
            worker.feed = Feed::Abort(id);
        }
        self.ledger.taken_back(id);
        self.feed(slot);
        true
    }

    /// Takes back all that `slot` has not begun, and sends it nothing more.
    pub(crate) fn lay_off(&mut self, slot: usize) {
        self.ledger.close_desk(slot);
        let queue: Vec<TaskId> = self.ledger.queue(slot).iter().rev().copied().collect();
        for id in queue {
            if !self.take_back(id) {
                break; // Claimed; and so is, or was, everything before it.
            }
        }
    }

    /// Ends the worker that runs `id`, and nothing else, for the given reason.
    pub(crate) fn condemn(&mut self, id: TaskId, fate: Fate) {
        let Some(Place::At { worker: slot, .. }) = self.ledger.place(id) else { return };
        // First nothing more can begin at this worker; then, if `id` is still running, it is the
        // only thing that the kill can hit.
        self.lay_off(slot);
        self.drain(slot);
        if self.ledger.place(id).is_some() {
            self.ledger.condemn(id, fate);
            self.kill(slot);
        } else if let Some(worker) = &mut self.slots[slot].worker
            && !worker.retiring
            && !worker.ended
        {
            self.ledger.reopen_desk(slot); // It was through after all.
        }
        self.dispatch();
    }

    /// Ends a worker. A process is seen to at its death; a thread is left alone at once.
    pub(crate) fn kill(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        worker.ended = true;
        worker.doomed = None;
        if !worker.hand.kill() {
            let status = worker.hand.status();
            worker.end.retire();
            self.bury(slot, status);
        }
    }

    /// Ends a worker that writes what no worker writes.
    fn discard(&mut self, slot: usize) {
        self.lay_off(slot);
        self.kill(slot);
    }

    /// A worker is dead: everything that it had is accounted for.
    pub(crate) fn bury(&mut self, slot: usize, status: mp_process::ExitStatus) {
        self.drain(slot);
        let Some(mut worker) = self.slots[slot].worker.take() else { return };
        self.epoch += 1;
        self.ledger.close_desk(slot);
        let mut bytes = std::mem::take(&mut worker.partial);
        if worker.end.leftovers(&mut bytes).is_err() {
            bytes.clear();
        }
        let queue: Vec<TaskId> = self.ledger.queue(slot).iter().rev().copied().collect();
        for id in queue {
            let Some(Place::At { claim, .. }) = self.ledger.place(id) else { continue };
            match worker.end.claim(claim) {
                Claim::Queued | Claim::Taken => self.ledger.taken_back(id),
                Claim::Claimed(_) => {
                    let died =
                        |task| TaskError::WorkerDied { pid: worker.hand.pid(), status, task };
                    self.salvage(id, std::mem::take(&mut bytes), died);
                }
            }
        }
        self.account_for_death(slot, &worker);
        self.dispatch();
    }

    /// Delivers what a dead worker had done of a task, fails the item that it was at, and submits
    /// the rest anew.
    fn salvage(&mut self, id: TaskId, mut bytes: Vec<u8>, died: impl FnOnce(u64) -> TaskError) {
        let Some((mut work, fate)) = self.ledger.remove(id) else { return };
        self.timed -= usize::from(work.limits.is_timed());
        let mut row = Row::new(&bytes);
        let done = row.skip(work.count as usize) as u32;
        let used = bytes.len() - row.len();
        bytes.truncate(used);
        let (batch, first) = (Arc::clone(&work.batch), work.first);
        if done > 0 {
            self.deliver(&batch, first, done, Content::Reply { bytes, fds: Vec::new() });
        }
        if done == work.count {
            return;
        }
        let task = first + u64::from(done);
        if self.phase == Phase::Ended || fate == Some(Fate::Cancelled) {
            let left = work.count - done;
            return self.deliver(&batch, task, left, Content::Failed(TaskError::Cancelled));
        }
        let limits = work.limits;
        work.asked = false;
        let (item, rest) = work.cut(done);
        if let Some(rest) = rest {
            self.resubmit(rest);
        }
        match item {
            Some(mut item) if limits.retries > 0 => {
                item.limits.retries -= 1;
                self.resubmit(item);
            }
            _ => {
                let error = match fate {
                    Some(_) => TaskError::Timeout,
                    None => died(task),
                };
                self.deliver(&batch, task, 1, Content::Failed(error));
            }
        }
    }

    fn resubmit(&mut self, work: Work) {
        self.timed += usize::from(work.limits.is_timed());
        self.ledger.resubmit(work);
    }

    fn account_for_death(&mut self, slot: usize, worker: &Worker) {
        let lived = worker.hired.elapsed();
        self.slots[slot].counts.life(lived);
        if worker.retiring || worker.ended || self.ledger.is_spent(slot) {
            return;
        }
        self.slots[slot].counts.restarts += 1;
        self.totals.restarts += 1;
        if !worker.ready {
            self.stillbirth(match &worker.init_failure {
                Some(reason) => format!("the initialiser failed: {reason}"),
                None => "workers die before they come to life".to_owned(),
            });
        }
        if let Some((max, period)) = self.restart_limit {
            let now = Deadline::now().as_nanos();
            let horizon = now.saturating_sub(period.as_nanos() as u64);
            self.deaths.push_back(now);
            while self.deaths.front().is_some_and(|at| *at < horizon) {
                self.deaths.pop_front();
            }
            if self.deaths.len() > max as usize {
                let reason = format!("{} workers died within {period:?}", self.deaths.len());
                self.break_down(reason);
            }
        }
    }

    /// A worker did not come to life. When that has happened too often in a row, the pool is broken.
    pub(crate) fn stillbirth(&mut self, reason: String) {
        self.stillborn += 1;
        if self.stillborn > self.target as u32 + 2 {
            self.break_down(reason);
        }
    }

    /// Gives up: every task fails with the reason.
    pub(crate) fn break_down(&mut self, reason: String) {
        self.broken.get_or_insert_with(|| reason.clone());
        self.end(TaskError::Broken(reason), Duration::ZERO);
    }

    /// Ends everything: every task that is not done fails with `error`, every worker dies, at the
    /// latest after `grace`.
    pub(crate) fn end(&mut self, error: TaskError, grace: Duration) {
        for slot in 0..self.slots.len() {
            self.drain(slot);
        }
        self.phase = Phase::Ended;
        let ids: Vec<TaskId> = self.ledger.ids().map(|(id, _)| id).collect();
        for id in ids {
            self.leave(id, |_| Content::Failed(error.clone()));
        }
        for slot in 0..self.slots.len() {
            match &mut self.slots[slot].worker {
                Some(worker) if !grace.is_zero() && worker.hand.terminate() => {
                    worker.ended = true;
                    worker.doomed = Some(Deadline::after(grace));
                }
                _ => self.kill(slot),
            }
        }
    }

    /// Cancels what is left of a batch: what waits leaves, what runs loses its worker.
    pub(crate) fn cancel(&mut self, batch: &Arc<Batch>) {
        let of_batch = |(id, work): (TaskId, &Work)| Arc::ptr_eq(&work.batch, batch).then_some(id);
        let ids: Vec<TaskId> = self.ledger.ids().filter_map(of_batch).collect();
        for id in self.withdraw(ids) {
            self.condemn(id, Fate::Cancelled);
        }
    }

    /// Cancels what waits of a batch; what runs goes on, and its results go nowhere.
    pub(crate) fn abandon(&mut self, batch: &Arc<Batch>) {
        let of_batch = |(id, work): (TaskId, &Work)| Arc::ptr_eq(&work.batch, batch).then_some(id);
        let ids: Vec<TaskId> = self.ledger.ids().filter_map(of_batch).collect();
        self.withdraw(ids);
    }

    /// Cancels what of `ids` has not begun, and returns the others.
    pub(crate) fn withdraw(&mut self, mut ids: Vec<TaskId>) -> Vec<TaskId> {
        ids.retain(|id| {
            let waits = self.ledger.place(*id) == Some(Place::Backlog) || self.take_back(*id);
            if waits {
                self.leave(*id, |_| Content::Failed(TaskError::Cancelled));
            }
            !waits
        });
        self.dispatch();
        ids
    }

    /// Asks the tasks of a batch that run to stop.
    pub(crate) fn ask_to_stop(&mut self, batch: &Arc<Batch>) {
        for (slot, worker) in self.workers() {
            if let Some(id) = self.ledger.queue(slot).front()
                && self.ledger.get(*id).is_some_and(|work| Arc::ptr_eq(&work.batch, batch))
            {
                worker.end.ask_to_stop(*id);
            }
        }
    }

    /// Puts a new worker into its slot.
    pub(crate) fn install(
        &mut self,
        slot: usize,
        hand: Arc<Hand>,
        end: PoolEnd,
        quota: Option<u64>,
    ) {
        let now = Deadline::now();
        self.slots[slot].hiring = false;
        self.slots[slot].dormant = false;
        self.slots[slot].worker = Some(Worker {
            hand,
            end,
            partial: Vec::new(),
            feed: Feed::Nothing,
            wants_room: false,
            ready: false,
            retiring: false,
            ended: false,
            doomed: None,
            init_failure: None,
            hired: now,
            last_busy: now,
        });
        self.epoch += 1;
        self.ledger.hire(slot, quota);
        if self.phase == Phase::Ended {
            self.ledger.close_desk(slot);
            self.kill(slot);
        }
        self.dispatch();
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

impl Worker {
    fn fits(&self, work: &Work) -> bool {
        let len = work.body.len();
        self.feed == Feed::Nothing
            && self.end.has_claim()
            && self.end.room() >= Frame::span(len.min(self.end.piece_max()))
    }

    /// Queues a task, or as much of it as there is room for. Returns its claim word.
    fn send(&mut self, id: TaskId, work: &Work) -> Result<u64, Errno> {
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
        self.end.wake();
        if more != 0 {
            self.feed = Feed::Task(id, now);
            self.feed(Some(work));
        }
        Ok(claim)
    }

    /// Queues more of a long message, as far as there is room.
    fn feed(&mut self, work: Option<&Work>) {
        let mut asked = false;
        loop {
            let (id, bytes, done) = match (self.feed, work) {
                (Feed::Nothing, _) => return,
                (Feed::Task(id, done), Some(work)) => (id, &work.body[done..], Some(done)),
                (Feed::Abort(id) | Feed::Task(id, _), _) => (id, &[][..], None),
            };
            let piece = bytes.len().min(self.end.piece_max());
            if self.end.room() < Frame::span(piece) {
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
            self.end.wake();
        }
    }
}
