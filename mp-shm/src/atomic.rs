//! One number that several processes see.
#![expect(unsafe_code, reason = "promises that a number's word may lie in shared memory")]

use std::fmt;

use crate::element::fetch;
use crate::{Bits, Element, Number, Place, Words};

/// A number in shared memory, of which every operation is atomic.
///
/// It is reached through a [`Value`](crate::Value) or as an element of an
/// [`Array`](crate::Array). No operation waits for anybody: whoever dies, at whatever
/// instruction, has done it or has not.
///
/// Who loads what another process has stored also sees all that the other wrote before the store
/// (loads acquire, stores release). Integer arithmetic wraps around, as std's atomics do.
#[repr(transparent)]
pub struct Atomic<T: Element> {
    word: T::Word,
}

// SAFETY: `repr(transparent)` around a `Place`.
unsafe impl<T: Element> Place for Atomic<T> {}
// SAFETY: as the word; a `bool` is read as "not zero", a float takes any bits.
unsafe impl<T: Element> Words for Atomic<T> {}

impl<T: Element> Atomic<T> {
    /// The number as it is.
    #[doc(alias = "value")]
    #[inline]
    pub fn load(&self) -> T {
        T::load(&self.word)
    }

    /// Replaces the number.
    #[inline]
    pub fn store(&self, value: T) {
        value.store(&self.word);
    }

    /// Replaces the number and returns what it was.
    #[inline]
    pub fn swap(&self, value: T) -> T {
        value.swap(&self.word)
    }

    /// Replaces the number if it is `current`, and returns what it was: `Ok` if it was replaced.
    ///
    /// Floats are compared by their bits: a NaN equals itself, and `0.0` is not `-0.0`.
    ///
    /// # Errors
    ///
    /// The number, when it is not `current`.
    #[inline]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T> {
        T::exchange(&self.word, current, new)
    }

    /// Replaces the number by what `change` makes of it, and returns what it was.
    ///
    /// `change` runs again if another process comes between, so it should have no side effects.
    /// Nobody ever sees a half-done update, and none is lost.
    ///
    /// Python: `with value.get_lock(): value.value = change(value.value)`
    #[doc(alias = "get_lock")]
    #[inline]
    pub fn update(&self, change: impl FnMut(T) -> T) -> T {
        fetch(&self.word, change)
    }

    /// As [`update`](Atomic::update), unless `change` answers `None`.
    ///
    /// # Errors
    ///
    /// The number, when it was left as it is.
    #[inline]
    pub fn try_update(&self, mut change: impl FnMut(T) -> Option<T>) -> Result<T, T> {
        let mut seen = self.load();
        while let Some(new) = change(seen) {
            match self.compare_exchange(seen, new) {
                Ok(previous) => return Ok(previous),
                Err(found) => seen = found,
            }
        }
        Err(seen)
    }
}

impl<T: Number> Atomic<T> {
    /// Adds and returns the number as it was.
    ///
    /// Python: `value.value += n`, which is two operations there and loses counts.
    #[doc(alias = "+=")]
    #[inline]
    pub fn fetch_add(&self, value: T) -> T {
        value.fetch_add(&self.word)
    }

    /// Subtracts and returns the number as it was.
    #[inline]
    pub fn fetch_sub(&self, value: T) -> T {
        value.fetch_sub(&self.word)
    }

    /// Keeps the lesser of both and returns the number as it was.
    #[inline]
    pub fn fetch_min(&self, value: T) -> T {
        value.fetch_min(&self.word)
    }

    /// Keeps the greater of both and returns the number as it was.
    #[inline]
    pub fn fetch_max(&self, value: T) -> T {
        value.fetch_max(&self.word)
    }
}

impl<T: Bits> Atomic<T> {
    /// Keeps the bits that are set in both and returns the number as it was.
    #[inline]
    pub fn fetch_and(&self, value: T) -> T {
        value.fetch_and(&self.word)
    }

    /// Sets the bits that are set in `value` and returns the number as it was.
    #[inline]
    pub fn fetch_or(&self, value: T) -> T {
        value.fetch_or(&self.word)
    }

    /// Flips the bits that are set in `value` and returns the number as it was.
    #[inline]
    pub fn fetch_xor(&self, value: T) -> T {
        value.fetch_xor(&self.word)
    }
}

impl<T: Element> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}
