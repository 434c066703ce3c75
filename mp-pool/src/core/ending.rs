//! Ends: of workers, of tasks before their time, of the pool.

use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;

use super::{Core, Phase, Worker};
use crate::TaskError;
use crate::batch::{Batch, Content};
use crate::codec::Row;
use crate::ledger::{Fate, Place, TaskId};
use crate::pool_end::Claim;
use crate::work::Work;

impl Core {
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
        let again = std::mem::replace(&mut worker.ended, true);
        worker.doomed = None;
        if !worker.hand.kill() && !again {
            let status = worker.hand.status();
            worker.end.desert();
            self.bury(slot, status);
        }
    }

    /// Ends a worker that writes what no worker writes.
    pub(super) fn discard(&mut self, slot: usize) {
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
        worker.end.leave_alone();
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
        work.asked = None;
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
            self.lay_off(slot);
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
}
