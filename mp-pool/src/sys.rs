//! The one file that knows of loom: what lanes and bells are made of.
//!
//! Under `cfg(loom)` that is loom's atomics, and memory and a futex made of them.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
pub(crate) mod model;
#[cfg(loom)]
pub(crate) use model::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use mp_shm::{Placed, Region, Window};
    pub(crate) use mp_sys::futex::{wait, wake};
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

    /// A SeqCst fence, where the caller has just swapped a word with that order.
    #[inline(always)]
    pub(crate) fn fence_after_swap() {
        // On x86-64 the swap is a full fence already: what is left to hold is the compiler.
        #[cfg(target_arch = "x86_64")]
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        #[cfg(not(target_arch = "x86_64"))]
        fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether time goes by, so that it is worth looking about before one sleeps.
    pub(crate) const HAS_TIME: bool = true;
    /// How many tasks may be queued in one lane.
    pub(crate) const CLAIMS: usize = 128;
    /// The smallest ring.
    pub(crate) const BYTES_MIN: usize = 4096;
}
