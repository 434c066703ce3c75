//! Permits that come back when their holder dies.
//!
//! Available are `total` permits less those in the entries of living holders. An entry is a lock,
//! held by the thread that has the permits, and their number. Each operation commits with one
//! store: taking and giving back with that of the entry's number (or its lock), adding and
//! forgetting with that of `total`. A dead holder's entry counts as nothing, because the kernel
//! has released its lock; so there is nothing to repair.
//!
//! `lock` is held to take a permit, never to give one back, so `release` may interrupt anything.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use mp_sys::Deadline;

use crate::Error;
use crate::raw::{RawMutex, Watched};
use crate::sys::{self, AtomicU32, Ordering, fence};

/// The most permits there can be: Python's `SEM_VALUE_MAX`.
pub(crate) const PERMITS_MAX: u32 = i32::MAX as u32;

/// The words of a [`Semaphore`](crate::Semaphore). All zero is "no permits".
///
/// ```text
///  0        48      52        56         60     64
///  | lock   | total | signal  | sleepers | used | holders: N x Holder      |
/// ```
#[repr(C)]
pub(crate) struct RawSemaphore<const N: usize> {
    lock: RawMutex,
    /// All permits, held or not.
    total: AtomicU32,
    /// Counts the times that a permit may have become available.
    signal: AtomicU32,
    /// A flag: somebody may sleep. Set and cleared under `lock`.
    sleepers: AtomicU32,
    /// No entry from here on has ever been used. Written under `lock`; only grows.
    used: AtomicU32,
    holders: [Holder; N],
}

/// ```text
///  0        48     52     56
///  | lock   | held | -    |
/// ```
#[repr(C)]
struct Holder {
    lock: RawMutex,
    /// How many permits the thread that holds `lock` has. Written by that thread alone.
    held: AtomicU32,
    unused: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Holder>() == 56 && size_of::<RawSemaphore<64>>() == 64 + 64 * 56);

/// Where a permit is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(usize);

/// What a look at all entries finds.
struct Count {
    available: i64,
    mine: Option<usize>,
    free: Option<usize>,
}

impl<const N: usize> RawSemaphore<N> {
    #[cfg(loom)]
    pub(crate) fn new() -> RawSemaphore<N> {
        RawSemaphore {
            lock: RawMutex::new(),
            total: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            used: AtomicU32::new(0),
            holders: std::array::from_fn(|_| Holder {
                lock: RawMutex::new(),
                held: AtomicU32::new(0),
                unused: AtomicU32::new(0),
            }),
        }
    }

    /// Takes a permit for the calling thread.
    ///
    /// # Safety
    ///
    /// As `RawMutex::lock_until`, until the permit has been given back or forgotten.
    pub(crate) unsafe fn acquire_until(&self, deadline: Option<Deadline>) -> Result<Entry, Error> {
        loop {
            // SAFETY: the caller's contract; unlocked below. A death under the lock left nothing.
            let _ = unsafe { self.lock.lock_until(deadline) }?;
            // SAFETY: the caller's contract, and `lock` is ours.
            let taken = unsafe { self.take() };
            if let Some(done) = taken.transpose() {
                self.lock.unlock();
                return done;
            }
            // The fence pairs with that in signal(): either it sees the flag, or we see what it
            // gave back.
            self.sleepers.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let seen = self.signal.load(Ordering::Acquire);
            let mut watched = Watched::new(&self.signal, seen);
            let used = self.used.load(Ordering::Relaxed) as usize;
            for holder in self.holders.iter().take(used) {
                watched.add(&holder.lock);
            }
            // First watch, then look: a permit that comes back after the look wakes us.
            let available = self.count().available > 0;
            self.lock.unlock();
            if !available {
                watched.sleep(deadline)?;
            }
        }
    }

    /// Takes a permit if there is one.
    ///
    /// # Safety
    ///
    /// As `acquire_until`.
    pub(crate) unsafe fn try_acquire(&self) -> Result<Option<Entry>, Error> {
        // SAFETY: the caller's contract; unlocked below. The lock is held for moments only.
        let _ = unsafe { self.lock.lock_until(None) }?;
        // SAFETY: the caller's contract, and `lock` is ours.
        let taken = unsafe { self.take() };
        self.lock.unlock();
        taken
    }

    /// Gives a permit of the calling thread back.
    pub(crate) fn give_back(&self, entry: Entry) {
        if self.leave(entry) {
            self.signal(1);
        }
    }

    /// Takes a permit of the calling thread out of the world: `add` brings one back.
    pub(crate) fn forget(&self, entry: Entry) {
        if !self.holders[entry.0].lock.is_mine() {
            return; // A forked child's copy of a permit.
        }
        // First the total: in between, one permit too few is available, never one too many. And
        // if we die in between, our entry is void, so it is as if we had died after.
        self.total.fetch_sub(1, Ordering::AcqRel);
        self.leave(entry);
        self.signal(1);
    }

    /// Adds permits, up to `max` in all. Async-signal-safe.
    pub(crate) fn add(&self, count: u32, max: u32) -> Result<(), Error> {
        let sum = |total: u32| total.checked_add(count).filter(|sum| *sum <= max);
        match self.total.fetch_update(Ordering::AcqRel, Ordering::Relaxed, sum) {
            Ok(_) => {
                self.signal(count);
                Ok(())
            }
            Err(_) => Err(Error::TooManyPermits { max }),
        }
    }

    /// How many permits are available.
    pub(crate) fn value(&self) -> u32 {
        u32::try_from(self.count().available).unwrap_or(0)
    }

    /// The living holders: thread id (if it can be told) and permits.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (Option<u32>, u32)> {
        let living = self.holders.iter().filter(|holder| holder.lock.is_locked());
        living.map(|holder| (holder.lock.owner(), holder.held.load(Ordering::Relaxed)))
    }

    /// `lock` is ours.
    ///
    /// # Safety
    ///
    /// As `acquire_until`.
    unsafe fn take(&self) -> Result<Option<Entry>, Error> {
        let count = self.count();
        if count.available <= 0 {
            return Ok(None);
        }
        let index = match (count.mine, count.free) {
            (Some(mine), _) => mine,
            (None, Some(free)) => {
                self.used.fetch_max(free as u32 + 1, Ordering::Relaxed);
                let holder = &self.holders[free];
                // SAFETY: the caller's contract. Nobody else claims entries: `lock` is ours.
                if unsafe { holder.lock.try_lock() }?.is_none() {
                    return Ok(None);
                }
                // A holder that died has left its number.
                holder.held.store(0, Ordering::Relaxed);
                free
            }
            (None, None) => return Err(Error::TooManyHolders { max: N }),
        };
        let held = &self.holders[index].held;
        // The commit. Release: pairs with the Acquire in count().
        held.store(held.load(Ordering::Relaxed).saturating_add(1), Ordering::Release);
        // A death may have freed several permits, and woke one sleeper.
        if count.available > 1 && self.sleepers.load(Ordering::Relaxed) != 0 {
            self.signal.fetch_add(1, Ordering::Release);
            if sys::wake(&self.signal, 1) == 0 {
                // Who has set the flag and does not sleep yet will see the signal.
                self.sleepers.store(0, Ordering::Relaxed);
            }
        }
        Ok(Some(Entry(index)))
    }

    fn count(&self) -> Count {
        let mut count = Count {
            available: i64::from(self.total.load(Ordering::Acquire)),
            mine: None,
            free: None,
        };
        let used = self.used.load(Ordering::Relaxed) as usize;
        for (i, holder) in self.holders.iter().enumerate().take(used) {
            if holder.lock.is_locked() {
                count.available -= i64::from(holder.held.load(Ordering::Acquire));
                if holder.lock.is_mine() {
                    count.mine = Some(i);
                }
            } else {
                count.free.get_or_insert(i);
            }
        }
        if used < N {
            count.free.get_or_insert(used);
        }
        count
    }

    /// Takes one permit out of the calling thread's entry; false in a forked child.
    fn leave(&self, Entry(index): Entry) -> bool {
        let Holder { lock, held, .. } = &self.holders[index];
        if !lock.is_mine() {
            return false;
        }
        let left = held.load(Ordering::Relaxed).saturating_sub(1);
        // The commit. Release: pairs with the Acquire in count().
        held.store(left, Ordering::Release);
        if left == 0 {
            lock.unlock();
        }
        true
    }

    /// Permits may have become available.
    fn signal(&self, count: u32) {
        // Release: who finds the signal changed sees what was given back.
        self.signal.fetch_add(1, Ordering::Release);
        // Pairs with the fence in acquire_until().
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            sys::wake(&self.signal, count);
        }
    }
}
