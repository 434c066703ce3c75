//! The lane: the shared memory between a pool and one of its workers. A building block: a
//! [`Pool`](crate::Pool) has a [`lane()`] for each worker, and a ledger over them all.
//!
//! Two byte rings with one writer and one reader each, tasks one way and replies the other. A
//! frame counts from the moment its writer stores `tail` behind it, and that single store is all
//! there is to a commit: whoever is killed, before it nothing happened, after it all did.
//!
//! ```text
//!    0  worker's line   task_head, reply_tail, draft, since, state, met
//!   64  pool's line     task_tail, reply_head, stop, mark, overdue
//!  128  sleepers        worker (a futex), room (a flag), retire (0, SOON, NOW, ALONE)
//!  192  claims          one word for each queued task, a ring of CLAIMS
//! 1216  task ring       capacity bytes
//!       reply ring      capacity bytes
//! ```
//!
//! Positions count bytes from the beginning of time and never wrap; the place in the ring is the
//! position modulo the capacity, a power of two. Frames begin at multiples of 8.

pub use crate::sides::{Fate, PoolSide, Reply, Ticket, WorkerSide, lane};

use mp_shm::{Error, Kind};

pub(crate) use crate::sys::CLAIMS;
use crate::sys::{AtomicU32, AtomicU64, BYTES_MIN, Placed, Region, Window};

/// A task that waits to be claimed.
pub(crate) const QUEUED: u64 = 0;
/// A task that the pool has taken back: the worker passes it over.
pub(crate) const TAKEN: u64 = 1;
// Any other claim word is the moment, in nanoseconds of the monotonic clock, when the worker
// claimed the task.

const CLAIMS_AT: usize = 192;
const RINGS_AT: usize = CLAIMS_AT + CLAIMS * size_of::<AtomicU64>();

/// The version of the layout above, in place of an element's hash.
const LAYOUT: u64 = 3;

/// Words that only the worker writes.
pub(crate) mod of_worker {
    /// How far the worker has read in the task ring.
    pub(crate) const TASK_HEAD: usize = 0;
    /// How far the worker has committed replies.
    pub(crate) const REPLY_TAIL: usize = 1;
    /// How far the open reply frame holds whole results. Read only after the worker's death.
    pub(crate) const DRAFT: usize = 2;
    /// When the worker began its item, for tasks that run against the clock.
    pub(crate) const SINCE: usize = 3;
    /// 0, and [`READY`](super::READY) once the worker takes tasks.
    pub(crate) const STATE: usize = 4;
    /// How many claim words the worker has passed.
    pub(crate) const MET: usize = 5;
}

/// Words that only the pool writes.
pub(crate) mod of_pool {
    /// How far the pool has committed tasks.
    pub(crate) const TASK_TAIL: usize = 0;
    /// How far the pool has read in the reply ring.
    pub(crate) const REPLY_HEAD: usize = 1;
    /// The task that is asked to stop.
    pub(crate) const STOP: usize = 2;
    /// How many claim words the worker has passed when a patient caller wants to hear from it.
    pub(crate) const MARK: usize = 3;
    /// When the item began that is asked to stop.
    pub(crate) const OVERDUE: usize = 4;
}

/// Words on which the two wake each other.
pub(crate) mod sleepers {
    /// What the worker sleeps for, or is about to: [`FOR_TASKS`](super::FOR_TASKS) or
    /// [`FOR_ROOM`](super::FOR_ROOM); otherwise 0.
    pub(crate) const WORKER: usize = 0;
    /// 1: the pool waits for room in the task ring.
    pub(crate) const ROOM: usize = 1;
    /// [`SOON`](super::SOON), [`NOW`](super::NOW), [`ALONE`](super::ALONE): the worker is to end.
    pub(crate) const RETIRE: usize = 2;
}

/// The worker sleeps until a task comes, or more of one.
pub(crate) const FOR_TASKS: u32 = 1;
/// The worker sleeps until replies have been read.
pub(crate) const FOR_ROOM: u32 = 2;

/// The worker takes tasks.
pub(crate) const READY: u64 = 1;

/// The worker is to end once the task ring is empty.
pub(crate) const SOON: u32 = 1;
/// The worker is a thread, which cannot be killed: it is to begin no other item.
pub(crate) const NOW: u32 = 2;
/// As `NOW`, and nobody reads any more what it writes.
pub(crate) const ALONE: u32 = 3;

/// The memory of a lane, as both ends see it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) region: Region,
    pub(crate) worker: Placed<[AtomicU64; 8]>,
    pub(crate) pool: Placed<[AtomicU64; 8]>,
    pub(crate) sleepers: Placed<[AtomicU32; 16]>,
    pub(crate) claims: Placed<[AtomicU64; CLAIMS]>,
    pub(crate) tasks: Ring,
    pub(crate) replies: Ring,
}

impl Lane {
    /// Makes a lane with two rings of `capacity` bytes, a power of two.
    pub(crate) fn create(capacity: usize) -> Result<Lane, Error> {
        debug_assert!(capacity.is_power_of_two() && capacity >= BYTES_MIN);
        Lane::over(Region::create(Kind::LANE, RINGS_AT + 2 * capacity, LAYOUT)?)
    }

    /// The lane that another process has made.
    pub(crate) fn over(region: Region) -> Result<Lane, Error> {
        let region = region.expect(Kind::LANE, LAYOUT)?;
        let capacity = region.len().saturating_sub(RINGS_AT) / 2;
        if !capacity.is_power_of_two() {
            return Err(Error::Corrupt("a lane's size"));
        }
        Ok(Lane {
            worker: region.words(0)?,
            pool: region.words(64)?,
            sleepers: region.words(128)?,
            claims: region.words(CLAIMS_AT)?,
            tasks: Ring { bytes: region.window(RINGS_AT, capacity)? },
            replies: Ring { bytes: region.window(RINGS_AT + capacity, capacity)? },
            region,
        })
    }
}

/// The bytes of one ring.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    bytes: Window,
}

impl Ring {
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Copies `bytes` to position `at`. There is room: the caller has looked.
    #[inline]
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        let (start, first) = self.split(at, bytes.len());
        let (front, back) = bytes.split_at(first);
        // Both parts lie within the ring, by `split`.
        let _ = self.bytes.write(start, front);
        if !back.is_empty() {
            let _ = self.bytes.write(0, back);
        }
    }

    /// Copies the bytes from position `at` on into `bytes`, which is no longer than the ring.
    #[inline]
    pub(crate) fn read(&self, at: u64, bytes: &mut [u8]) {
        let (start, first) = self.split(at, bytes.len());
        let (front, back) = bytes.split_at_mut(first);
        let _ = self.bytes.read(start, front);
        if !back.is_empty() {
            let _ = self.bytes.read(0, back);
        }
    }

    /// Writes a word at position `at`, which is a multiple of 8.
    #[inline]
    pub(crate) fn store(&self, at: u64, word: u64) {
        // Within the ring, whose capacity is a power of two.
        let _ = self.bytes.store(at as usize & (self.capacity() - 1), word);
    }

    /// Appends the `len` bytes from position `at` on to `bytes`.
    pub(crate) fn append_to(&self, at: u64, len: usize, bytes: &mut Vec<u8>) {
        let (start, first) = self.split(at, len);
        // Both parts lie within the ring, by `split`.
        let _ = self.bytes.append(start, first, bytes);
        if first < len {
            let _ = self.bytes.append(0, len - first, bytes);
        }
    }

    /// Where `at` lies, and how many of `len` bytes lie there before the ring's end.
    #[inline]
    fn split(&self, at: u64, len: usize) -> (usize, usize) {
        let capacity = self.capacity();
        debug_assert!(len <= capacity);
        let start = at as usize & (capacity - 1);
        (start, len.min(capacity - start))
    }
}

/// What stands before the bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// How many bytes follow.
    pub(crate) len: u32,
    /// [`Frame::FIRST`], [`Frame::MORE`], [`Frame::ABORT`].
    pub(crate) flags: u16,
    /// How many descriptors wait on the wire.
    pub(crate) fds: u16,
    /// The task.
    pub(crate) id: u64,
    /// Of a task: see `chunk.rs`. Of a reply's last frame: how many nanoseconds it took.
    pub(crate) extra: u64,
}

impl Frame {
    /// The length of a frame's head.
    pub(crate) const HEAD: usize = 24;
    /// The frame begins a message.
    pub(crate) const FIRST: u16 = 1;
    /// The message goes on in the next frame.
    pub(crate) const MORE: u16 = 2;
    /// The pool has thought better of it: the message is to be dropped.
    pub(crate) const ABORT: u16 = 4;

    /// How much of the ring a frame of `len` bytes takes: frames begin at multiples of 8.
    #[inline]
    pub(crate) fn span(len: usize) -> usize {
        Frame::HEAD + len.next_multiple_of(8)
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; Frame::HEAD] {
        let mut bytes = [0; Frame::HEAD];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.flags.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.fds.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..].copy_from_slice(&self.extra.to_le_bytes());
        bytes
    }

    #[inline]
    pub(crate) fn from_bytes(bytes: [u8; Frame::HEAD]) -> Frame {
        let word = |at: usize| {
            u64::from_le_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
                bytes[at + 4],
                bytes[at + 5],
                bytes[at + 6],
                bytes[at + 7],
            ])
        };
        let first = word(0);
        Frame {
            len: first as u32,
            flags: (first >> 32) as u16,
            fds: (first >> 48) as u16,
            id: word(8),
            extra: word(16),
        }
    }
}
