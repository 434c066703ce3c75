//! The two sides of a lane by itself: what a pool has for each of its workers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use mp_sys::{Deadline, socket};

use crate::Error;
use crate::bell::{Ear, bell};
use crate::codec::{self, Item, Row};
use crate::lane::{Frame, Lane};
use crate::pool_end::{Claim, Garbled, PoolEnd};
use crate::sys::BYTES_MIN;
use crate::worker_end::{Claimed, WorkerEnd};

/// Makes a lane with two rings of `bytes` bytes each, a power of two from 4 KiB on.
///
/// The sides are memory that is shared with whoever is forked after this: one process keeps the
/// one, the other the other.
///
/// # Errors
///
/// [`Error::Invalid`] for another length; [`Error::Os`] and [`Error::Shared`] if the system has no
/// more descriptors or memory.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_pool::lane::{Fate, lane};
///
/// let (mut pool, mut worker) = lane(4096)?;
/// let first = pool.send(1, b"dig").expect("it is empty");
/// let second = pool.send(2, b"fill").expect("it has room");
///
/// // What nobody has claimed can be taken back, once.
/// assert!(pool.take_back(second));
/// assert!(!pool.take_back(second));
///
/// let (id, task) = worker.next().expect("a task");
/// assert_eq!((id, &task[..]), (1, &b"dig"[..]));
/// assert_eq!(pool.fate(first), Fate::Claimed);
/// assert!(!pool.take_back(first));
///
/// worker.reply(id, [&b"a hole"[..]]);
/// let reply = pool.reply_timeout(Duration::from_secs(5))?.expect("a reply");
/// assert_eq!((reply.id, &reply.results[0][..]), (1, &b"a hole"[..]));
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub fn lane(bytes: usize) -> Result<(PoolSide, WorkerSide), Error> {
    if !bytes.is_power_of_two() || bytes < BYTES_MIN {
        return Err(Error::Invalid("a lane's size is a power of two, 4096 or more"));
    }
    let (bell, ear) = bell()?;
    let lane = Lane::create(bytes)?;
    let (ours, theirs) = socket::packet_pair().map_err(Error::os("making a worker's socket"))?;
    let worker = WorkerEnd::new(lane.clone(), theirs, bell);
    Ok((PoolSide { end: PoolEnd::new(lane, ours), ear, partial: Vec::new() }, WorkerSide(worker)))
}

/// What has become of a task in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody has touched it.
    Queued,
    /// It was taken back.
    TakenBack,
    /// The worker has claimed it.
    Claimed,
}

/// The number of a task's claim word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What a worker has said about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The task's number.
    pub id: u64,
    /// Its results.
    pub results: Vec<Vec<u8>>,
}

/// The side that sends tasks and receives replies.
#[derive(Debug)]
pub struct PoolSide {
    end: PoolEnd,
    ear: Ear,
    partial: Vec<u8>,
}

impl PoolSide {
    /// Queues a task and wakes the worker. `None` if there is no room: `task` must fit into the
    /// ring as a whole, and up to 127 tasks may be unclaimed.
    pub fn send(&mut self, id: u64, task: &[u8]) -> Option<Ticket> {
        if !self.end.has_claim() || !self.end.has_room(Frame::span(task.len())) {
            return None;
        }
        let frame = Frame { len: task.len() as u32, flags: Frame::FIRST, fds: 0, id, extra: 0 };
        let claim = self.end.push(frame, task);
        self.end.commit();
        Some(Ticket(claim))
    }

    /// Takes a queued task back; `false` if the worker was faster, or it was taken back before.
    pub fn take_back(&mut self, task: Ticket) -> bool {
        self.end.take_back(task.0)
    }

    /// What has become of a task that has not been replied to.
    pub fn fate(&self, task: Ticket) -> Fate {
        match self.end.claim(task.0) {
            Claim::Queued => Fate::Queued,
            Claim::Taken => Fate::TakenBack,
            Claim::Claimed(_) => Fate::Claimed,
        }
    }

    /// The next reply; `None` if there is none in time.
    ///
    /// # Blocking
    ///
    /// Waits for the worker to [reply](WorkerSide::reply). If that dies, the time goes by: a pool
    /// learns of deaths from pidfds, and [`leftovers`](PoolSide::leftovers) tells what was done.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the ring holds what no worker writes.
    pub fn reply_timeout(&mut self, timeout: Duration) -> Result<Option<Reply>, Error> {
        let deadline = Deadline::after(timeout);
        loop {
            if let Some(reply) = self.take_reply()? {
                return Ok(Some(reply));
            }
            if deadline.has_passed() {
                return Ok(None);
            }
            self.ear.arm_word();
            if !self.end.has_reply() {
                self.ear.sleep(Some(deadline));
            }
        }
    }

    /// The next reply, if it has come to its end.
    pub(crate) fn take_reply(&mut self) -> Result<Option<Reply>, Error> {
        while let Some(frame) = self.end.next_reply(&mut self.partial).map_err(garbled)? {
            self.end.make_room();
            if !frame.has(Frame::MORE) {
                let row = std::mem::take(&mut self.partial);
                return Ok(Some(Reply { id: frame.id, results: items(&row) }));
            }
        }
        Ok(None)
    }

    /// After the worker's death, and after all replies: the results that it left of the task at
    /// which it died.
    ///
    /// # Errors
    ///
    /// As [`reply_timeout`](PoolSide::reply_timeout).
    pub fn leftovers(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let mut row = std::mem::take(&mut self.partial);
        self.end.leftovers(&mut row).map_err(garbled)?;
        Ok(items(&row))
    }

    /// What it is made of, for models of other ways to wait.
    #[cfg(all(test, loom))]
    pub(crate) fn parts(&mut self) -> (&mut PoolEnd, &Ear) {
        (&mut self.end, &self.ear)
    }

    /// Tells the worker that no more tasks come.
    pub fn retire(&self) {
        self.end.retire();
    }
}

fn garbled(Garbled: Garbled) -> Error {
    Error::Invalid("the lane holds what no worker writes")
}

fn items(row: &[u8]) -> Vec<Vec<u8>> {
    let mut row = Row::new(row);
    let next = || row.take().map(|(Item::Value(item) | Item::Failure(item))| item.to_vec());
    std::iter::from_fn(next).collect()
}

/// The side that claims tasks and replies to them.
#[derive(Debug)]
pub struct WorkerSide(WorkerEnd);

impl WorkerSide {
    /// Waits for a task and claims it. `None` once the ring is empty and the other side has said
    /// that no more come.
    ///
    /// # Blocking
    ///
    /// Waits for [`PoolSide::send`]. If that side's process dies it *may hang*: a pool's worker is
    /// a daemon, which the kernel ends with its parent.
    #[expect(clippy::should_implement_trait, reason = "an iterator would borrow the worker's side")]
    pub fn next(&mut self) -> Option<(u64, Vec<u8>)> {
        let mut body = Vec::new();
        let Claimed { id, .. } = self.0.next(&mut body)?;
        Some((id, body))
    }

    /// Sends results of a task, one after the other: what has been written of them survives this
    /// process.
    ///
    /// # Blocking
    ///
    /// Waits for room while the other side does not take replies in, as
    /// [`next`](WorkerSide::next) waits for tasks.
    pub fn reply<'r>(&mut self, id: u64, results: impl IntoIterator<Item = &'r [u8]>) {
        let mut item = Vec::new();
        let mut reply = self.0.reply(id, 0);
        for result in results {
            item.clear();
            codec::push_bytes(&mut item, result);
            reply.write(&item);
            reply.commit_item();
        }
        reply.finish(&[] as &[OwnedFd], 0);
    }
}
