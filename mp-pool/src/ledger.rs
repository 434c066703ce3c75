//! The ledger: where every task is.
//!
//! A state machine without locks, clocks, memory maps or processes. It knows for each task whether
//! it waits in the backlog or lies at a worker, in which order, and what is to become of it; the
//! rest of the crate does the deeds and enters them here. Every task that is entered leaves
//! exactly once, by [`finish`](Ledger::finish) or [`remove`](Ledger::remove).

use std::collections::VecDeque;

use crate::lane::CLAIMS;

/// A task's number: never used twice, never 0.
pub(crate) type TaskId = u64;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the backlog.
    Backlog,
    /// In the lane of this worker, under this claim word.
    At { worker: usize, claim: u64 },
}

/// Why a worker is being ended while it runs a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It ran longer than it may.
    Timeout,
    /// It was cancelled.
    Cancelled,
}

#[derive(Debug)]
struct Entry<T> {
    task: T,
    place: Place,
    fate: Option<Fate>,
}

/// What the ledger knows of a worker.
#[derive(Debug, Default)]
struct Desk {
    /// Whether tasks may be sent.
    open: bool,
    /// How many more may be sent in this life.
    quota: Option<u64>,
    /// What was sent and has not come back, oldest first. The first one may be running.
    queue: VecDeque<TaskId>,
}

/// The book of all tasks; `T` is whatever the pool keeps for one.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    /// Entry and generation by place; a number is `generation << 32 | place`.
    entries: Vec<(u32, Option<Entry<T>>)>,
    free: Vec<u32>,
    /// May hold numbers of tasks that have left; they are passed over.
    backlog: VecDeque<TaskId>,
    waiting: usize,
    desks: Vec<Desk>,
}

impl<T> Ledger<T> {
    pub(crate) fn new() -> Ledger<T> {
        Ledger {
            entries: Vec::new(),
            free: Vec::new(),
            backlog: VecDeque::new(),
            waiting: 0,
            desks: Vec::new(),
        }
    }

    /// How many tasks are in the book.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// How many tasks wait in the backlog.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Enters a task at the end of the backlog.
    pub(crate) fn submit(&mut self, task: T) -> TaskId {
        let id = self.enter(task);
        self.backlog.push_back(id);
        id
    }

    /// Enters what is left of a task that had begun, ahead of all that wait.
    pub(crate) fn resubmit(&mut self, task: T) -> TaskId {
        let id = self.enter(task);
        self.backlog.push_front(id);
        id
    }

    fn enter(&mut self, task: T) -> TaskId {
        self.waiting += 1;
        let entry = Some(Entry { task, place: Place::Backlog, fate: None });
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize].1 = entry;
                at
            }
            None => {
                self.entries.push((1, entry));
                self.entries.len() as u32 - 1
            }
        };
        u64::from(self.entries[at as usize].0) << 32 | u64::from(at)
    }

    fn entry(&self, id: TaskId) -> Option<&Entry<T>> {
        let (generation, entry) = self.entries.get(id as u32 as usize)?;
        entry.as_ref().filter(|_| u64::from(*generation) == id >> 32)
    }

    fn entry_mut(&mut self, id: TaskId) -> Option<&mut Entry<T>> {
        let (generation, entry) = self.entries.get_mut(id as u32 as usize)?;
        entry.as_mut().filter(|_| u64::from(*generation) == id >> 32)
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&T> {
        self.entry(id).map(|entry| &entry.task)
    }

    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut T> {
        self.entry_mut(id).map(|entry| &mut entry.task)
    }

    pub(crate) fn place(&self, id: TaskId) -> Option<Place> {
        self.entry(id).map(|entry| entry.place)
    }

    /// The number of the task's claim word, if it is at a worker.
    pub(crate) fn claim(&self, id: TaskId) -> Option<u64> {
        match self.place(id)? {
            Place::At { claim, .. } => Some(claim),
            Place::Backlog => None,
        }
    }

    /// All tasks, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (TaskId, &T)> {
        self.entries.iter().enumerate().filter_map(|(at, (generation, entry))| {
            let entry = entry.as_ref()?;
            Some((u64::from(*generation) << 32 | at as u64, &entry.task))
        })
    }

    /// Makes desks for `workers` workers, closed ones.
    pub(crate) fn set_up(&mut self, workers: usize) {
        if self.desks.len() < workers {
            self.desks.resize_with(workers, Desk::default);
        }
    }

    /// Opens a desk for the next life of `worker`, which takes `quota` tasks at most.
    pub(crate) fn hire(&mut self, worker: usize, quota: Option<u64>) {
        let desk = &mut self.desks[worker];
        debug_assert!(desk.queue.is_empty(), "what the last life left was dealt with");
        desk.open = true;
        desk.quota = quota;
    }

    /// Sends no more tasks to `worker`.
    pub(crate) fn close_desk(&mut self, worker: usize) {
        self.desks[worker].open = false;
    }

    /// Sends tasks to `worker` again.
    pub(crate) fn reopen_desk(&mut self, worker: usize) {
        self.desks[worker].open = true;
    }

    /// Whether tasks may be sent to `worker`.
    pub(crate) fn is_open(&self, worker: usize) -> bool {
        self.desks[worker].open
    }

    /// Whether `worker` has had all the tasks that it may have.
    pub(crate) fn is_spent(&self, worker: usize) -> bool {
        self.desks[worker].quota == Some(0)
    }

    /// What lies at `worker`, oldest first.
    pub(crate) fn queue(&self, worker: usize) -> &VecDeque<TaskId> {
        &self.desks[worker].queue
    }

    /// The task that is next, and the workers that could take it, the least busy one first.
    ///
    /// `fits` says whether a worker's lane has room.
    pub(crate) fn next(&mut self, fits: impl Fn(usize, &T) -> bool) -> Option<(TaskId, usize)> {
        let id = loop {
            let id = *self.backlog.front()?;
            match self.entry(id) {
                Some(entry) if entry.place == Place::Backlog => break id,
                _ => self.backlog.pop_front(), // It left while it waited.
            };
        };
        let task = &self.entry(id)?.task;
        let desks = self.desks.iter().enumerate();
        let able = desks.filter(|(worker, desk)| desk.takes_more() && fits(*worker, task));
        let (worker, _) = able.min_by_key(|(_, desk)| desk.queue.len())?;
        Some((id, worker))
    }

    /// Enters that the next task has been queued in the lane of `worker`.
    pub(crate) fn assigned(&mut self, id: TaskId, worker: usize, claim: u64) {
        debug_assert_eq!(self.backlog.front(), Some(&id));
        self.backlog.pop_front();
        self.waiting -= 1;
        if let Some(entry) = self.entry_mut(id) {
            entry.place = Place::At { worker, claim };
        }
        let desk = &mut self.desks[worker];
        desk.queue.push_back(id);
        desk.quota = desk.quota.map(|quota| quota - 1);
    }

    /// Enters that `worker` has replied to `id`: the task leaves. `None` if it never had it.
    pub(crate) fn finish(&mut self, worker: usize, id: TaskId) -> Option<T> {
        match self.place(id)? {
            Place::At { worker: at, .. } if at == worker => self.remove(id).map(|(task, _)| task),
            _ => None,
        }
    }

    /// Takes the task out of the book, wherever it is.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<(T, Option<Fate>)> {
        match self.place(id)? {
            Place::Backlog => self.waiting -= 1,
            Place::At { worker, .. } => self.leave(worker, id),
        }
        let (generation, entry) = self.entries.get_mut(id as u32 as usize)?;
        *generation = generation.wrapping_add(1).max(1);
        self.free.push(id as u32);
        entry.take().map(|entry| (entry.task, entry.fate))
    }

    /// Enters that a task has been taken back from its worker: it is the next one to be sent.
    pub(crate) fn taken_back(&mut self, id: TaskId) {
        let Some(entry) = self.entry_mut(id) else { return };
        let Place::At { worker, .. } = entry.place else { return };
        entry.place = Place::Backlog;
        self.leave(worker, id);
        let desk = &mut self.desks[worker];
        desk.quota = desk.quota.map(|quota| quota + 1);
        self.backlog.push_front(id);
        self.waiting += 1;
    }

    fn leave(&mut self, worker: usize, id: TaskId) {
        let queue = &mut self.desks[worker].queue;
        if queue.front() == Some(&id) {
            queue.pop_front();
        } else if let Some(at) = queue.iter().rposition(|other| *other == id) {
            queue.remove(at);
        }
    }

    /// Enters why the worker that runs `id` is being ended. The first reason stands.
    pub(crate) fn condemn(&mut self, id: TaskId, fate: Fate) {
        if let Some(entry) = self.entry_mut(id) {
            entry.fate.get_or_insert(fate);
        }
    }

    /// Whether the worker that runs `id` is being ended.
    pub(crate) fn is_condemned(&self, id: TaskId) -> bool {
        self.entry(id).is_some_and(|entry| entry.fate.is_some())
    }

    /// A worker with nothing to do, and the one that has most to spare.
    pub(crate) fn imbalance(&self) -> Option<usize> {
        if self.waiting > 0 || !self.desks.iter().any(|d| d.takes_more() && d.queue.is_empty()) {
            return None;
        }
        let (busiest, desk) =
            self.desks.iter().enumerate().max_by_key(|(_, desk)| desk.queue.len())?;
        (desk.queue.len() >= 2).then_some(busiest)
    }
}

impl Desk {
    fn takes_more(&self) -> bool {
        self.open && self.queue.len() < CLAIMS && self.quota != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What may happen, with numbers that choose among what is there.
    #[derive(Clone, Debug)]
    enum Act {
        Submit,
        Dispatch,
        /// The worker replies to the oldest task it has.
        Finish(usize),
        /// The pool takes the newest task of a worker back.
        TakeBack(usize),
        /// A worker dies at its oldest task, which is split: one part has ended, one is left.
        Die(usize, bool),
        Cancel(usize),
        Balance,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => Just(Act::Submit),
            4 => Just(Act::Dispatch),
            4 => (0..3usize).prop_map(Act::Finish),
            1 => (0..3usize).prop_map(Act::TakeBack),
            1 => (0..3usize, any::<bool>()).prop_map(|(worker, rest)| Act::Die(worker, rest)),
            1 => any::<usize>().prop_map(Act::Cancel),
            1 => Just(Act::Balance),
        ]
    }

    proptest! {
        /// Whatever happens, every task that was entered leaves exactly once, and those that no
        /// death or balance has moved reach the workers in order.
        #[test]
        fn every_task_leaves_once(acts in prop::collection::vec(act(), 0..200), quota in 1..9u64) {
            let mut ledger = Ledger::new();
            ledger.set_up(3);
            (0..3).for_each(|worker| ledger.hire(worker, Some(quota)));
            let (mut open, mut next, mut claim) = (BTreeSet::new(), 0u64, 0);
            for act in acts {
                match act {
                    Act::Submit => {
                        ledger.submit(next);
                        open.insert(next);
                        next += 1;
                    }
                    Act::Dispatch => if let Some((id, worker)) = ledger.next(|_, _| true) {
                        claim += 1;
                        ledger.assigned(id, worker, claim);
                        prop_assert_eq!(ledger.place(id), Some(Place::At { worker, claim }));
                    },
                    Act::Finish(worker) => if let Some(id) = ledger.queue(worker).front().copied() {
                        prop_assert_eq!(ledger.finish((worker + 1) % 3, id), None);
                        let task = ledger.finish(worker, id).unwrap();
                        prop_assert!(open.remove(&task));
                        prop_assert_eq!(ledger.finish(worker, id), None, "not twice");
                    },
                    Act::TakeBack(worker) => if let Some(id) = ledger.queue(worker).back().copied() {
                        ledger.taken_back(id);
                        prop_assert_eq!(ledger.place(id), Some(Place::Backlog));
                    },
                    Act::Die(worker, rest) => {
                        let queue: Vec<_> = ledger.queue(worker).iter().rev().copied().collect();
                        for id in queue {
                            if ledger.queue(worker).len() > 1 {
                                ledger.taken_back(id);
                            } else if let Some((task, _)) = ledger.remove(id) {
                                if rest {
                                    ledger.resubmit(task);
                                } else {
                                    prop_assert!(open.remove(&task));
                                }
                            }
                        }
                        ledger.hire(worker, Some(quota));
                    }
                    Act::Cancel(choice) => {
                        let ids: Vec<_> = ledger.ids().map(|(id, _)| id).collect();
                        if let Some(id) = ids.get(choice % ids.len().max(1)) {
                            prop_assert!(open.remove(&ledger.remove(*id).unwrap().0));
                        }
                    }
                    Act::Balance => if let Some(worker) = ledger.imbalance() {
                        prop_assert!(ledger.queue(worker).len() >= 2);
                    },
                }
                let held: BTreeSet<u64> = ledger.ids().map(|(_, task)| *task).collect();
                prop_assert_eq!(&held, &open);
                let queued: usize = (0..3).map(|worker| ledger.queue(worker).len()).sum();
                prop_assert_eq!((ledger.len(), ledger.waiting()), (open.len(), open.len() - queued));
            }
        }
    }
}
