//! What the algorithms in `raw/` stand on: atomics, the futex and the robust list.
//!
//! The one file that knows of loom: built with `--cfg loom`, its models take the place of the
//! kernel.

#[cfg(loom)]
pub(crate) mod model;
#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};

    pub(crate) use mp_sys::futex::{add_and_wake, set_and_wake, wait, wait_any, wake};
    pub(crate) use mp_sys::pthread::{Held, Place};
    pub(crate) use mp_sys::robust::{List, Node};

    use mp_sys::Errno;

    /// The calling thread's robust list, or an error where robust pthread mutexes take over.
    ///
    /// Building with `--cfg mp_pthread` is a way to test that case on any machine.
    #[inline(always)]
    pub(crate) fn list() -> Result<List, Errno> {
        if cfg!(mp_pthread) { Err(Errno::NOSYS) } else { List::current() }
    }

    /// [`list`], if the thread has asked for it before.
    #[inline(always)]
    pub(crate) fn known_list() -> Option<List> {
        if cfg!(mp_pthread) { None } else { List::known() }
    }

    /// The calling thread's id, where [`list`] does not know it.
    pub(crate) fn tid() -> u32 {
        mp_sys::robust::tid()
    }

    /// How many pauses before sleeping. A process that is bound to one CPU pauses too: the holder
    /// may be another process, bound to another one.
    pub(crate) fn spins() -> u32 {
        100
    }
}
