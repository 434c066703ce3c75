//! The one file that knows of loom: what the ring is made of.
//!
//! Under `cfg(loom)` that is loom's atomics, and memory, locks and a futex made of them.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub(crate) use model::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use mp_shm::{Placed, Region, Window};
    pub(crate) use mp_sync::RawMutex;
    pub(crate) use mp_sys::futex::{wait, wake};
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

    /// The smallest ring.
    pub(crate) const BYTES_MIN: usize = 4096;
    /// How many processes may hold leases at the same time. A record names its holder in one byte.
    pub(crate) const OWNERS: usize = 255;

    /// A SeqCst fence, where the caller has just released a lock by a read-modify-write.
    #[inline(always)]
    pub(crate) fn fence_after_unlock() {
        // On x86-64 such an instruction is a full fence already, and the only order that the
        // processor does not keep by itself is that of a store before a later load: what is left
        // to hold is the compiler. A second fence would cost as much as the lock.
        #[cfg(target_arch = "x86_64")]
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        #[cfg(not(target_arch = "x86_64"))]
        fence(std::sync::atomic::Ordering::SeqCst);
    }
}
