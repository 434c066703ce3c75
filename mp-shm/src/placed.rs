//! A handle to an object in shared memory.
#![expect(unsafe_code, reason = "turns a checked offset into a reference")]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Place, Region, arena, type_hash};

/// A handle to a `T` that lies in a [`Region`].
///
/// It dereferences to the object, keeps its region mapped, and travels in messages: wherever it
/// arrives it leads to the same object. A clone is another handle to the same object.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use mp_shm::Placed;
///
/// let counter = Placed::<AtomicU32>::zeroed()?;
/// let same = counter.clone();
/// counter.fetch_add(1, Ordering::Relaxed);
/// assert_eq!(same.load(Ordering::Relaxed), 1);
/// # Ok::<(), mp_shm::Error>(())
/// ```
///
/// Only a [`Place`] type may lie there, which plain data, with or without padding, is not:
///
/// ```compile_fail,E0277
/// #[repr(C)]
/// struct Padded { small: u8, large: u64 }
/// let placed = mp_shm::Placed::<Padded>::zeroed();
/// ```
///
/// ```compile_fail,E0277
/// let placed = mp_shm::Placed::<u64>::zeroed();
/// ```
///
/// A reference does not outlive the handle, which keeps the memory mapped:
///
/// ```compile_fail,E0597
/// use std::sync::atomic::{AtomicU32, Ordering};
/// let counter: &AtomicU32 = {
///     let placed = mp_shm::Placed::<AtomicU32>::zeroed().unwrap();
///     &placed
/// };
/// counter.load(Ordering::Relaxed);
/// ```
pub struct Placed<T: Place> {
    // INVARIANT (placed): `object` points at `offset` in the payload of `region`, checked by
    // `Region::placed` to be in bounds and aligned; so it is valid for as long as `region` lives.
    region: Region,
    offset: usize,
    object: NonNull<T>,
}

// SAFETY: `Placed` is a region (Send + Sync) and a pointer to a `T: Place`, which is Send + Sync.
unsafe impl<T: Place> Send for Placed<T> {}
// SAFETY: as above; through `&Placed<T>` one reaches only `&T`, and `T: Sync`.
unsafe impl<T: Place> Sync for Placed<T> {}

impl<T: Place> Placed<T> {
    /// Takes room for a `T`, all zero, in this process's arena.
    ///
    /// Small objects share a region: ten thousand of them cost a few descriptors. The room is
    /// never given out again, so a handle can never lead to somebody else's object; the arena's
    /// 64 KiB go back to the kernel when the last handle to any object in them is gone, in all
    /// processes, however they end.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when memory or descriptors run out.
    pub fn zeroed() -> Result<Placed<T>, Error> {
        arena::place()
    }

    /// `offset` has been checked by `Region::placed`.
    pub(crate) fn at(region: Region, offset: usize) -> Placed<T> {
        // SAFETY: INVARIANT (placed): within the mapping, so the addition stays in bounds.
        let object = unsafe { region.payload().add(offset) };
        // SAFETY: a pointer into a mapping is not null.
        let object = unsafe { NonNull::new_unchecked(object.cast()) };
        Placed { region, offset, object }
    }

    /// Whether both lead to the same object.
    pub fn same(&self, other: &Placed<T>) -> bool {
        self.region.same(&other.region) && self.offset == other.offset
    }
}

impl<T: Place> Deref for Placed<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: INVARIANT (placed), and `T: Place` may be looked at while others write it.
        unsafe { self.object.as_ref() }
    }
}

impl<T: Place> Clone for Placed<T> {
    fn clone(&self) -> Placed<T> {
        Placed { region: self.region.clone(), offset: self.offset, object: self.object }
    }
}

impl<T: Place + fmt::Debug> fmt::Debug for Placed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Place> Serialize for Placed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.region, self.offset as u64, type_hash::<T>()).serialize(serializer)
    }
}

impl<'de, T: Place> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Placed<T>, D::Error> {
        let (Any(region), offset, found) = <(Any, u64, u64)>::deserialize(deserializer)?;
        let expected = type_hash::<T>();
        if found != expected {
            let name = std::any::type_name::<T>();
            return Err(de::Error::custom(Error::Element { name, expected, found }));
        }
        region.placed(offset as usize).map_err(de::Error::custom)
    }
}

/// A region that may be an arena.
pub(crate) struct Any(pub(crate) Region);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Any, D::Error> {
        Region::received(deserializer).map(Any)
    }
}
