//! `Array`: a managed sequence whose length never changes.

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, SequenceOp};
use crate::proxy::proxy;
use crate::scope::pack_all;
use crate::sequence::{self, bounds};

/// A sequence of a fixed length that lives in a manager's server.
///
/// If the values are plain numbers and all processes are on one machine, an `mp_shm::Array` does
/// the same without a server.
///
/// Python: `SyncManager.Array(typecode, sequence)`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// # use mp_manager::Manager;
/// # fn main() -> Result<(), mp_manager::Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let array = manager.array([1.5, 2.5, 3.5])?;
/// array.write(1, &[0.0, 0.5])?;
/// array.update_in(0, |x| x * 2.0)?;
/// assert_eq!(array.to_vec()?, [3.0, 0.0, 0.5]);
/// # Ok(())
/// # }
/// ```
pub struct Array<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(Array<T>, Array);

impl<T: Serialize + DeserializeOwned> Array<T> {
    /// How many values there are.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], as for every method.
    pub fn len(&self) -> Result<usize, Error> {
        self.handle.count(Op::Sequence(SequenceOp::Len))
    }

    /// Whether there is no value.
    ///
    /// # Errors
    ///
    /// As [`len`](Array::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// A copy of the value at `index`.
    ///
    /// # Errors
    ///
    /// As [`len`](Array::len); [`Error::Decode`].
    pub fn get(&self, index: usize) -> Result<Option<T>, Error> {
        sequence::value(&self.handle, SequenceOp::Get(index as u64))
    }

    /// Puts `value` in the place of what is at `index`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], [`Error::Encode`]; as [`len`](Array::len).
    pub fn set(&self, index: usize, value: &T) -> Result<(), Error> {
        sequence::set(&self.handle, index, value)
    }

    /// Puts `value` in the place of what is at `index`, and returns that.
    ///
    /// # Errors
    ///
    /// As [`set`](Array::set).
    pub fn replace(&self, index: usize, value: &T) -> Result<T, Error> {
        sequence::replace(&self.handle, index, value)
    }

    /// Copies of the values in a range. Python: `a[i:j]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`]; as [`get`](Array::get).
    pub fn get_range(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let (start, end) = bounds(&range);
        sequence::values(&self.handle, SequenceOp::Range { start, end })
    }

    /// Writes `values` over what is there from `start` on, in one atomic step.
    /// Python: `a[i:j] = values`.
    ///
    /// # Errors
    ///
    /// As [`set`](Array::set).
    pub fn write(&self, start: usize, values: &[T]) -> Result<(), Error> {
        let values = pack_all(self.handle.session(), values)?;
        self.handle.unit(Op::Sequence(SequenceOp::Write { start: start as u64, values }))
    }

    /// Changes the value at `index` in one atomic step, and returns what it is then. `change` is
    /// called again if another client was faster.
    ///
    /// # Errors
    ///
    /// As [`set`](Array::set).
    pub fn update_in(&self, index: usize, change: impl FnMut(T) -> T) -> Result<T, Error> {
        sequence::update_in(&self.handle, index, change)
    }

    /// Copies of all values as they are at one moment.
    ///
    /// # Errors
    ///
    /// As [`get`](Array::get).
    pub fn to_vec(&self) -> Result<Vec<T>, Error> {
        self.get_range(..)
    }

    /// Goes through copies of all values as they are at this moment.
    ///
    /// # Errors
    ///
    /// As [`get`](Array::get).
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, Error> {
        Ok(self.to_vec()?.into_iter())
    }
}
