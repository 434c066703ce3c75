//! The robust mutex that everything else in this crate is made of.
//!
//! The lock word has these states. `tid` is the holder's thread id; WAITERS and OWNER_DIED are
//! the two upper bits.
//!
//! | word                  | means                                                        |
//! | --------------------- | ------------------------------------------------------------ |
//! | 0                     | free                                                         |
//! | WAITERS               | free, and somebody sleeps or has just been woken             |
//! | tid                   | held, nobody sleeps                                          |
//! | tid + WAITERS         | held, and its release must wake                              |
//! | OWNER_DIED (+WAITERS) | the holder died; the kernel wrote this and woke one sleeper  |
//!
//! WAITERS outlives the release: it stays in the free word, and whoever takes that word takes the
//! duty to wake with it. So a sleeper that is woken and killed before it acts takes no wake with
//! it: either the word is still free, and then the kernel wakes another one (the dead sleeper had
//! announced the node), or somebody holds it with WAITERS set and wakes another one in the end.
//! A release that finds nobody asleep takes the bit away.
//!
//! Memory order: taking the word is Acquire, freeing it is Release, all else is Relaxed; the
//! kernel's own store at a death is ordered after everything that the dead thread did.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use std::fmt;

use mp_sys::Deadline;
use mp_sys::robust::{HELD_MAX, OWNER_DIED, TID_MASK, WAITERS};

use crate::Error;
use crate::sys::{self, AtomicU32, List, Node, Ordering, Place};

/// A lock word that outlives its holder; the building block of this crate and of the rings and
/// lanes above it.
///
/// All zero bytes are a free lock. It guards no data and has no guard: take
/// [`Mutex`](crate::Mutex) unless you lay out shared memory yourself.
///
/// ```text
///  0                                       40        48
///  | robust::Node (word, links)            | spare   |
/// ```
///
/// Where the C library's robust list has a shape that we do not know, its own robust mutex lies
/// in the same bytes.
///
/// # Examples
///
/// ```
/// use mp_shm::Placed;
/// use mp_sync::{Acquired, RawMutex};
///
/// let lock = Placed::<RawMutex>::zeroed()?;
/// // SAFETY: `lock` is dropped only after the unlock.
/// assert_eq!(unsafe { lock.lock_until(None) }?, Acquired::Clean);
/// lock.unlock();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct RawMutex {
    pub(super) node: Node,
    /// Where the C library's mutex stands in: the holder's thread id, and "the last holder died,
    /// and nobody who locked has heard of it". Otherwise unused.
    pub(super) spare: [AtomicU32; 2],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawMutex>() == 48 && align_of::<RawMutex>() == 8);
#[cfg(not(loom))]
const _: () = assert!(size_of::<RawMutex>() >= size_of::<Place>());

#[cfg(not(loom))]
// SAFETY: repr(C), atomics only, zero is the initial state, and no destructor.
unsafe impl mp_shm::Place for RawMutex {}

/// How a lock came to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Acquired {
    /// Its last holder had unlocked it.
    Clean,
    /// Its last holder died: what the lock guards may be half-written.
    OwnerDied,
}

/// What a look at a lock finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Somebody who lives holds it.
    Held,
    /// Its holder died, and nobody has locked it since.
    OwnerDied,
}

impl RawMutex {
    /// A free lock, for memory of this process alone; shared memory is zeroed instead.
    #[expect(clippy::new_without_default, reason = "shared memory is zeroed, not constructed")]
    #[cfg(not(loom))]
    pub const fn new() -> RawMutex {
        RawMutex { node: Node::new(), spare: [const { AtomicU32::new(0) }; 2] }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawMutex {
        RawMutex { node: Node::new(), spare: [AtomicU32::new(0), AtomicU32::new(0)] }
    }

    /// Locks, waiting until `deadline` at most; `None` waits for ever.
    ///
    /// # Blocking
    ///
    /// Waits for the holder's [`unlock`](RawMutex::unlock), which wakes one waiter. If the holder
    /// dies: *recovers*, the kernel wakes one waiter, which gets [`Acquired::OwnerDied`]. If a
    /// woken waiter dies: *recovers*, another one is woken. A holder that is paused keeps the
    /// lock.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::WouldDeadlock`] when the calling thread is the holder;
    /// [`Error::TooManyHeld`] when it holds [`HELD_MAX`] locks.
    ///
    /// # Safety
    ///
    /// The lock stays mapped, at this address, until the calling thread has unlocked it or ended:
    /// the thread's robust list leads to it until then.
    #[inline]
    pub unsafe fn lock_until(&self, deadline: Option<Deadline>) -> Result<Acquired, Error> {
        // SAFETY: the caller's contract.
        if unsafe { self.lock_fast() } {
            return Ok(Acquired::Clean);
        }
        // SAFETY: the caller's contract.
        unsafe { self.lock_cold(deadline) }
    }

    /// Locks a free lock; false if it is not, or if anything else needs a closer look.
    ///
    /// # Safety
    ///
    /// As [`lock_until`](RawMutex::lock_until).
    #[inline(always)]
    pub(crate) unsafe fn lock_fast(&self) -> bool {
        let Some(list) = sys::known_list() else { return false };
        if list.held() >= HELD_MAX - 1 {
            return false;
        }
        list.announce(&self.node);
        let taken = self.take(list, 0);
        if !taken {
            list.retract();
        }
        taken
    }

    /// [`lock_until`](RawMutex::lock_until) after [`lock_fast`](RawMutex::lock_fast).
    ///
    /// # Safety
    ///
    /// As [`lock_until`](RawMutex::lock_until).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn lock_cold(&self, deadline: Option<Deadline>) -> Result<Acquired, Error> {
        let Ok(list) = sys::list() else {
            // SAFETY: the caller's contract.
            return unsafe { self.fallback_lock(deadline) };
        };
        check_room(list)?;
        list.announce(&self.node);
        let result = self.take_waiting(list, deadline);
        list.retract();
        result
    }

    /// Locks if that needs no waiting: `None` when somebody, this thread included, holds it.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyHeld`] as in [`lock_until`](RawMutex::lock_until).
    ///
    /// # Safety
    ///
    /// As [`lock_until`](RawMutex::lock_until).
    #[inline]
    pub unsafe fn try_lock(&self) -> Result<Option<Acquired>, Error> {
        let Ok(list) = sys::list() else {
            // SAFETY: the caller's contract.
            return unsafe { self.fallback_try_lock() };
        };
        check_room(list)?;
        list.announce(&self.node);
        let mut seen = 0;
        let result = loop {
            if self.take(list, seen) {
                break Some(acquired(seen));
            }
            seen = self.node.word().load(Ordering::Relaxed);
            if seen & TID_MASK != 0 {
                break None;
            }
        };
        list.retract();
        Ok(result)
    }

    /// Unlocks, and wakes one waiter.
    ///
    /// Does nothing unless the calling thread holds the lock: a forked child cannot unlock what
    /// its parent holds.
    #[inline]
    pub fn unlock(&self) {
        // What is still announced since we locked it is ours.
        match sys::known_list() {
            Some(list) if list.is_announced(&self.node) => self.free(list),
            _ => self.unlock_cold(),
        }
    }

    /// [`unlock`](RawMutex::unlock) where a closer look is needed at whose lock it is.
    #[cold]
    #[inline(never)]
    fn unlock_cold(&self) {
        let Ok(list) = sys::list() else { return self.fallback_unlock() };
        if self.node.word().load(Ordering::Relaxed) & TID_MASK == list.tid() {
            list.announce(&self.node);
            self.free(list);
        }
    }

    /// Frees the word. It is ours, and the node is announced.
    #[inline(always)]
    fn free(&self, list: List) {
        // SAFETY: the word is ours, so we have linked the node (the only place that stores our id
        // is `take`), and it is mapped (contract of the lock call).
        unsafe { list.unlink(&self.node) };
        // Release: pairs with the Acquire in take().
        let word = self.node.word();
        if word.compare_exchange(list.tid(), 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.free_contended();
        }
        list.retract();
    }

    /// The thread id of the holder; `None` when the lock is free or its holder died.
    ///
    /// It may have changed by the time it is looked at.
    pub fn owner(&self) -> Option<u32> {
        let word = if sys::list().is_ok() { self.node.word() } else { &self.spare[0] };
        Some(word.load(Ordering::Relaxed) & TID_MASK).filter(|tid| *tid != 0)
    }

    /// Whether the lock is free, held, or left behind by a dead holder.
    ///
    /// It may have changed by the time it is looked at. Orders memory like an Acquire load.
    #[inline]
    pub fn state(&self) -> LockState {
        if sys::list().is_err() {
            return self.fallback_state();
        }
        let seen = self.node.word().load(Ordering::Acquire);
        match (seen & TID_MASK, seen & OWNER_DIED) {
            (0, 0) => LockState::Free,
            (0, _) => LockState::OwnerDied,
            _ => LockState::Held,
        }
    }

    /// Whether somebody who lives holds the lock.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.state() == LockState::Held
    }

    /// Whether the calling thread holds the lock: this cannot change behind its back.
    #[inline]
    pub fn is_mine(&self) -> bool {
        match sys::list() {
            Ok(list) => self.node.word().load(Ordering::Relaxed) & TID_MASK == list.tid(),
            Err(_) => self.fallback_is_mine(),
        }
    }

    /// The word and its value while the lock is held, with [`WAITERS`] set in it: give both to
    /// [`futex::wait_any`](mp_sys::futex::wait_any), and an unlock or the holder's death ends the
    /// wait. `None` when nobody who lives holds the lock, or the C library's mutex stands in.
    pub fn watch(&self) -> Option<(&AtomicU32, u32)> {
        sys::list().ok()?;
        let word = self.node.word();
        loop {
            let seen = word.load(Ordering::Relaxed);
            if seen & TID_MASK == 0 {
                return None;
            }
            let marked = seen | WAITERS;
            if seen == marked
                || word.compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                return Some((word, marked));
            }
        }
    }

    /// The lock word: for tools that look at it, and for [`futex::wait_any`](mp_sys::futex::wait_any)
    /// together with [`watch`](RawMutex::watch).
    #[inline]
    pub fn word(&self) -> &AtomicU32 {
        self.node.word()
    }

    /// One attempt to make the free word `seen` ours. The node is announced.
    #[inline]
    pub(super) fn take(&self, list: List, seen: u32) -> bool {
        // Acquire: pairs with the Release in unlock(), and with the kernel's store at a death.
        let mine = list.tid() | (seen & WAITERS);
        let word = self.node.word();
        if word.compare_exchange(seen, mine, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: announced, the word is ours, so the node is in no list (its last holder took it
        // out before it freed the word, or is dead), and it stays mapped (contract of the caller).
        unsafe { list.link(&self.node) };
        true
    }
}

#[inline]
fn check_room(list: List) -> Result<(), Error> {
    if list.held() < HELD_MAX - 1 { Ok(()) } else { Err(Error::TooManyHeld { max: HELD_MAX }) }
}

pub(super) fn acquired(seen: u32) -> Acquired {
    if seen & OWNER_DIED == 0 { Acquired::Clean } else { Acquired::OwnerDied }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RawMutex");
        out.field("state", &self.state());
        if let Some(tid) = self.owner() {
            out.field("owner_tid", &tid).field("owner_pid", &crate::owner::pid_of(tid));
        }
        let waiters = self.node.word().load(Ordering::Relaxed) & WAITERS != 0;
        out.field("waiters", &waiters).finish()
    }
}
