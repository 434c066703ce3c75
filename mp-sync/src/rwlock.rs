//! Many readers or one writer, around data.
#![expect(unsafe_code, reason = "gives out references to data in shared memory under the lock")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use mp_shm::Place;
use serde::{Deserialize, Serialize};

use crate::handle::Handle;
use crate::raw::{RawRwLock, Read};
use crate::{Deadline, Error, LockError, Shareable};

/// How many readers find a slot; one more reads alone.
const SLOTS: usize = 32;

/// What lies in shared memory.
///
/// ```text
///  0                    1592 (up to the alignment of T)
///  | RawRwLock          | T                            |
/// ```
#[repr(C)]
struct Cell<T> {
    raw: RawRwLock<SLOTS>,
    // INVARIANT (locked): written only by the thread that has `raw` for writing, and read by those
    // that have it for reading, in whatever process, or before the cell has been shared.
    data: UnsafeCell<T>,
}

const _: () = assert!(size_of::<Cell<u64>>() == 1600 && align_of::<Cell<u64>>() == 8);

// SAFETY: INVARIANT (locked): a writer is alone, and T is Send and Sync.
unsafe impl<T: Shareable> Sync for Cell<T> {}
// SAFETY: repr(C); `raw` is made of `RawMutex`es and atomics, all zero is free; `data` is in an
// UnsafeCell reached under the lock, and any bytes are a T. Alignment: checked in `RwLock::new`.
unsafe impl<T: Shareable> Place for Cell<T> {}

/// A lock for many readers or one writer, that holds its data.
///
/// A writer that waits keeps further readers out, so writers do not starve. A thread that reads
/// must not begin to read again: if a writer came in between, both would wait for ever.
///
/// 32 threads can read at the same time beside each other; the 33rd takes the writer's place for
/// its read, and readers after it wait until it is done.
///
/// A reader's death is no event. When a writer dies, all readers and the next writer get
/// [`LockError::OwnerDied`]; that writer has the chance to repair, and once it drops its guard all
/// is well.
///
/// # Examples
///
/// ```
/// use mp_sync::{LockError, RwLock};
///
/// let limits = RwLock::new([10_u32, 20])?;
/// {
///     let one = limits.read().or_else(LockError::recover)?;
///     let other = limits.clone();
///     std::thread::spawn(move || assert_eq!(other.read().unwrap()[1], 20)).join().unwrap();
///     assert_eq!(one[0], 10);
/// }
/// limits.write().or_else(LockError::recover)?[0] = 11;
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct RwLock<T: Shareable> {
    cell: Handle<Cell<T>>,
}

/// A guard, or why there is none.
type Locked<G> = Result<G, LockError<G>>;

impl<T: Shareable> RwLock<T> {
    /// Makes a free lock around `value`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out.
    pub fn new(value: T) -> Result<RwLock<T>, Error> {
        const { assert!(align_of::<T>() <= 64, "shared memory is aligned to 64 bytes") };
        let cell = Handle::<Cell<T>>::zeroed()?;
        // SAFETY: INVARIANT (locked): nobody else has the cell yet.
        unsafe { cell.data.get().write(value) };
        Ok(RwLock { cell })
    }

    /// Locks for reading.
    ///
    /// # Blocking
    ///
    /// Waits for a writer, at work or waiting, to drop its guard. If the writer dies: *reports*
    /// with [`LockError::OwnerDied`] and the guard, until another writer has come and gone.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] carries the guard; [`LockError::Failed`] does not:
    /// [`Error::WouldDeadlock`] when this thread is the writer, [`Error::TooManyHeld`].
    pub fn read(&self) -> Locked<RwLockReadGuard<'_, T>> {
        self.read_until(None)
    }

    /// Locks for reading if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read), and [`Error::WouldBlock`].
    pub fn try_read(&self) -> Locked<RwLockReadGuard<'_, T>> {
        // SAFETY: the guard keeps this handle, and with it the mapping; if it is forgotten, the
        // handle keeps the mapping for ever (Handle).
        match unsafe { self.cell.raw.try_read() }? {
            Some(read) => self.read_guard(read),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Locks for reading, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`read`](RwLock::read), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read), and [`Error::TimedOut`].
    pub fn read_timeout(&self, timeout: Duration) -> Locked<RwLockReadGuard<'_, T>> {
        self.read_until(Some(Deadline::after(timeout)))
    }

    /// Locks for writing.
    ///
    /// # Blocking
    ///
    /// Waits for the writer and for all readers to drop their guards. If the writer dies:
    /// *reports*, exactly one writer gets [`LockError::OwnerDied`] with the guard. If a reader
    /// dies: *recovers*. Paused holders keep what they hold.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] carries the guard; [`LockError::Failed`] does not:
    /// [`Error::WouldDeadlock`] when this thread reads or writes already,
    /// [`Error::TooManyHeld`].
    pub fn write(&self) -> Locked<RwLockWriteGuard<'_, T>> {
        self.write_until(None)
    }

    /// Locks for writing if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`write`](RwLock::write), and [`Error::WouldBlock`].
    pub fn try_write(&self) -> Locked<RwLockWriteGuard<'_, T>> {
        // SAFETY: as in `try_read`.
        match unsafe { self.cell.raw.try_write() }? {
            Some(died) => self.write_guard(died),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Locks for writing, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`write`](RwLock::write), until `timeout` has passed on the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`write`](RwLock::write), and [`Error::TimedOut`].
    pub fn write_timeout(&self, timeout: Duration) -> Locked<RwLockWriteGuard<'_, T>> {
        self.write_until(Some(Deadline::after(timeout)))
    }

    /// Whether somebody reads or writes at this moment.
    pub fn is_locked(&self) -> bool {
        self.cell.raw.is_locked()
    }

    /// Whether both are handles to the same lock.
    pub fn same(&self, other: &RwLock<T>) -> bool {
        self.cell.same(&other.cell)
    }

    fn read_until(&self, deadline: Option<Deadline>) -> Locked<RwLockReadGuard<'_, T>> {
        // SAFETY: as in `try_read`.
        self.read_guard(unsafe { self.cell.raw.read_until(deadline) }?)
    }

    fn write_until(&self, deadline: Option<Deadline>) -> Locked<RwLockWriteGuard<'_, T>> {
        // SAFETY: as in `try_read`.
        self.write_guard(unsafe { self.cell.raw.write_until(deadline) }?)
    }

    fn read_guard(&self, (read, died): (Read, bool)) -> Locked<RwLockReadGuard<'_, T>> {
        self.cell.give();
        let guard = RwLockReadGuard { lock: self, read, not_send: PhantomData };
        if died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    fn write_guard(&self, died: bool) -> Locked<RwLockWriteGuard<'_, T>> {
        self.cell.give();
        let guard = RwLockWriteGuard { lock: self, not_send: PhantomData };
        if died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }
}

impl<T: Shareable> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("writer", self.cell.raw.writer())
            .field("readers", &self.cell.raw.readers())
            .finish_non_exhaustive()
    }
}

/// The right to read a [`RwLock`]'s data; dropping it unlocks. It stays in its thread.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockReadGuard<'a, T: Shareable> {
    lock: &'a RwLock<T>,
    read: Read,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` and nothing else, and T: Sync.
unsafe impl<T: Shareable> Sync for RwLockReadGuard<'_, T> {}

impl<T: Shareable> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: INVARIANT (locked): this thread has `raw` for reading, so nobody writes.
        unsafe { &*self.lock.cell.data.get() }
    }
}

impl<T: Shareable> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.cell.take();
        self.lock.cell.raw.unlock_read(self.read);
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to write a [`RwLock`]'s data; dropping it unlocks. It stays in its thread.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: Shareable> {
    lock: &'a RwLock<T>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` and nothing else, and T: Sync.
unsafe impl<T: Shareable> Sync for RwLockWriteGuard<'_, T> {}

impl<T: Shareable> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: INVARIANT (locked): this thread has `raw` for writing.
        unsafe { &*self.lock.cell.data.get() }
    }
}

impl<T: Shareable> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: INVARIANT (locked): this thread has `raw` for writing, and one guard of it.
        unsafe { &mut *self.lock.cell.data.get() }
    }
}

impl<T: Shareable> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.cell.take();
        self.lock.cell.raw.unlock_write();
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
