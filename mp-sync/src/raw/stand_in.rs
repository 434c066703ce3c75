//! The robust mutex where the C library's robust list has a shape that we do not know: the C
//! library's own mutex, in the same bytes.
#![expect(unsafe_code, reason = "locks the C library's mutex in place")]

use mp_sys::Deadline;

use super::mutex::{Acquired, LockState, RawMutex};
use crate::sys::{self, Held, Ordering, Place};
use crate::{Errno, Error};

impl RawMutex {
    fn place(&self) -> &Place {
        // SAFETY: a `Place` is made of atomics, fits into our bytes (asserted above), and is the
        // only thing that lies there when `sys::list` fails.
        unsafe { &*(&raw const *self).cast::<Place>() }
    }

    #[cold]
    pub(super) unsafe fn fallback_lock(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<Acquired, Error> {
        loop {
            // The C library's mutex loses a wake whose receiver is killed: hence the ticks.
            let tick = Deadline::after(super::TICK).or_earlier(deadline);
            // SAFETY: the caller's contract is the same.
            match unsafe { self.place().lock(Some(tick)) } {
                Ok(held) => return Ok(self.fallback_acquired(held)),
                Err(Errno::TIMEDOUT) if !deadline.is_some_and(Deadline::has_passed) => {}
                Err(errno) => return Err(Error::os("pthread_mutex_lock")(errno)),
            }
        }
    }

    #[cold]
    pub(super) unsafe fn fallback_try_lock(&self) -> Result<Option<Acquired>, Error> {
        // SAFETY: the caller's contract is the same.
        match unsafe { self.place().try_lock() } {
            Ok(held) => Ok(held.map(|held| self.fallback_acquired(held))),
            Err(Errno::DEADLK) => Ok(None), // Ours: "somebody, this thread included".
            Err(errno) => Err(Error::os("pthread_mutex_trylock")(errno)),
        }
    }

    /// The mutex has just become ours.
    fn fallback_acquired(&self, held: Held) -> Acquired {
        let unheard = self.spare[1].swap(0, Ordering::Relaxed) != 0;
        self.spare[0].store(sys::tid(), Ordering::Release);
        if unheard || held == Held::OwnerDied { Acquired::OwnerDied } else { Acquired::Clean }
    }

    #[cold]
    pub(super) fn fallback_unlock(&self) {
        if self.fallback_is_mine() {
            self.spare[0].store(0, Ordering::Release);
            // EPERM, "not the holder", is a forked child that has our old thread id.
            let _ = self.place().unlock();
        }
    }

    #[cold]
    pub(super) fn fallback_state(&self) -> LockState {
        // A look at a free mutex leaves it alone, or others would take us for its holder.
        if self.spare[0].load(Ordering::Acquire) != 0 {
            // SAFETY: unlocked again at once, within the life of `self`.
            if let Ok(Some(_)) = unsafe { self.place().try_lock() } {
                // The holder died. Whoever locks next shall hear of it.
                self.spare[1].store(1, Ordering::Relaxed);
                self.spare[0].store(0, Ordering::Release);
                let _ = self.place().unlock();
            } else {
                return LockState::Held;
            }
        }
        match self.spare[1].load(Ordering::Relaxed) {
            0 => LockState::Free,
            _ => LockState::OwnerDied,
        }
    }

    #[cold]
    pub(super) fn fallback_is_mine(&self) -> bool {
        // A dead holder's thread id may have become ours; the mutex itself knows better.
        self.spare[0].load(Ordering::Relaxed) == sys::tid()
            // SAFETY: if the lock is had, it is unlocked at once, within the life of `self`.
            && match unsafe { self.place().lock(Some(Deadline::now())) } {
                Ok(_) => {
                    self.spare[1].store(1, Ordering::Relaxed);
                    self.spare[0].store(0, Ordering::Release);
                    let _ = self.place().unlock();
                    false
                }
                Err(errno) => errno == Errno::DEADLK,
            }
    }
}
