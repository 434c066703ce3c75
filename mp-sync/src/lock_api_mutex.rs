//! Our lock for code that is generic over `lock_api`.
#![expect(unsafe_code, reason = "implements an unsafe trait")]

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lock_api::{GuardNoSend, RawMutexTimed};
use mp_shm::Placed;

use crate::{Deadline, Error, RawMutex};

/// A lock for [`lock_api::Mutex`] and what is generic over [`lock_api::RawMutex`].
///
/// The lock lies in shared memory, which it takes when it is first locked; a process that is
/// forked afterwards shares it. The data of a `lock_api::Mutex` lies beside it in the memory of
/// each process, so it is *not* shared: for data, take [`Mutex`](crate::Mutex).
///
/// `lock_api` knows of no dead holders: the lock of one goes to the next as if it had been
/// unlocked.
///
/// # Panics
///
/// Locking panics where it cannot say otherwise: when the thread holds the lock already or holds
/// too many, and when there is no memory for it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_sync::LockApiMutex;
///
/// static CONSOLE: lock_api::Mutex<LockApiMutex, ()> = lock_api::Mutex::new(());
///
/// let guard = CONSOLE.lock();
/// std::thread::scope(|s| {
///     s.spawn(|| assert!(CONSOLE.try_lock_for(Duration::from_millis(1)).is_none()));
/// });
/// drop(guard);
/// ```
pub struct LockApiMutex {
    raw: OnceLock<Placed<RawMutex>>,
}

impl LockApiMutex {
    fn raw(&self) -> &RawMutex {
        self.raw.get_or_init(|| Placed::zeroed().unwrap_or_else(|error| panic!("{error}")))
    }

    fn lock_until(&self, deadline: Option<Deadline>) -> bool {
        // SAFETY: the lock lies in `raw`, which stays mapped for ever if it is dropped locked.
        match unsafe { self.raw().lock_until(deadline) } {
            Ok(_) => true,
            Err(Error::TimedOut) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

// SAFETY: `lock_until` and `try_lock` return true only when this thread has the lock, which
// excludes all others until the unlock; the guard does not leave the thread.
unsafe impl lock_api::RawMutex for LockApiMutex {
    const INIT: LockApiMutex = LockApiMutex { raw: OnceLock::new() };

    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        self.lock_until(None);
    }

    fn try_lock(&self) -> bool {
        // SAFETY: as in `lock_until`.
        match unsafe { self.raw().try_lock() } {
            Ok(acquired) => acquired.is_some(),
            Err(error) => panic!("{error}"),
        }
    }

    unsafe fn unlock(&self) {
        self.raw().unlock();
    }

    fn is_locked(&self) -> bool {
        self.raw.get().is_some_and(|raw| raw.is_locked())
    }
}

// SAFETY: as above.
unsafe impl RawMutexTimed for LockApiMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock_until(Some(Deadline::after(timeout)))
    }

    fn try_lock_until(&self, until: Instant) -> bool {
        self.try_lock_for(until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for LockApiMutex {
    fn drop(&mut self) {
        // A held lock must stay mapped. A guard that is dropped has unlocked by now; a forgotten
        // one has not.
        if let Some(raw) = self.raw.take().filter(|raw| raw.is_locked()) {
            std::mem::forget(raw);
        }
    }
}

impl fmt::Debug for LockApiMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockApiMutex").field("raw", &self.raw.get()).finish()
    }
}
