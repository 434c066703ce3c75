//! A task as the pool keeps it, until its results are delivered.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;

use crate::batch::Batch;
use crate::codec::{Block, Row};
use crate::job::{begin_body, items_at};

/// What a task may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// After this the worker is ended.
    pub(crate) timeout: Option<Duration>,
    /// After this the task is asked to stop.
    pub(crate) soft_timeout: Option<Duration>,
    /// How often an item may be tried again after its worker died under it.
    pub(crate) retries: u32,
}

impl Limits {
    /// Whether the task runs against the clock.
    pub(crate) fn is_timed(&self) -> bool {
        self.timeout.is_some() || self.soft_timeout.is_some()
    }
}

/// Some neighbouring items of a call, with the function they are meant for.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) batch: Arc<Batch>,
    /// The index of the first item in the call.
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// The message to the worker (`job.rs`), kept for the case that the worker dies.
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Arc<[OwnedFd]>,
    pub(crate) limits: Limits,
    /// When the item began that was last asked to stop for its soft limit.
    pub(crate) asked: Option<Deadline>,
}

impl Work {
    /// Cuts a task whose first `done` items are done: the item that was running, and the rest.
    pub(crate) fn cut(self, done: u32) -> (Option<Work>, Option<Work>) {
        let Some(at) = items_at(&self.body).filter(|_| done < self.count) else {
            return (None, None);
        };
        let mut row = Row::new(&self.body[at..]);
        row.skip(done as usize);
        let from = row;
        row.skip(1);
        let part = |first: u32, count: u32, row: Row<'_>, beyond: Row<'_>| {
            let mut body = Vec::with_capacity(at + Block::HEAD + row.len());
            begin_body(&self.body[2..at], &mut body);
            row.append_to(&mut body);
            body.truncate(body.len() - beyond.len());
            Work {
                batch: Arc::clone(&self.batch),
                first: self.first + u64::from(first),
                count,
                body,
                fds: Arc::clone(&self.fds),
                limits: self.limits,
                asked: None,
            }
        };
        let one = part(done, 1, from, row);
        let left = self.count - done - 1;
        let rest = (left > 0).then(|| part(done + 1, left, row, Row::new(&[])));
        (Some(one), rest)
    }
}
