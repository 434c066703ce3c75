//! The core: the ledger, the workers' lanes, and what moves tasks and results between them.
//!
//! Everything here happens under the pool's one lock and waits for nothing. What might take long
//! or call foreign code (wakers, callbacks) is put among the `effects` and happens after it.

mod ending;
mod replies;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::{Deadline, Errno};

use crate::batch::{Batch, Content, Effect, Piece};
use crate::hand::Hand;
use crate::ledger::{Fate, Ledger, Place, TaskId};
use crate::pool_end::PoolEnd;
use crate::settings::Settings;
use crate::stats::Counts;
use crate::work::Work;
use crate::{Error, TaskError};

pub(crate) use replies::SHORT;
use worker::Feed;
pub(crate) use worker::{Slot, Worker};

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
    /// What is to be delivered before the lock is released.
    outbox: Vec<(Arc<Batch>, Piece)>,
    /// The collector has been told that a closed pool has no tasks left.
    told_done: bool,
    /// How many pieces have been delivered.
    pub(crate) delivered: u64,
    pub(crate) totals: Counts,
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
            outbox: Vec::new(),
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

    /// Enters tasks and sends what a worker can take.
    pub(crate) fn submit(&mut self, tasks: impl Iterator<Item = Work>) {
        for work in tasks {
            self.timed += usize::from(work.limits.is_timed());
            self.ledger.submit(work);
        }
        self.dispatch();
    }

    /// Sends what can be sent.
    pub(crate) fn dispatch(&mut self) {
        self.assign();
        for slot in &mut self.slots {
            if let Some(worker) = &mut slot.worker {
                worker.end.commit();
            }
        }
    }

    /// Queues what can be queued, and lets sleepers sleep.
    fn assign(&mut self) {
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
                        worker.end.commit();
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

    /// Whether any worker has replied to anything, or made room that was asked for.
    pub(crate) fn has_news(&self) -> bool {
        let made_room = |worker: &Worker| worker.wants_room && worker.end.made_room();
        self.workers().any(|(_, worker)| worker.end.has_reply() || made_room(worker))
    }

    /// Whether a worker has come to its mark.
    pub(crate) fn has_enough(&self) -> bool {
        self.workers().any(|(_, worker)| worker.end.has_reply() && worker.end.is_at_mark())
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
