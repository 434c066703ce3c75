//! The fixed part of a queue's region.
#![cfg_attr(not(loom), expect(unsafe_code, reason = "Place is a promise about layout"))]

use super::bell::Bell;
use super::wait::Seen;
use crate::sys::{AtomicU32, AtomicU64, OWNERS, RawMutex};

/// Where the ring begins: with the region's own 64 bytes before it, on a page of its own.
pub(crate) const RING: usize = 4096 - 64;

/// All zero is an empty queue; [`Ring::create`](super::ring::Ring::create) fills in the limit.
#[repr(C, align(64))]
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Header {
    /// The most items; 0 is no limit. Written once.
    pub(crate) limit: AtomicU32,
    /// 1 while `next` counts: some records between the head and `next` are leased.
    pub(crate) leasing: AtomicU32,
    /// 1 if there may be a record before `next` that was given back.
    pub(crate) returned: AtomicU32,
    /// 1 once nothing more is put.
    pub(crate) closed: AtomicU32,
    /// What comes next, while records before it are leased. Written under the get lock.
    pub(crate) next: AtomicU64,
    /// Where the putters, and the getters, were last seen.
    pub(crate) putters: Seen,
    pub(crate) getters: Seen,
    reserved2: [AtomicU64; 4],
    pub(crate) put: Side,
    pub(crate) get: Side,
    /// The processes that hold leases; 0 is a free place. Written under the get lock.
    pub(crate) owners: [AtomicU64; OWNERS],
}

/// One side's two cache lines. The other side reads the first one, and writes nothing in it but
/// the bell's mark; it never touches the second.
#[repr(C, align(64))]
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Side {
    pub(crate) lock: RawMutex,
    /// The tail or the head: a [`Cursor`](super::cursor::Cursor). Written under the lock.
    pub(crate) commit: AtomicU64,
    /// Where the other side sleeps until this side has committed.
    pub(crate) bell: Bell,
    /// On the put side: the label of the last descriptors sent. Written under the lock.
    pub(crate) label: AtomicU32,
    /// The other side's `commit` as last seen from here. Written under the lock.
    pub(crate) seen: AtomicU64,
    reserved: [AtomicU64; 7],
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Side>() == 128);
    assert!(std::mem::offset_of!(Side, seen) == 64);
    assert!(std::mem::offset_of!(Header, put) == 64);
    assert!(std::mem::offset_of!(Header, get) == 192);
    assert!(std::mem::offset_of!(Header, owners) == 320);
    assert!(size_of::<Header>() <= RING && align_of::<Header>() == 64);
};

// SAFETY: `repr(C)`; atomics, arrays of them, a `Place` lock and a transparent atomic, for all of
// which zero is the initial state; aligned to 64; no destructor.
#[cfg(not(loom))]
unsafe impl mp_shm::Place for Header {}
