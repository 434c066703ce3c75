//! A turn at one side of the ring, and how long a call waits for what it wants.
#![expect(unsafe_code, reason = "takes robust locks")]

use mp_sys::Deadline;

use crate::Error;
use crate::sys::RawMutex;

/// How long a call is ready to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all, but for a lock that somebody is about to release.
    Try,
    /// Until then.
    Until(Option<Deadline>),
}

impl Patience {
    /// What to report when it is at its end.
    pub(crate) fn over(self, at_once: Error) -> Error {
        match self {
            Patience::Try => at_once,
            Patience::Until(_) => Error::TimedOut,
        }
    }
}

/// A lock that is held until this is dropped.
///
/// That the last holder died needs no care: whatever it did is either committed or not there.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    lock: &'a RawMutex,
    /// A robust lock cannot leave its thread, so neither can this.
    _here: std::marker::PhantomData<*const ()>,
}

impl<'a> Turn<'a> {
    #[inline]
    pub(crate) fn take(lock: &'a RawMutex, patience: Patience) -> Result<Turn<'a>, Error> {
        // Of no interest: whether the last holder died (see the type's text).
        match patience {
            Patience::Until(deadline) => {
                // SAFETY: the turn borrows the lock from its ring, so it stays mapped until the
                // turn's drop has unlocked it; turns are never leaked.
                let _ = unsafe { lock.lock_until(deadline) }?;
            }
            Patience::Try => {
                // SAFETY: as above.
                if unsafe { lock.try_lock() }?.is_none() {
                    let soon = Some(Deadline::after(super::wait::TRY));
                    // SAFETY: as above.
                    let _ = unsafe { lock.lock_until(soon) }?;
                }
            }
        }
        Ok(Turn { lock, _here: std::marker::PhantomData })
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock();
    }
}
