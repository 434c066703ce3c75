use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Atomic, Element, Error, Placed, arena};

/// A number that several processes read and change, each operation atomic and without a lock.
///
/// A clone, and whatever arrives where a `Value` was sent, is the same number. The operations are
/// those of [`Atomic`], to which it dereferences. Many values share one region, so ten thousand
/// of them take a few descriptors.
///
/// Python: `multiprocessing.Value(typecode, init)`. What Python guards by the value's lock, a
/// value here does in one step with [`fetch_add`](Atomic::fetch_add) or
/// [`update`](Atomic::update). Several numbers that change together want a mutex around them.
///
/// # Examples
///
/// ```
/// use mp_shm::Value;
///
/// let balance = Value::new(100_u32)?;
/// let same = balance.clone();
/// balance.fetch_add(20);
/// assert_eq!(same.load(), 120);
///
/// // Never below zero, whoever else withdraws at this moment.
/// assert_eq!(same.try_update(|n| n.checked_sub(200)), Err(120));
/// # Ok::<(), mp_shm::Error>(())
/// ```
///
/// There are none of 128 bits, for want of a lock-free atomic ([`Element`]):
///
/// ```compile_fail,E0277
/// let wide = mp_shm::Value::new(0_u128);
/// ```
///
/// A reference into shared memory does not outlive the handle:
///
/// ```compile_fail,E0597
/// let number = {
///     let value = mp_shm::Value::new(1_u8).unwrap();
///     &*value
/// };
/// number.load();
/// ```
#[doc(alias = "RawValue")]
pub struct Value<T: Element> {
    number: Placed<Atomic<T>>,
}

impl<T: Element> Value<T> {
    /// Makes a number that begins as `value`.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when memory or descriptors run out.
    pub fn new(value: T) -> Result<Value<T>, Error> {
        Value::within(value, size_of::<T::Word>())
    }

    /// Makes a number with a cache line (64 bytes) to itself, for one that a process changes
    /// all the time while others change its neighbours.
    ///
    /// # Errors
    ///
    /// As [`new`](Value::new).
    pub fn padded(value: T) -> Result<Value<T>, Error> {
        Value::within(value, arena::LINE)
    }

    fn within(value: T, room: usize) -> Result<Value<T>, Error> {
        let (region, offset) = arena::take(room, room)?;
        let number: Placed<Atomic<T>> = region.placed(offset)?;
        number.store(value);
        Ok(Value { number })
    }

    /// Whether both are the same number, not merely equal ones.
    pub fn same(&self, other: &Value<T>) -> bool {
        self.number.same(&other.number)
    }
}

impl<T: Element> Deref for Value<T> {
    type Target = Atomic<T>;

    #[inline]
    fn deref(&self) -> &Atomic<T> {
        &self.number
    }
}

impl<T: Element> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value { number: self.number.clone() }
    }
}

impl<T: Element> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.load()).finish()
    }
}

impl<T: Element> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.number.serialize(serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        Ok(Value { number: Placed::deserialize(deserializer)? })
    }
}
