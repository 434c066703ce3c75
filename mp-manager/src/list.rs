//! `List`: a managed sequence.

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, SequenceOp};
use crate::protocol::Reply;
use crate::proxy::proxy;
use crate::scope::{pack, pack_all, unpack_all};
use crate::sequence::{self, bounds, value, values};
use crate::{Error, bulk};

/// A sequence that lives in a manager's server.
///
/// Each method is one round trip and one atomic step; what a method hands out is a copy. To
/// change a value where it is, use [`update_in`](List::update_in), or make the value a proxy
/// itself: then it stays live and shared.
///
/// Python: `SyncManager.list()`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// mp_process::init();
/// let manager = Manager::start()?;
/// let list = manager.list::<u32>()?;
/// list.extend(0..10)?;
/// list.reverse()?;
/// assert_eq!(list.get_range(..3)?, [9, 8, 7]);
/// list.retain(|n| n % 2 == 1)?;
/// list.sort()?;
/// assert_eq!(list.to_vec()?, [1, 3, 5, 7, 9]);
/// assert_eq!(list.get(5)?, None);
/// assert!(matches!(list.set(5, &0), Err(Error::OutOfRange { index: 5, len: 5 })));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ListProxy")]
pub struct List<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(List<T>, List);

impl<T: Serialize + DeserializeOwned> List<T> {
    /// How many values there are. Python: `len(l)`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]; [`Error::Gone`] for a proxy that outlived its object, which only
    /// a process forked by other means than mp-process can have. This goes for every method.
    pub fn len(&self) -> Result<usize, Error> {
        self.handle.count(Op::Sequence(SequenceOp::Len))
    }

    /// Whether there is no value.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// A copy of the value at `index`. Python: `l[index]`.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len); [`Error::Decode`].
    pub fn get(&self, index: usize) -> Result<Option<T>, Error> {
        value(&self.handle, SequenceOp::Get(index as u64))
    }

    /// Puts `value` in the place of what is at `index`. Python: `l[index] = value`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], [`Error::Encode`]; [`Error::Proxy`] for a proxy of another manager;
    /// [`Error::TooBig`]; and as [`len`](List::len).
    pub fn set(&self, index: usize, value: &T) -> Result<(), Error> {
        sequence::set(&self.handle, index, value)
    }

    /// Puts `value` in the place of what is at `index`, and returns that.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn replace(&self, index: usize, value: &T) -> Result<T, Error> {
        sequence::replace(&self.handle, index, value)
    }

    /// Exchanges two values.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn swap(&self, a: usize, b: usize) -> Result<(), Error> {
        self.handle.unit(Op::Sequence(SequenceOp::Swap(a as u64, b as u64)))
    }

    /// Adds a value at the end. Python: `l.append(value)`.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    #[doc(alias = "append")]
    pub fn push(&self, value: &T) -> Result<(), Error> {
        let value = pack(self.handle.session(), value)?;
        self.handle.unit(Op::Sequence(SequenceOp::Push(value)))
    }

    /// Adds all of `values` at the end.
    ///
    /// Up to a quarter of a mebibyte of values is one request and one atomic step; more than that is several,
    /// which are all sent before the first answer is waited for.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<(), Error> {
        // They are kept until all is done: proxies among them hold what they stand for.
        let values: Vec<T> = values.into_iter().collect();
        let op = |values| Op::Sequence(SequenceOp::Extend(values));
        let ops = bulk::sequence(self.handle.session(), &values, op);
        self.handle.call_all(ops).map(drop)
    }

    /// Adds a value before what is at `index`, or at the end.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn insert(&self, index: usize, value: &T) -> Result<(), Error> {
        let value = pack(self.handle.session(), value)?;
        self.handle.unit(Op::Sequence(SequenceOp::Insert(index as u64, value)))
    }

    /// Takes the last value out. Python: `l.pop()`.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn pop(&self) -> Result<Option<T>, Error> {
        value(&self.handle, SequenceOp::Pop)
    }

    /// Takes the value at `index` out. Python: `l.pop(index)`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`]; as [`get`](List::get).
    pub fn remove(&self, index: usize) -> Result<T, Error> {
        value(&self.handle, SequenceOp::Remove(index as u64))?.ok_or_else(Error::unexpected)
    }

    /// Copies of the values in a range. Python: `l[a:b]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`]; as [`get`](List::get).
    pub fn get_range(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let (start, end) = bounds(&range);
        values(&self.handle, SequenceOp::Range { start, end })
    }

    /// Puts `with` in the place of a range, and returns what was there. Python: `l[a:b] = with`.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn splice(
        &self,
        range: impl RangeBounds<usize>,
        with: impl IntoIterator<Item = T>,
    ) -> Result<Vec<T>, Error> {
        let (start, end) = bounds(&range);
        let with: Vec<T> = with.into_iter().collect();
        let with = pack_all(self.handle.session(), &with)?;
        values(&self.handle, SequenceOp::Splice { start, end, values: with })
    }

    /// Takes a range out. Python: `del l[a:b]`.
    ///
    /// # Errors
    ///
    /// As [`get_range`](List::get_range).
    pub fn drain(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        self.splice(range, [])
    }

    /// Takes out everything from `len` on.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn truncate(&self, len: usize) -> Result<(), Error> {
        self.arrange(|values| (0..values.len().min(len)).collect())
    }

    /// Takes everything out.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.unit(Op::Sequence(SequenceOp::Clear))
    }

    /// Turns the order round.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn reverse(&self) -> Result<(), Error> {
        self.handle.unit(Op::Sequence(SequenceOp::Reverse))
    }

    /// Sorts the values; equal ones keep their order.
    ///
    /// The values are compared in this process, so they travel here once; what travels back is
    /// the order. If another client changes the list meanwhile, it begins again.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn sort(&self) -> Result<(), Error>
    where
        T: Ord,
    {
        self.sort_by(T::cmp)
    }

    /// Sorts the values by what `compare` says. As [`sort`](List::sort).
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn sort_by(
        &self,
        mut compare: impl FnMut(&T, &T) -> std::cmp::Ordering,
    ) -> Result<(), Error> {
        self.arrange(|values| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|&a, &b| compare(&values[a], &values[b]));
            order
        })
    }

    /// Sorts the values by what `key` says of each. As [`sort`](List::sort).
    /// Python: `l.sort(key=key)`.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn sort_by_key<K: Ord>(&self, mut key: impl FnMut(&T) -> K) -> Result<(), Error> {
        self.sort_by(|a, b| key(a).cmp(&key(b)))
    }

    /// Takes out what `keep` does not want. As [`sort`](List::sort), `keep` is called here.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<(), Error> {
        self.arrange(|values| (0..values.len()).filter(|&at| keep(&values[at])).collect())
    }

    /// Where the first value equal to this is. Python: `l.index(value)`.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    #[doc(alias = "index")]
    pub fn position(&self, value: &T) -> Result<Option<usize>, Error>
    where
        T: PartialEq,
    {
        Ok(self.to_vec()?.iter().position(|other| other == value))
    }

    /// Whether a value is equal to this. Python: `value in l`.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn contains(&self, value: &T) -> Result<bool, Error>
    where
        T: PartialEq,
    {
        Ok(self.position(value)?.is_some())
    }

    /// Changes the value at `index` in one atomic step, and returns what it is then.
    ///
    /// As with [`Dict::update_in`](crate::Dict::update_in), `change` runs here, and is called
    /// again if another client was faster.
    ///
    /// # Errors
    ///
    /// As [`set`](List::set).
    pub fn update_in(&self, index: usize, change: impl FnMut(T) -> T) -> Result<T, Error> {
        sequence::update_in(&self.handle, index, change)
    }

    /// Copies of all values as they are at one moment.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    #[doc(alias = "copy")]
    pub fn to_vec(&self) -> Result<Vec<T>, Error> {
        self.get_range(..)
    }

    /// Goes through copies of all values as they are at this moment.
    ///
    /// # Errors
    ///
    /// As [`get`](List::get).
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, Error> {
        Ok(self.to_vec()?.into_iter())
    }

    /// Keeps the values whose indices `choose` names, in its order; again, until nobody has
    /// changed the list meanwhile.
    fn arrange(&self, mut choose: impl FnMut(&[T]) -> Vec<usize>) -> Result<(), Error> {
        loop {
            let Reply::Snapshot { version, values } =
                self.handle.call(Op::Sequence(SequenceOp::Snapshot))?
            else {
                return Err(Error::unexpected());
            };
            let values = unpack_all(self.handle.session(), &values)?;
            let order = choose(&values).into_iter().map(|index| index as u64).collect();
            if self.handle.flag(Op::Sequence(SequenceOp::Arrange { version, order }))? {
                return Ok(());
            }
        }
    }
}
