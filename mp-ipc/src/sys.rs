//! The one file that knows of loom: the atomics and the futex of the bell.
//!
//! Under `cfg(loom)` they are loom's atomics, and a futex made of loom's mutex and condvar.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
pub(crate) use model::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use mp_sys::futex::{wait, wake};
    pub(crate) use std::sync::atomic::{AtomicU32, fence};

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

#[cfg(loom)]
mod model {
    pub(crate) use loom::sync::atomic::{AtomicU32, fence};

    use loom::sync::{Condvar, Mutex};
    use mp_sys::{Deadline, Errno};
    use std::sync::atomic::Ordering;

    pub(crate) fn fence_after_unlock() {
        fence(Ordering::SeqCst);
    }

    /// One that sleeps: on which word, and whether it has been woken.
    struct Sleeper {
        word: usize,
        woken: bool,
    }

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<Vec<Sleeper>>, Condvar) = Default::default();
    }

    /// Deadlines do not exist in the model: a wake that is lost is a deadlock, which loom reports.
    pub(crate) fn wait(
        word: &AtomicU32,
        expected: u32,
        _deadline: Option<Deadline>,
    ) -> Result<(), Errno> {
        let (mutex, condvar) = &*SLEEPERS;
        let mut sleepers = mutex.lock().unwrap();
        if word.load(Ordering::SeqCst) != expected {
            return Ok(());
        }
        let me = sleepers.len();
        sleepers.push(Sleeper { word: (&raw const *word).addr(), woken: false });
        while !sleepers[me].woken {
            sleepers = condvar.wait(sleepers).unwrap();
        }
        Ok(())
    }

    pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
        let (mutex, condvar) = &*SLEEPERS;
        let mut sleepers = mutex.lock().unwrap();
        let addr = (&raw const *word).addr();
        let asleep = sleepers.iter_mut().filter(|sleeper| sleeper.word == addr && !sleeper.woken);
        let woken = asleep.take(count as usize).map(|sleeper| sleeper.woken = true).count();
        condvar.notify_all();
        woken
    }
}
