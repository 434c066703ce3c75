//! Messages that are too long for the ring: they travel beside it, in segments.
//!
//! A segment is shared memory of the putting process. The message is copied into it before the
//! record is put, and its descriptor goes with the record like any handle. The getter copies it
//! out before the head passes the record; so once the head has passed, the segment is its owner's
//! again, and nothing needs to be sent back. Segments are used again and again, since fresh pages
//! cost more than the copy.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mp_shm::{Kind, Region};

use super::cursor::Cursor;
use super::ring::Ring;
use crate::Error;

/// How many messages a process has under way at most; the next one waits as for room.
const SEGMENTS: usize = 2;
/// How many segments of other processes a getter keeps mapped.
const MAPPED: usize = 4;

/// The segments that this process has for one queue.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    own: Mutex<Own>,
    /// Those that arrived lately. They are kept so that the same memory is not mapped anew.
    seen: Mutex<VecDeque<Region>>,
}

#[derive(Debug, Default)]
struct Own {
    /// The process that made the segments: a forked child must not write into its parent's.
    pid: u32,
    /// Segments that are being filled or put at this moment.
    out: usize,
    idle: Vec<Segment>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    region: Region,
    /// Where the record lies that was put with it.
    record: Option<Cursor>,
}

impl Segment {
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    fn is_free(&self, ring: &Ring) -> bool {
        let head = ring.head();
        self.record.is_none_or(|record| !record.is_within(head, ring.tail()))
    }
}

impl Spill {
    /// A segment with `bytes` in it; `None` while all are under way.
    pub(crate) fn fill(&self, ring: &Ring, bytes: &[u8]) -> Result<Option<Segment>, Error> {
        let Some(segment) = self.segment(ring, bytes.len())? else { return Ok(None) };
        segment.region.window(0, bytes.len())?.write(0, bytes)?;
        Ok(Some(segment))
    }

    /// Whether a message could be filled in.
    pub(crate) fn has_room(&self, ring: &Ring) -> bool {
        let own = self.own();
        own.out + own.idle.len() < SEGMENTS || own.idle.iter().any(|s| s.is_free(ring))
    }

    /// Takes the segment back, put as the record at `record` or not at all.
    pub(crate) fn keep(&self, mut segment: Segment, record: Option<Cursor>) {
        let mut own = self.own();
        own.out = own.out.saturating_sub(1);
        segment.record = record;
        own.idle.push(segment);
    }

    /// Appends the `len` bytes of the segment behind `fd` to `to`.
    pub(crate) fn copy_out(&self, fd: impl AsFd, len: u64, to: &mut Vec<u8>) -> Result<(), Error> {
        let region = Region::attach(fd.as_fd(), Kind::SPILL, 0)?;
        // The window's bounds are the segment's real size, whatever the record says.
        region.window(0, region.len())?.append(0, len as usize, to)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.iter().any(|known| known.same(&region)) {
            seen.truncate(MAPPED - 1);
            seen.push_front(region);
        }
        Ok(())
    }

    fn segment(&self, ring: &Ring, len: usize) -> Result<Option<Segment>, Error> {
        let mut own = self.own();
        let free = own.idle.iter().position(|s| s.is_free(ring));
        if let Some(at) = free {
            let segment = own.idle.swap_remove(at);
            own.out += 1;
            if segment.region.len() >= len {
                return Ok(Some(Segment { record: None, ..segment }));
            }
        } else if own.out + own.idle.len() < SEGMENTS {
            own.out += 1;
        } else {
            return Ok(None);
        }
        drop(own);
        // An eighth of the next power of two: little waste, and slightly longer messages fit too.
        let step = len.next_power_of_two().max(1 << 15) / 8;
        let region = Region::create(Kind::SPILL, len.next_multiple_of(step), 0);
        if region.is_err() {
            self.own().out -= 1;
        }
        Ok(Some(Segment { region: region?, record: None }))
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        // Every holder leaves the lists whole at every step.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = std::process::id();
        if own.pid != pid {
            *own = Own { pid, ..Own::default() };
        }
        own
    }
}
