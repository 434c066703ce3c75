//! A handle to a lock in shared memory that knows of the guards it has given out.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use mp_shm::{Place, Placed};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// A [`Placed`] whose memory stays mapped for ever if a guard was forgotten.
///
/// A held lock is linked into its thread's robust list, so its memory must not be unmapped. A
/// guard borrows the handle, so the handle outlives it; only `mem::forget` of a guard gets around
/// that. Such a guard is still counted here when the handle is dropped.
pub(crate) struct Handle<T: Place> {
    placed: Placed<T>,
    /// How many guards of this handle have not been dropped. Relaxed: a guard's last access and
    /// the drop of the handle that it borrows are ordered by the borrow.
    out: AtomicU32,
}

impl<T: Place> Handle<T> {
    pub(crate) fn zeroed() -> Result<Handle<T>, Error> {
        Ok(Handle::from(Placed::zeroed()?))
    }

    /// The one guard that there can be has been made.
    #[inline]
    pub(crate) fn give_only(&self) {
        self.out.store(1, Ordering::Relaxed);
    }

    /// The one guard that there can be is being dropped.
    #[inline]
    pub(crate) fn take_only(&self) {
        self.out.store(0, Ordering::Relaxed);
    }

    /// One of several guards has been made.
    #[inline]
    pub(crate) fn give(&self) {
        self.out.fetch_add(1, Ordering::Relaxed);
    }

    /// One of several guards is being dropped.
    #[inline]
    pub(crate) fn take(&self) {
        self.out.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn same(&self, other: &Handle<T>) -> bool {
        self.placed.same(&other.placed)
    }
}

impl<T: Place> Drop for Handle<T> {
    fn drop(&mut self) {
        if *self.out.get_mut() > 0 {
            std::mem::forget(self.placed.clone());
        }
    }
}

impl<T: Place> From<Placed<T>> for Handle<T> {
    fn from(placed: Placed<T>) -> Handle<T> {
        Handle { placed, out: AtomicU32::new(0) }
    }
}

impl<T: Place> Deref for Handle<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.placed
    }
}

impl<T: Place> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        Handle::from(self.placed.clone())
    }
}

impl<T: Place + fmt::Debug> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Place> Serialize for Handle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.placed.serialize(serializer)
    }
}

impl<'de, T: Place> Deserialize<'de> for Handle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle<T>, D::Error> {
        Placed::deserialize(deserializer).map(Handle::from)
    }
}
