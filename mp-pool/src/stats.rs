//! What a pool tells about itself.

use std::time::Duration;

use crate::core::{Core, Worker};
use crate::local::resident_of as resident;

/// How a call stands: given to progress hooks.
///
/// # Examples
///
/// ```
/// use mp_pool::Progress;
///
/// let progress = Progress { done: 3, total: Some(4) };
/// assert_eq!(progress.fraction(), Some(0.75));
/// assert_eq!(Progress { done: 3, total: None }.fraction(), None, "the input is still read");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many items are done, well or badly.
    pub done: u64,
    /// How many there are; `None` while the input is still being read.
    pub total: Option<u64>,
}

impl Progress {
    /// The part that is done, from 0 to 1.
    pub fn fraction(&self) -> Option<f64> {
        self.total.map(|total| if total == 0 { 1.0 } else { self.done as f64 / total as f64 })
    }
}

/// What a pool is doing and has done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// How many workers there should be.
    pub target: usize,
    /// One for each worker that is there.
    pub workers: Vec<WorkerStats>,
    /// How many tasks wait that no worker has in its lane.
    pub waiting: usize,
    /// How many tasks are with the workers, running or queued.
    pub queued: usize,
    /// How many items are done, in all.
    pub items: u64,
    /// How many workers died that the pool had not ended.
    pub restarts: u64,
    /// The tasks that took longest, the longest first.
    pub slowest: Vec<Slow>,
}

/// What one worker is doing and has done. The counts go on when a worker is replaced.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker's number.
    pub index: usize,
    /// Its process id; `None` for a thread.
    pub pid: Option<u32>,
    /// Whether it has come to life.
    pub ready: bool,
    /// How many tasks are in its lane.
    pub queued: usize,
    /// How long the running task has been running.
    pub running: Option<Duration>,
    /// How many tasks it has done; a chunk is one task.
    pub tasks: u64,
    /// How many items it has done.
    pub items: u64,
    /// How long it has worked.
    pub busy: Duration,
    /// How long it has had nothing to do.
    pub idle: Duration,
    /// How often it died without having been ended.
    pub restarts: u64,
    /// How much memory it has in use, in bytes; `None` for a thread.
    pub memory: Option<u64>,
}

/// A task that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slow {
    /// The index of its first item in its call.
    pub item: u64,
    /// How many items it had.
    pub items: u32,
    /// How long it ran.
    pub took: Duration,
}

/// How many of the slowest tasks are remembered.
const SLOWEST: usize = 5;

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tasks: u64,
    pub(crate) items: u64,
    pub(crate) busy: Duration,
    /// How long the lives that are over lasted.
    pub(crate) lived: Duration,
    pub(crate) restarts: u64,
    pub(crate) slowest: Vec<Slow>,
}

impl Counts {
    pub(crate) fn enter(&mut self, items: u32, nanos: u64, item: u64) {
        let took = Duration::from_nanos(nanos);
        self.tasks += 1;
        self.items += u64::from(items);
        self.busy += took;
        if self.slowest.len() < SLOWEST || self.slowest.last().is_some_and(|s| s.took < took) {
            let at = self.slowest.partition_point(|slow| slow.took >= took);
            self.slowest.insert(at, Slow { item, items, took });
            self.slowest.truncate(SLOWEST);
        }
    }

    pub(crate) fn life(&mut self, lasted: Duration) {
        self.lived += lasted;
    }
}

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let worker = |(index, worker): (usize, &Worker)| {
            let counts = &self.slots[index].counts;
            let lived = counts.lived + worker.hired.elapsed();
            let running = self.running(index).map(|(_, since)| since.elapsed());
            let pid = Some(worker.hand.pid()).filter(|pid| *pid != 0);
            let busy = counts.busy + running.unwrap_or_default();
            WorkerStats {
                index,
                pid,
                ready: worker.ready,
                queued: self.ledger.queue(index).len(),
                running,
                tasks: counts.tasks,
                items: counts.items,
                busy,
                idle: lived.saturating_sub(busy),
                restarts: counts.restarts,
                memory: pid.map(resident),
            }
        };
        Stats {
            target: self.target,
            workers: self.workers().map(worker).collect(),
            waiting: self.ledger.waiting(),
            queued: self.ledger.len() - self.ledger.waiting(),
            items: self.totals.items,
            restarts: self.totals.restarts,
            slowest: self.totals.slowest.clone(),
        }
    }
}
