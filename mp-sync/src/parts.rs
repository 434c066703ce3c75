//! A large array, cut into parts that are claimed one by one.
#![expect(unsafe_code, reason = "gives out slices of shared memory under a lock each")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mp_shm::{Kind, Region, type_hash};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::raw::{RawRwLock, Read};
use crate::{Deadline, Errno, Error, LockError, Shareable};

/// The lock of one part.
type PartLock = RawRwLock<16>;

const _: () = assert!(size_of::<PartLock>() == 824 && align_of::<PartLock>() == 8);

/// A large array in shared memory, cut into parts; who claims a part has it for itself, as a
/// plain slice.
///
/// Reading and writing a slice is as fast as memory, since nothing stands between: each part has
/// a lock of its own, which outlives its holder. The memory is there once, however many processes
/// map it.
///
/// ```text
///  payload: 0                 parts x 824, up to 64
///           | one lock a part | elements                                        |
/// ```
///
/// # Examples
///
/// ```
/// use mp_sync::{Error, LockError, Parts};
///
/// let image = Parts::<f32>::new(1_000_000, 10)?;
/// let mut third = image.claim(3).or_else(LockError::recover)?;
/// third.fill(0.5);
/// let same = image.clone();
/// assert!(matches!(same.try_read(3), Err(LockError::Failed(Error::WouldBlock))));
/// drop(third);
/// assert_eq!(same.read(3).or_else(LockError::recover)?[99_999], 0.5);
/// # Ok::<(), Error>(())
/// ```
///
/// A slice does not outlive its guard:
///
/// ```compile_fail,E0597
/// let parts = mp_sync::Parts::<u8>::new(10, 2).unwrap();
/// let slice = {
///     let mut guard = parts.claim(0).unwrap();
///     &mut guard[..]
/// };
/// slice[0] = 1;
/// ```
pub struct Parts<T: Shareable> {
    // INVARIANT (laid out): the payload holds `parts` locks and then `len` elements, as `layout`
    // says; checked when it is made and when it is attached.
    region: Region,
    parts: usize,
    len: usize,
    /// How many guards have not been dropped: as in `Handle`.
    out: AtomicU32,
    element: PhantomData<fn() -> T>,
}

// INVARIANT (claimed): the elements of a part are written only by the thread that holds its lock
// for writing, and read only by those that hold it for reading.

/// A guard, or why there is none.
type Locked<G> = Result<G, LockError<G>>;

/// Where the elements begin, and how long the payload is.
fn layout<T>(len: usize, parts: usize) -> Option<(usize, usize)> {
    let start = parts.checked_mul(size_of::<PartLock>())?.checked_next_multiple_of(64)?;
    Some((start, start.checked_add(len.checked_mul(size_of::<T>())?)?))
}

impl<T: Shareable> Parts<T> {
    /// Makes an array of `len` elements, all zero bytes, in `parts` parts of the same length (or
    /// nearly so).
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when shared memory runs out, or `parts` is 0.
    pub fn new(len: usize, parts: usize) -> Result<Parts<T>, Error> {
        const { assert!(align_of::<T>() <= 64, "shared memory is aligned to 64 bytes") };
        let too_big = Error::Os { op: "laying out parts", errno: Errno::INVAL };
        let (_, size) = layout::<T>(len, parts).filter(|_| parts > 0).ok_or(too_big)?;
        let region = Region::create(Kind::PARTS, size, type_hash::<T>())?;
        Ok(Parts::at(region, len, parts))
    }

    fn at(region: Region, len: usize, parts: usize) -> Parts<T> {
        Parts { region, parts, len, out: AtomicU32::new(0), element: PhantomData }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Which elements belong to a part.
    ///
    /// # Panics
    ///
    /// When there is no such part; so do the calls below.
    pub fn range(&self, part: usize) -> Range<usize> {
        assert!(part < self.parts, "part {part} of {}", self.parts);
        let at = |part: usize| (part as u128 * self.len as u128 / self.parts as u128) as usize;
        at(part)..at(part + 1)
    }

    /// Claims a part for writing.
    ///
    /// # Blocking
    ///
    /// As [`RwLock::write`](crate::RwLock::write).
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`](crate::RwLock::write).
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn claim(&self, part: usize) -> Locked<PartGuard<'_, T>> {
        self.claim_until(part, None)
    }

    /// Claims a part for writing if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`RwLock::try_write`](crate::RwLock::try_write).
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn try_claim(&self, part: usize) -> Locked<PartGuard<'_, T>> {
        // SAFETY: the guard keeps this handle, and with it the mapping; if it is forgotten, the
        // mapping stays for ever (`drop` below).
        match unsafe { self.lock(part).try_write() }? {
            Some(died) => self.write_guard(part, died),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Claims a part for writing, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`claim`](Parts::claim), until `timeout` has passed.
    ///
    /// # Errors
    ///
    /// As [`claim`](Parts::claim), and [`Error::TimedOut`].
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn claim_timeout(&self, part: usize, timeout: Duration) -> Locked<PartGuard<'_, T>> {
        self.claim_until(part, Some(Deadline::after(timeout)))
    }

    /// Claims a part for reading, which several can do at the same time.
    ///
    /// # Blocking
    ///
    /// As [`RwLock::read`](crate::RwLock::read).
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`](crate::RwLock::read).
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn read(&self, part: usize) -> Locked<PartReadGuard<'_, T>> {
        self.read_until(part, None)
    }

    /// Claims a part for reading if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`RwLock::try_read`](crate::RwLock::try_read).
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn try_read(&self, part: usize) -> Locked<PartReadGuard<'_, T>> {
        // SAFETY: as in `try_claim`.
        match unsafe { self.lock(part).try_read() }? {
            Some(read) => self.read_guard(part, read),
            None => Err(LockError::Failed(Error::WouldBlock)),
        }
    }

    /// Claims a part for reading, unless that takes longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`read`](Parts::read), until `timeout` has passed.
    ///
    /// # Errors
    ///
    /// As [`read`](Parts::read), and [`Error::TimedOut`].
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn read_timeout(&self, part: usize, timeout: Duration) -> Locked<PartReadGuard<'_, T>> {
        self.read_until(part, Some(Deadline::after(timeout)))
    }

    /// Whether both are handles to the same array.
    pub fn same(&self, other: &Parts<T>) -> bool {
        self.region.same(&other.region)
    }

    fn claim_until(&self, part: usize, deadline: Option<Deadline>) -> Locked<PartGuard<'_, T>> {
        // SAFETY: as in `try_claim`.
        let died = unsafe { self.lock(part).write_until(deadline) }?;
        self.write_guard(part, died)
    }

    fn read_until(&self, part: usize, deadline: Option<Deadline>) -> Locked<PartReadGuard<'_, T>> {
        // SAFETY: as in `try_claim`.
        let read = unsafe { self.lock(part).read_until(deadline) }?;
        self.read_guard(part, read)
    }

    fn write_guard(&self, part: usize, died: bool) -> Locked<PartGuard<'_, T>> {
        self.out.fetch_add(1, Ordering::Relaxed);
        let guard = PartGuard { array: self, part, not_send: PhantomData };
        if died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    fn read_guard(&self, part: usize, (read, died): (Read, bool)) -> Locked<PartReadGuard<'_, T>> {
        self.out.fetch_add(1, Ordering::Relaxed);
        let guard = PartReadGuard { array: self, part, read, not_send: PhantomData };
        if died { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    fn lock(&self, part: usize) -> &PartLock {
        assert!(part < self.parts, "part {part} of {}", self.parts);
        let locks = self.region.payload().cast::<PartLock>();
        // SAFETY: INVARIANT (laid out): `parts` locks lie there, and `part` is one of them.
        let lock = unsafe { locks.add(part) };
        // SAFETY: as above; a lock is made of atomics, and all zero bytes are a free one.
        unsafe { &*lock }
    }

    /// The elements of a part.
    fn elements(&self, part: usize) -> *mut [T] {
        let range = self.range(part);
        let (start, _) = layout::<T>(self.len, self.parts).unwrap_or((0, 0));
        // SAFETY: INVARIANT (laid out): the elements begin there, within the payload.
        let first = unsafe { self.region.payload().add(start) }.cast::<T>();
        // SAFETY: as above, and `range` lies within `len`.
        let first = unsafe { first.add(range.start) };
        std::ptr::slice_from_raw_parts_mut(first, range.len())
    }
}

impl<T: Shareable> Drop for Parts<T> {
    fn drop(&mut self) {
        // A held lock must stay mapped; only a forgotten guard is not dropped before its array.
        if *self.out.get_mut() > 0 {
            std::mem::forget(self.region.clone());
        }
    }
}

impl<T: Shareable> Clone for Parts<T> {
    fn clone(&self) -> Parts<T> {
        Parts::at(self.region.clone(), self.len, self.parts)
    }
}

impl<T: Shareable> fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("len", &self.len).field("parts", &self.parts).finish()
    }
}

impl<T: Shareable> Serialize for Parts<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.region, self.len as u64, self.parts as u64).serialize(serializer)
    }
}

impl<'de, T: Shareable> Deserialize<'de> for Parts<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parts<T>, D::Error> {
        let (region, len, parts) = <(Region, u64, u64)>::deserialize(deserializer)?;
        let region = region.expect(Kind::PARTS, type_hash::<T>()).map_err(de::Error::custom)?;
        let (len, parts) = (len as usize, parts as usize);
        match layout::<T>(len, parts) {
            Some((_, size)) if size == region.len() && parts > 0 => {
                Ok(Parts::at(region, len, parts))
            }
            _ => Err(de::Error::custom("the parts do not fill their region")),
        }
    }
}

/// The right to write a part; dropping it gives the part back. It stays in its thread.
#[must_use = "the part is given back when the guard is dropped"]
pub struct PartGuard<'a, T: Shareable> {
    array: &'a Parts<T>,
    part: usize,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&[T]` and nothing else, and T: Sync.
unsafe impl<T: Shareable> Sync for PartGuard<'_, T> {}

impl<T: Shareable> Deref for PartGuard<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: INVARIANT (claimed): this thread has the part for writing.
        unsafe { &*self.array.elements(self.part) }
    }
}

impl<T: Shareable> DerefMut for PartGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: INVARIANT (claimed): this thread has the part for writing, and one guard of it.
        unsafe { &mut *self.array.elements(self.part) }
    }
}

impl<T: Shareable> Drop for PartGuard<'_, T> {
    fn drop(&mut self) {
        self.array.out.fetch_sub(1, Ordering::Relaxed);
        self.array.lock(self.part).unlock_write();
    }
}

impl<T: Shareable> fmt::Debug for PartGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartGuard").field("range", &self.array.range(self.part)).finish()
    }
}

/// The right to read a part; dropping it gives the part back. It stays in its thread.
#[must_use = "the part is given back when the guard is dropped"]
pub struct PartReadGuard<'a, T: Shareable> {
    array: &'a Parts<T>,
    part: usize,
    read: Read,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&[T]` and nothing else, and T: Sync.
unsafe impl<T: Shareable> Sync for PartReadGuard<'_, T> {}

impl<T: Shareable> Deref for PartReadGuard<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: INVARIANT (claimed): this thread has the part for reading, so nobody writes.
        unsafe { &*self.array.elements(self.part) }
    }
}

impl<T: Shareable> Drop for PartReadGuard<'_, T> {
    fn drop(&mut self) {
        self.array.out.fetch_sub(1, Ordering::Relaxed);
        self.array.lock(self.part).unlock_read(self.read);
    }
}

impl<T: Shareable> fmt::Debug for PartReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartReadGuard").field("range", &self.array.range(self.part)).finish()
    }
}
