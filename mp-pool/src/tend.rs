//! What the collector sees to now and then: clocks, quotas, comings and goings.

use mp_sys::Deadline;

use crate::core::{Core, Phase};
use crate::ledger::Fate;
use crate::pool_end::Claim;

impl Core {
    /// Looks at every clock and sees to what is due.
    pub(crate) fn tend(&mut self) {
        self.check_clocks();
        self.see_off();
        if self.is_done() {
            for slot in 0..self.slots.len() {
                self.retire(slot);
            }
            if self.slots.iter().all(|slot| slot.worker.is_none() && !slot.hiring) {
                self.phase = Phase::Ended;
            }
        }
    }

    /// Ends the tasks whose time is up, and asks those to stop whose soft limit has passed.
    fn check_clocks(&mut self) {
        if self.timed == 0 {
            return;
        }
        let now = Deadline::now();
        for slot in 0..self.slots.len() {
            let Some((id, begun)) = self.running(slot) else { continue };
            let Some(work) = self.ledger.get(id) else { continue };
            let limits = work.limits;
            if limits.timeout.is_some_and(|limit| begun.plus(limit) <= now) {
                self.condemn(id, Fate::Timeout);
            } else if limits.soft_timeout.is_some_and(|limit| begun.plus(limit) <= now)
                && work.asked != Some(begun)
                && let Some(worker) = &self.slots[slot].worker
            {
                worker.end.ask_item_to_stop(begun.as_nanos());
                self.ledger.get_mut(id).into_iter().for_each(|work| work.asked = Some(begun));
            }
        }
    }

    /// The task that `slot` runs, and since when.
    pub(crate) fn running(&self, slot: usize) -> Option<(u64, Deadline)> {
        let worker = self.slots[slot].worker.as_ref()?;
        let id = *self.ledger.queue(slot).front()?;
        match worker.end.claim(self.ledger.claim(id)?) {
            Claim::Claimed(since) => {
                // An item of a chunk begins later than its task.
                Some((id, Deadline::from_nanos(since.max(worker.end.since()))))
            }
            Claim::Queued | Claim::Taken => None,
        }
    }

    /// When a clock may next be due, for a collector that sleeps until then.
    fn next_clock(&self) -> Option<Deadline> {
        let mut next: Option<Deadline> = None;
        let mut at = |deadline: Deadline| next = Some(deadline.or_earlier(next));
        if self.timed > 0 {
            let now = Deadline::now();
            for (slot, _) in self.workers() {
                let running = self.running(slot);
                for id in self.ledger.queue(slot) {
                    let Some(work) = self.ledger.get(*id) else { continue };
                    if !work.limits.is_timed() {
                        continue;
                    }
                    // What has not begun cannot be due sooner than if it began at once.
                    let begun = match running {
                        Some((running, begun)) if running == *id => begun,
                        _ => now,
                    };
                    if let Some(limit) = work.limits.timeout
                        && !self.ledger.is_condemned(*id)
                    {
                        at(begun.plus(limit));
                    }
                    if let Some(limit) = work.limits.soft_timeout {
                        // The next item of a chunk may begin at any moment.
                        match work.asked == Some(begun) {
                            false => at(begun.plus(limit)),
                            true if work.count > 1 => at(now.plus(limit)),
                            true => {}
                        }
                    }
                    if running.is_none_or(|(running, _)| running != *id) {
                        break; // Those behind it begin later still.
                    }
                }
            }
        }
        if let Some(limit) = self.idle_timeout {
            for (slot, worker) in self.workers() {
                if self.ledger.queue(slot).is_empty() && !worker.retiring {
                    at(worker.last_busy.plus(limit));
                }
            }
        }
        for (_, worker) in self.workers() {
            worker.doomed.into_iter().for_each(&mut at);
        }
        next
    }

    /// Whether anything here goes by the clock.
    pub(crate) fn has_clocks(&self) -> bool {
        self.timed > 0 || self.idle_timeout.is_some()
    }

    /// Sets the collector's alarm.
    pub(crate) fn set_alarm(&mut self) -> Option<Deadline> {
        self.alarm = self.next_clock();
        self.alarm
    }

    /// Whether a clock may be due before the collector looks.
    pub(crate) fn is_early(&self) -> bool {
        match (self.next_clock(), self.alarm) {
            (Some(next), Some(alarm)) => next < alarm,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Sees off workers that have had their tasks, are too many, idle, or will not go.
    fn see_off(&mut self) {
        let now = Deadline::now();
        for slot in 0..self.slots.len() {
            let Some(worker) = &self.slots[slot].worker else { continue };
            let idle = self.ledger.queue(slot).is_empty();
            let idle_since = worker.last_busy;
            if worker.doomed.is_some_and(|deadline| deadline <= now) {
                self.kill(slot);
            } else if self.ledger.is_spent(slot) {
                self.retire(slot);
            } else if idle
                && self.idle_timeout.is_some_and(|limit| idle_since.plus(limit) <= now)
                && self.phase == Phase::Open
            {
                self.slots[slot].dormant = true;
                self.retire(slot);
            }
        }
        let mut surplus = self.staff().saturating_sub(self.target);
        // Idle ones go first, then those with most in front of them last.
        let mut order: Vec<usize> = (0..self.slots.len()).rev().collect();
        order.sort_by_key(|slot| self.ledger.queue(*slot).len());
        for slot in order {
            if surplus > 0 && self.slots[slot].worker.as_ref().is_some_and(|w| !w.retiring) {
                self.retire(slot);
                surplus -= 1;
            }
        }
    }

    /// How many workers there are that are meant to stay.
    fn staff(&self) -> usize {
        let staying = |worker: &crate::core::Worker| !worker.retiring && !worker.ended;
        self.slots
            .iter()
            .filter(|slot| slot.hiring || slot.worker.as_ref().is_some_and(staying))
            .count()
    }

    /// Has a worker end once it is through with what it has begun.
    pub(crate) fn retire(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if !worker.retiring {
            worker.retiring = true;
            if !self.ledger.is_spent(slot) {
                self.lay_off(slot);
            }
            self.ledger.close_desk(slot);
            if let Some(worker) = &self.slots[slot].worker {
                worker.end.retire();
            }
            self.dispatch();
        }
    }

    /// Whether a worker should be started.
    pub(crate) fn wants_hands(&self) -> bool {
        self.vacant().is_some()
    }

    fn vacant(&self) -> Option<usize> {
        if self.phase == Phase::Ended || self.is_done() {
            return None;
        }
        let staff = self.staff();
        if staff >= self.target {
            return None;
        }
        let busy = self.ledger.len() > staff;
        let free = |slot: &crate::core::Slot| {
            slot.worker.is_none() && !slot.hiring && (!slot.dormant || busy)
        };
        if busy {
            return self.slots.iter().position(free);
        }
        // Those who were sent to sleep for want of work do not count as missing.
        let dormant = self.slots.iter().filter(|slot| slot.dormant).count();
        if staff + dormant >= self.target { None } else { self.slots.iter().position(free) }
    }

    /// Takes a slot that wants a worker, for whoever starts one.
    pub(crate) fn vacancy(&mut self) -> Option<usize> {
        let slot = self.vacant()?;
        self.slots[slot].hiring = true;
        Some(slot)
    }

    /// Changes how many workers there should be.
    pub(crate) fn resize(&mut self, target: usize) {
        self.target = target;
        if self.slots.len() < target {
            self.slots.resize_with(target, Default::default);
        }
        self.ledger.set_up(self.slots.len());
    }
}
