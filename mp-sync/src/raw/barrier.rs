//! Meeting of a number of parties.
//!
//! `state` is a cycle and its phase:
//!
//! ```text
//!  31                            2 1   0
//!  | cycle                        | phase |
//!
//!   Filling -- the last one came --> Draining -- all have left --> Filling of the next cycle
//!      |                                |                               ^
//!      |  abort, timeout, a death       | abort                         |
//!      +----------------> Broken <------+                               |
//!      | reset               | reset                                    |
//!      +------------------------------> Resetting -- all have left -----+
//! ```
//!
//! Each party that has arrived holds a slot, a lock of its own, until it leaves; so the number of
//! those who wait is the number of held slots, and a party that dies is a slot that the kernel has
//! released. A phase changes with one compare-and-swap. `lock` is held for arriving and for going
//! to the next cycle, so that parties are counted one by one and a cycle ends once.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use mp_sys::Deadline;

use crate::raw::{RawMutex, Watched};
use crate::sys::{self, AtomicU32, Ordering};
use crate::{Acquired, Error, LockState};

const FILLING: u32 = 0;
const DRAINING: u32 = 1;
const BROKEN: u32 = 2;
const RESETTING: u32 = 3;
const PHASE: u32 = 3;
const CYCLE: u32 = 4;

/// The words of a [`Barrier`](crate::Barrier). All zero is "nobody has come", with no parties.
///
/// ```text
///  0        48      52        56
///  | lock   | state | parties | slots: N x RawMutex           |
/// ```
#[repr(C)]
pub(crate) struct RawBarrier<const N: usize> {
    lock: RawMutex,
    state: AtomicU32,
    parties: AtomicU32,
    slots: [RawMutex; N],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawBarrier<256>>() == 56 + 256 * 48);

/// A party that has come.
#[derive(Debug)]
pub(crate) struct Arrival {
    slot: usize,
    /// How many had come before.
    pub(crate) index: usize,
    /// Whether all have come.
    pub(crate) is_last: bool,
    /// The state it came into; the cycle cannot end while it is here.
    state: u32,
}

impl<const N: usize> RawBarrier<N> {
    #[cfg(loom)]
    pub(crate) fn new(parties: u32) -> RawBarrier<N> {
        RawBarrier {
            lock: RawMutex::new(),
            state: AtomicU32::new(0),
            parties: AtomicU32::new(parties),
            slots: std::array::from_fn(|_| RawMutex::new()),
        }
    }

    /// Before it is shared: how many parties there are, at most N.
    pub(crate) fn set_parties(&self, parties: u32) {
        self.parties.store(parties, Ordering::Relaxed);
    }

    pub(crate) fn parties(&self) -> usize {
        self.parties.load(Ordering::Relaxed) as usize
    }

    /// Comes to the barrier, once those of the last cycle have left it.
    ///
    /// # Safety
    ///
    /// As `RawMutex::lock_until`, until `leave`.
    pub(crate) unsafe fn arrive(&self, deadline: Option<Deadline>) -> Result<Arrival, Error> {
        loop {
            // SAFETY: the caller's contract; unlocked below. A death under the lock left nothing.
            let _ = unsafe { self.lock.lock_until(deadline) }?;
            // SAFETY: the caller's contract, and `lock` is ours.
            let arrived = unsafe { self.try_arrive() };
            self.lock.unlock();
            let state = match arrived? {
                Ok(arrival) => {
                    // One who sleeps begins to watch over our life, as we watch over theirs.
                    sys::wake(&self.state, 1);
                    return Ok(arrival);
                }
                Err(state) => state,
            };
            // First watch, then look: if all have left in between, it is for us to go on.
            let watched = self.watch(state, None);
            if self.held() > 0 {
                watched.sleep(deadline)?;
            }
        }
    }

    /// Waits until the last one has come. The arrival must then `leave`.
    pub(crate) fn wait(&self, arrival: &Arrival, deadline: Option<Deadline>) -> Result<(), Error> {
        loop {
            let watched = self.watch(arrival.state, Some(arrival.slot));
            // Acquire: pairs with the Release of who ended the phase.
            let state = self.state.load(Ordering::Acquire);
            match state & PHASE {
                // The cycle cannot have ended while we are here: the word is not what we wrote.
                FILLING if state != arrival.state => return Err(Error::Broken),
                FILLING if self.somebody_died() => self.end(arrival.state, BROKEN),
                FILLING => {
                    if let Err(error) = watched.sleep(deadline) {
                        self.end(arrival.state, BROKEN);
                        // The last one may have come at this very moment.
                        let phase = self.state.load(Ordering::Acquire) & PHASE;
                        return if phase == DRAINING { Ok(()) } else { Err(error) };
                    }
                }
                DRAINING => return Ok(()),
                _ => return Err(Error::Broken),
            }
        }
    }

    /// Lets all parties go: for the last one to come.
    pub(crate) fn release(&self, arrival: &Arrival) -> Result<(), Error> {
        self.end(arrival.state, DRAINING);
        match self.state.load(Ordering::Acquire) & PHASE {
            DRAINING => Ok(()),
            _ => Err(Error::Broken),
        }
    }

    /// Breaks the cycle that the arrival belongs to.
    pub(crate) fn fail(&self, arrival: &Arrival) {
        self.end(arrival.state, BROKEN);
    }

    /// Leaves; the last one to do so lets the next cycle begin.
    pub(crate) fn leave(&self, arrival: &Arrival) {
        self.slots[arrival.slot].unlock();
    }

    /// Breaks the barrier for all who wait and who will come. Async-signal-safe.
    pub(crate) fn abort(&self) {
        let broken = |state: u32| Some((state & !PHASE) | BROKEN);
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, broken);
        sys::wake(&self.state, u32::MAX);
    }

    /// Breaks the barrier for those who wait, and makes it whole for those who will come.
    pub(crate) fn reset(&self) {
        let held = self.held();
        let reset = |state: u32| match state & PHASE {
            FILLING if held == 0 && !self.somebody_died() => None,
            FILLING | BROKEN => Some(state | RESETTING),
            _ => None,
        };
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, reset);
        sys::wake(&self.state, u32::MAX);
    }

    pub(crate) fn is_broken(&self) -> bool {
        match self.state.load(Ordering::Acquire) & PHASE {
            BROKEN => true,
            FILLING => self.somebody_died(),
            _ => false,
        }
    }

    /// How many have come and wait for the rest.
    pub(crate) fn waiting(&self) -> usize {
        match self.state.load(Ordering::Acquire) & PHASE {
            FILLING => self.held(),
            _ => 0,
        }
    }

    /// `lock` is ours. When the last cycle is not over yet: the state that has to end first.
    ///
    /// # Safety
    ///
    /// As `arrive`.
    unsafe fn try_arrive(&self) -> Result<Result<Arrival, u32>, Error> {
        let mut state = self.state.load(Ordering::Acquire);
        let index = self.held();
        if matches!(state & PHASE, DRAINING | RESETTING) && index == 0 {
            for slot in self.slots() {
                // Who died while it left has broken nothing; its slot becomes a free one.
                // SAFETY: unlocked at once.
                if slot.state() == LockState::OwnerDied && unsafe { slot.try_lock() }?.is_some() {
                    slot.unlock();
                }
            }
            let next = (state & !PHASE).wrapping_add(CYCLE);
            if self.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                sys::wake(&self.state, u32::MAX);
                state = next;
            }
        }
        match state & PHASE {
            BROKEN => return Err(Error::Broken),
            // No barrier is made so.
            _ if self.parties() == 0 => return Err(Error::Broken),
            FILLING if self.somebody_died() => {
                self.end(state, BROKEN);
                return Err(Error::Broken);
            }
            FILLING if index < self.parties() => {}
            _ => return Ok(Err(state)),
        }
        for (slot, lock) in self.slots().iter().enumerate() {
            // SAFETY: the caller's contract.
            match unsafe { lock.try_lock() }? {
                None => {}
                Some(Acquired::Clean) => {
                    let is_last = index + 1 == self.parties();
                    return Ok(Ok(Arrival { slot, index, is_last, state }));
                }
                Some(Acquired::OwnerDied) => {
                    // A party that died since we looked.
                    self.end(state, BROKEN);
                    lock.unlock();
                    return Err(Error::Broken);
                }
            }
        }
        Ok(Err(state))
    }

    /// Ends the filling phase `state`, unless it has ended, and wakes all.
    fn end(&self, state: u32, phase: u32) {
        // Release: pairs with the Acquire in wait().
        let next = state | phase;
        let ended = self.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Relaxed);
        if ended.is_ok() {
            sys::wake(&self.state, u32::MAX);
        }
    }

    fn watch(&self, state: u32, mine: Option<usize>) -> Watched<'_> {
        let mut watched = Watched::new(&self.state, state);
        for (i, slot) in self.slots().iter().enumerate() {
            if Some(i) != mine {
                watched.add(slot);
            }
        }
        watched
    }

    /// As many slots as there are parties.
    fn slots(&self) -> &[RawMutex] {
        &self.slots[..self.parties().min(N)]
    }

    fn held(&self) -> usize {
        self.slots().iter().filter(|slot| slot.is_locked()).count()
    }

    fn somebody_died(&self) -> bool {
        self.slots().iter().any(|slot| slot.state() == LockState::OwnerDied)
    }
}
