//! A lock that its holder may lock again.
#![expect(unsafe_code, reason = "reads and writes data in shared memory under the lock")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mp_shm::Place;
use serde::{Deserialize, Serialize};

use crate::condvar::sealed;
use crate::handle::Handle;
use crate::{Acquired, Deadline, Error, LockError, RawMutex, Shareable};

/// What lies in shared memory.
///
/// ```text
///  0                    48        52   56 (up to the alignment of T)
///  | RawMutex           | count   | -  | T                            |
/// ```
#[repr(C)]
struct Cell<T> {
    raw: RawMutex,
    /// How often the holder has locked; void when nobody holds `raw`. Relaxed: under the lock.
    count: AtomicU32,
    unused: AtomicU32,
    // INVARIANT (locked): read and written only by the thread that holds `raw`, in whatever
    // process, or before the cell has been shared; and by copies only.
    data: UnsafeCell<T>,
}

const _: () = assert!(size_of::<Cell<u64>>() == 64 && align_of::<Cell<u64>>() == 8);

// SAFETY: INVARIANT (locked): only one thread at a time reaches `data`, and T may change threads.
unsafe impl<T: Shareable> Sync for Cell<T> {}
// SAFETY: repr(C); `raw` is a `Place`, `count` an atomic; `data` is in an UnsafeCell reached under
// the lock, and any bytes are a T. Alignment: checked in `ReentrantMutex::new`.
unsafe impl<T: Shareable> Place for Cell<T> {}

/// A lock that the thread which holds it may lock again, and that holds its data.
///
/// As there can be several guards at once, a guard gives copies of the data, not references:
/// [`get`](ReentrantMutexGuard::get) and [`set`](ReentrantMutexGuard::set).
///
/// The holder is a thread of one process; a forked child is another holder.
///
/// Python: `RLock()`.
///
/// # Examples
///
/// ```
/// use mp_sync::{LockError, ReentrantMutex};
///
/// let depth = ReentrantMutex::new(0_u32)?;
/// let outer = depth.lock().or_else(LockError::recover)?;
/// let inner = depth.lock().or_else(LockError::recover)?;
/// inner.update(|depth| depth + 1);
/// assert_eq!((outer.get(), outer.count()), (1, 2));
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
#[doc(alias = "RLock")]
pub struct ReentrantMutex<T: Shareable> {
    cell: Handle<Cell<T>>,
}

impl<T: Shareable> ReentrantMutex<T> {
    /// Makes a free lock around `value`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new(value: T) -> Result<ReentrantMutex<T>, Error> {
        const { assert!(align_of::<T>() <= 64, "shared memory is aligned to 64 bytes") };
        let cell = Handle::<Cell<T>>::zeroed()?;
        // SAFETY: INVARIANT (locked): nobody else has the cell yet.
        unsafe { cell.data.get().write(value) };
        Ok(ReentrantMutex { cell })
    }

    /// Locks, or locks once more.
    ///
    /// # Blocking
    ///
    /// Waits for the holding thread to drop its last guard; not at all in that thread. If the
    /// holder dies: *reports*, exactly one waiter gets [`LockError::OwnerDied`] with the guard. A
    /// paused holder keeps the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] carries the guard; [`LockError::Failed`] with
    /// [`Error::TooManyHeld`] does not.
    #[doc(alias = "acquire")]
    pub fn lock(
        &self,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        self.lock_until(None)
    }

    /// Locks if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`lock`](ReentrantMutex::lock), and [`Error::WouldBlock`] when another thread holds it.
    pub fn try_lock(
        &self,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        if self.cell.raw.is_mine() {
            return self.again();
        }
        // SAFETY: the guard keeps this handle, and with it the mapping; if it is forgotten, the
        // handle keeps the mapping for ever (Handle).
        match unsafe { self.cell.raw.try_lock() }? {
            Some(acquired) => self.first(acquired),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Locks, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`lock`](ReentrantMutex::lock), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`lock`](ReentrantMutex::lock), and [`Error::TimedOut`].
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        self.lock_until(Some(Deadline::after(timeout)))
    }

    fn lock_until(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        if self.cell.raw.is_mine() {
            return self.again();
        }
        // SAFETY: as in `try_lock`.
        self.first(unsafe { self.cell.raw.lock_until(deadline) }?)
    }

    /// Whether somebody holds the lock at this moment.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.cell.raw.is_locked()
    }

    /// Whether both are handles to the same lock.
    pub fn same(&self, other: &ReentrantMutex<T>) -> bool {
        self.cell.same(&other.cell)
    }

    /// `raw` has just been locked by this thread.
    fn first(
        &self,
        acquired: Acquired,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        // A holder that died has left its count.
        self.cell.count.store(1, Ordering::Relaxed);
        match acquired {
            Acquired::Clean => Ok(self.guard()),
            Acquired::OwnerDied => Err(LockError::OwnerDied(self.guard())),
        }
    }

    /// `raw` is held by this thread.
    fn again(&self) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        let count = self.cell.count.load(Ordering::Relaxed);
        let more = count.checked_add(1).ok_or(Error::TooManyHeld { max: u32::MAX })?;
        self.cell.count.store(more, Ordering::Relaxed);
        Ok(self.guard())
    }

    fn guard(&self) -> ReentrantMutexGuard<'_, T> {
        self.cell.give();
        ReentrantMutexGuard { mutex: self, not_send: PhantomData }
    }
}

impl<T: Shareable> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = if self.is_locked() { self.cell.count.load(Ordering::Relaxed) } else { 0 };
        f.debug_struct("ReentrantMutex")
            .field("raw", &self.cell.raw)
            .field("count", &count)
            .finish_non_exhaustive()
    }
}

/// The right to a [`ReentrantMutex`]'s data; dropping the last one of its thread unlocks.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReentrantMutexGuard<'a, T: Shareable> {
    mutex: &'a ReentrantMutex<T>,
    not_send: PhantomData<*const ()>,
}

impl<T: Shareable> ReentrantMutexGuard<'_, T> {
    /// A copy of the data.
    pub fn get(&self) -> T {
        // SAFETY: INVARIANT (locked): this thread holds `raw`.
        unsafe { self.mutex.cell.data.get().read() }
    }

    /// Overwrites the data.
    pub fn set(&self, value: T) {
        // SAFETY: INVARIANT (locked): this thread holds `raw`, and nobody has references.
        unsafe { self.mutex.cell.data.get().write(value) }
    }

    /// Overwrites the data with what `f` makes of it, and returns that.
    pub fn update(&self, f: impl FnOnce(T) -> T) -> T {
        let value = f(self.get());
        self.set(value);
        value
    }

    /// How many guards this thread has.
    pub fn count(&self) -> u32 {
        self.mutex.cell.count.load(Ordering::Relaxed)
    }
}

impl<T: Shareable> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let cell = &self.mutex.cell;
        cell.take();
        if !cell.raw.is_mine() {
            return; // A forked child's copy.
        }
        let count = cell.count.load(Ordering::Relaxed);
        cell.count.store(count.saturating_sub(1), Ordering::Relaxed);
        if count <= 1 {
            cell.raw.unlock();
        }
    }
}

impl<'a, T: Shareable> sealed::WaitGuard for ReentrantMutexGuard<'a, T> {
    type Released = (&'a ReentrantMutex<T>, u32);

    fn release(self) -> Self::Released {
        let mutex = self.mutex;
        let count = mutex.cell.count.load(Ordering::Relaxed);
        // So that dropping this guard, though it is not the only one, unlocks.
        mutex.cell.count.store(1, Ordering::Relaxed);
        drop(self);
        (mutex, count)
    }

    fn lock_again((mutex, count): Self::Released) -> Result<Self, LockError<Self>> {
        let result = mutex.lock_until(None);
        if !matches!(result, Err(LockError::Failed(_))) {
            mutex.cell.count.store(count, Ordering::Relaxed);
        }
        result
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
