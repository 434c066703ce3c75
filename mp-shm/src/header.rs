//! The first 64 bytes of every region, by which an attacher (and a person with a hex dump) knows
//! it. Drawn in `docs/layout.md`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{Error, Kind};

/// `b"mp-shm\0\x01"`.
const MAGIC: u64 = u64::from_le_bytes(*b"mp-shm\0\x01");
const VERSION: u32 = 1;

/// Where the payload begins; also the greatest alignment that a payload has.
pub(crate) const PAYLOAD: usize = size_of::<Header>();

#[repr(C)]
#[derive(Debug)]
pub(crate) struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    kind: AtomicU32,
    /// Bytes after the header.
    len: AtomicU64,
    element: AtomicU64,
    /// Inode of the creator's pid namespace; 0 where `/proc` was not mounted.
    namespace: AtomicU64,
    creator: AtomicU32,
    reserved: AtomicU32,
    /// An arena's bytes that are taken, from the start of the payload; unused by the others.
    pub(crate) used: AtomicU64,
    reserved2: AtomicU64,
}

const _: () = assert!(size_of::<Header>() == 64 && align_of::<Header>() == 8);

impl Header {
    /// Fills the header of a fresh region. The magic number goes last, though nobody looks before
    /// the descriptor has been sent.
    pub(crate) fn fill(&self, kind: Kind, len: usize, element: u64) {
        // Relaxed: the region reaches others by way of the kernel, which orders these stores.
        self.version.store(VERSION, Ordering::Relaxed);
        self.kind.store(kind.to_u32(), Ordering::Relaxed);
        self.len.store(len as u64, Ordering::Relaxed);
        self.element.store(element, Ordering::Relaxed);
        self.namespace.store(pid_namespace(), Ordering::Relaxed);
        self.creator.store(std::process::id(), Ordering::Relaxed);
        self.magic.store(MAGIC, Ordering::Relaxed);
    }

    /// Checks all that does not depend on what the attacher is looking for, and returns the
    /// length of the payload. `total` is the size of the memory.
    pub(crate) fn check(&self, total: u64) -> Result<usize, Error> {
        let found = self.magic.load(Ordering::Relaxed);
        if found != MAGIC {
            return Err(Error::Magic { expected: MAGIC, found });
        }
        let found = self.version.load(Ordering::Relaxed);
        if found != VERSION {
            return Err(Error::Version { expected: VERSION, found });
        }
        let len = self.len.load(Ordering::Relaxed);
        let expected = len.saturating_add(PAYLOAD as u64);
        if expected != total {
            return Err(Error::Size { expected, found: total });
        }
        let (found, expected) = (self.namespace.load(Ordering::Relaxed), pid_namespace());
        if found != expected && found != 0 && expected != 0 {
            return Err(Error::Namespace { expected, found });
        }
        Ok(len as usize)
    }

    pub(crate) fn expect(&self, kind: Kind, element: u64) -> Result<(), Error> {
        let found = Kind::from_u32(self.kind.load(Ordering::Relaxed));
        if found != kind {
            return Err(Error::Kind { expected: kind, found });
        }
        let found = self.element.load(Ordering::Relaxed);
        if found != element {
            return Err(Error::Element { name: "the element type", expected: element, found });
        }
        Ok(())
    }

    pub(crate) fn creator(&self) -> u32 {
        self.creator.load(Ordering::Relaxed)
    }

    /// Whether the creator's pid is known to mean here what it meant there.
    pub(crate) fn is_of_this_namespace(&self) -> bool {
        let here = pid_namespace();
        here != 0 && self.namespace.load(Ordering::Relaxed) == here
    }
}

/// Asked anew each time: a forked child may live in another namespace than its parent.
fn pid_namespace() -> u64 {
    rustix::fs::stat(c"/proc/self/ns/pid").map_or(0, |stat| stat.st_ino)
}
