//! A lock that holds its data, between processes.
#![expect(unsafe_code, reason = "gives out references to data in shared memory under the lock")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use mp_shm::Place;
use serde::{Deserialize, Serialize};

use crate::condvar::sealed;
use crate::handle::Handle;
use crate::{Acquired, Deadline, Error, LockError, RawMutex, Shareable};

/// What lies in shared memory.
///
/// ```text
///  0                    48 (up to the alignment of T)
///  | RawMutex           | T                            |
/// ```
#[repr(C)]
struct Cell<T> {
    raw: RawMutex,
    // INVARIANT (locked): read and written only by the thread that holds `raw`, in whatever
    // process, or before the cell has been shared.
    data: UnsafeCell<T>,
}

const _: () = assert!(size_of::<Cell<u64>>() == 56 && align_of::<Cell<u64>>() == 8);

// SAFETY: INVARIANT (locked): only one thread at a time reaches `data`, and T may change threads.
unsafe impl<T: Shareable> Sync for Cell<T> {}
// SAFETY: repr(C); `raw` is a `Place`; `data` is in an UnsafeCell reached under the lock, and any
// bytes are a T. Alignment: checked in `Mutex::new`, and a handle from elsewhere carries a T that
// went through the same check.
unsafe impl<T: Shareable> Place for Cell<T> {}

/// A lock that holds its data, for threads and processes alike.
///
/// A clone is another handle to the same lock; a handle travels in messages. The guard gives `&T`
/// and `&mut T`, although others have the same memory mapped: every process of the family reaches
/// the data through this type only, hence under the lock, and the kernel gives the lock to
/// somebody else only when its holder is dead. So nobody writes while the guard lives.
///
/// The holder is a thread, and nobody else can unlock. For Python's `Lock`, which one process
/// may take and another release, use [`Semaphore`](crate::Semaphore)`::new(1)` and [`Permit::forget`](crate::Permit::forget).
///
/// Python: `Lock()`, with the data inside.
///
/// # Examples
///
/// ```
/// use mp_sync::{Error, LockError, Mutex};
///
/// let balance = Mutex::new(100_i64)?;
/// let same = balance.clone();
/// *balance.lock().or_else(LockError::recover)? -= 30;
///
/// let guard = same.lock().or_else(LockError::recover)?;
/// assert_eq!(*guard, 70);
/// assert!(matches!(balance.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
/// assert!(matches!(balance.lock(), Err(LockError::Failed(Error::WouldDeadlock))));
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
#[doc(alias = "Lock")]
pub struct Mutex<T: Shareable> {
    cell: Handle<Cell<T>>,
}

impl<T: Shareable> Mutex<T> {
    /// Makes a free lock around `value`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new(value: T) -> Result<Mutex<T>, Error> {
        const { assert!(align_of::<T>() <= 64, "shared memory is aligned to 64 bytes") };
        let cell = Handle::<Cell<T>>::zeroed()?;
        // SAFETY: INVARIANT (locked): nobody else has the cell yet.
        unsafe { cell.data.get().write(value) };
        Ok(Mutex { cell })
    }

    /// Locks.
    ///
    /// # Blocking
    ///
    /// Waits for the holder to drop its guard, which wakes one waiter. If the holder dies:
    /// *reports*, the kernel wakes one waiter and that one gets [`LockError::OwnerDied`] with the
    /// guard. If a woken waiter dies: *recovers*. A paused holder keeps the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] carries the guard; [`LockError::Failed`] does not:
    /// [`Error::WouldDeadlock`] when this thread has the guard, [`Error::TooManyHeld`].
    ///
    /// Python: `Lock.acquire()`.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_until(None)
    }

    /// Locks if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`lock`](Mutex::lock), and [`Error::WouldBlock`] when somebody holds it, this thread
    /// included.
    ///
    /// Python: `Lock.acquire(block=False)`.
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        // SAFETY: the guard keeps this handle, and with it the mapping; if it is forgotten, the
        // handle keeps the mapping for ever (Handle).
        match unsafe { self.cell.raw.try_lock() }? {
            Some(acquired) => self.guard(acquired),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Locks, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`lock`](Mutex::lock), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`lock`](Mutex::lock), and [`Error::TimedOut`].
    ///
    /// Python: `Lock.acquire(timeout=...)`.
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_until(Some(Deadline::after(timeout)))
    }

    #[inline]
    fn lock_until(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        // SAFETY: as in `try_lock`.
        if unsafe { self.cell.raw.lock_fast() } {
            return self.guard(Acquired::Clean);
        }
        self.lock_cold(deadline)
    }

    #[cold]
    #[inline(never)]
    fn lock_cold(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        // SAFETY: as in `try_lock`.
        self.guard(unsafe { self.cell.raw.lock_cold(deadline) }?)
    }

    /// Whether somebody holds the lock at this moment.
    ///
    /// Python: `Lock.locked()`.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.cell.raw.is_locked()
    }

    /// Whether both are handles to the same lock.
    pub fn same(&self, other: &Mutex<T>) -> bool {
        self.cell.same(&other.cell)
    }

    /// `raw` is locked by this thread.
    #[inline]
    fn guard(&self, acquired: Acquired) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.cell.give_only();
        let guard = MutexGuard { mutex: self, not_send: PhantomData };
        match acquired {
            Acquired::Clean => Ok(guard),
            Acquired::OwnerDied => Err(LockError::OwnerDied(guard)),
        }
    }
}

impl<T: Shareable> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("raw", &self.cell.raw).finish_non_exhaustive()
    }
}

/// The right to a [`Mutex`]'s data; dropping it unlocks. It stays in its thread, which is the
/// holder in the kernel's eyes.
///
/// In a forked child the copy of a guard unlocks nothing.
///
/// ```compile_fail
/// let mutex = mp_sync::Mutex::new(0_u32).unwrap();
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T: Shareable> {
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` and nothing else, and T: Sync.
unsafe impl<T: Shareable> Sync for MutexGuard<'_, T> {}

impl<'a, T: Shareable> sealed::WaitGuard for MutexGuard<'a, T> {
    type Released = &'a Mutex<T>;

    fn release(self) -> Self::Released {
        self.mutex
    }

    fn lock_again(mutex: Self::Released) -> Result<Self, LockError<Self>> {
        mutex.lock_until(None)
    }
}

impl<T: Shareable> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: INVARIANT (locked): this thread holds `raw`; `&mut` needs the guard mutably.
        unsafe { &*self.mutex.cell.data.get() }
    }
}

impl<T: Shareable> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: INVARIANT (locked): this thread holds `raw`, and has one guard of it.
        unsafe { &mut *self.mutex.cell.data.get() }
    }
}

impl<T: Shareable> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.cell.take_only();
        self.mutex.cell.raw.unlock();
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
