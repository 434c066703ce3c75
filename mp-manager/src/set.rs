//! `Set`: a managed set.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Blob, Key, Reply};
use crate::proxy::proxy;
use crate::scope::{pack_plain, unpack_plain};
use crate::{Error, bulk, table};

/// A set that lives in a manager's server, in the order of insertion.
///
/// What is equal is what is encoded as the same bytes; see [`Dict`](crate::Dict). The operations
/// between two sets are those of the standard library's, on copies:
/// `&a.to_set()? & &b.to_set()?`.
///
/// Python: `SyncManager.set()`.
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
/// let seen = manager.set::<String>()?;
/// assert!(seen.insert("a.txt")?);
/// assert!(!seen.insert("a.txt")?, "it was there");
/// assert_eq!(seen.extend(["b.txt", "c.txt"].iter())?, 2);
/// assert_eq!(seen.len()?, 3);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "SetProxy")]
pub struct Set<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(Set<T>, Set);

impl<T: Serialize + DeserializeOwned> Set<T> {
    /// How many values there are.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], as for every method.
    pub fn len(&self) -> Result<usize, Error> {
        self.handle.count(Op::Table(TableOp::Len))
    }

    /// Whether there is no value.
    ///
    /// # Errors
    ///
    /// As [`len`](Set::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// Whether `value` is there. Python: `value in s`.
    ///
    /// # Errors
    ///
    /// As [`len`](Set::len); [`Error::Encode`].
    pub fn contains<Q>(&self, value: &Q) -> Result<bool, Error>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.handle.flag(Op::Table(TableOp::Contains(pack_plain(value)?)))
    }

    /// Adds `value`; whether it was not there. Python: `s.add(value)`.
    ///
    /// # Errors
    ///
    /// As [`contains`](Set::contains).
    #[doc(alias = "add")]
    pub fn insert<Q>(&self, value: &Q) -> Result<bool, Error>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let there = Op::Table(TableOp::Set(pack_plain(value)?, Blob::default()));
        Ok(!self.handle.flag(there)?)
    }

    /// Takes `value` out; whether it was there. Python: `s.discard(value)`.
    ///
    /// # Errors
    ///
    /// As [`contains`](Set::contains).
    #[doc(alias = "discard")]
    pub fn remove<Q>(&self, value: &Q) -> Result<bool, Error>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        Ok(self.handle.count(Op::Table(TableOp::RemoveMany(vec![pack_plain(value)?])))? == 1)
    }

    /// Takes out what was inserted last. Python: `s.pop()`.
    ///
    /// # Errors
    ///
    /// As [`len`](Set::len); [`Error::Decode`].
    #[doc(alias = "pop")]
    pub fn pop_last(&self) -> Result<Option<T>, Error> {
        match self.handle.call(Op::Table(TableOp::Pop))? {
            Reply::Pair(pair) => pair.map(|(key, _)| unpack_plain(&key)).transpose(),
            _ => Err(Error::unexpected()),
        }
    }

    /// Adds all of `values`; how many were not there. Python: `s |= values`.
    ///
    /// Up to a quarter of a mebibyte of values is one request and one atomic step; more than that is several,
    /// which are all sent before the first answer is waited for.
    ///
    /// # Errors
    ///
    /// As [`contains`](Set::contains).
    #[doc(alias = "update")]
    pub fn extend<'a, Q>(&self, values: impl IntoIterator<Item = &'a Q>) -> Result<usize, Error>
    where
        Q: Serialize + ?Sized + 'a,
    {
        let values: Vec<&Q> = values.into_iter().collect();
        let pairs = values.iter().map(|&value| (value, &()));
        let ops = bulk::table(self.handle.session(), pairs);
        table::extend(&self.handle, ops)
    }

    /// Takes out all of `values`, in one round trip; how many were there. Python: `s -= values`.
    ///
    /// # Errors
    ///
    /// As [`contains`](Set::contains).
    #[doc(alias = "difference_update")]
    pub fn remove_many<'a, Q>(
        &self,
        values: impl IntoIterator<Item = &'a Q>,
    ) -> Result<usize, Error>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        let values: Result<Vec<Key>, Error> = values.into_iter().map(pack_plain).collect();
        self.handle.count(Op::Table(TableOp::RemoveMany(values?)))
    }

    /// Takes everything out.
    ///
    /// # Errors
    ///
    /// As [`len`](Set::len).
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.unit(Op::Table(TableOp::Clear))
    }

    /// Takes everything out, in one atomic step, and returns it.
    ///
    /// # Errors
    ///
    /// As [`to_vec`](Set::to_vec).
    pub fn drain(&self) -> Result<Vec<T>, Error> {
        match self.handle.call(Op::Table(TableOp::Drain))? {
            Reply::Pairs(pairs) => pairs.iter().map(|(key, _)| unpack_plain(key)).collect(),
            _ => Err(Error::unexpected()),
        }
    }

    /// Takes out what `keep` does not want, in one atomic step; see
    /// [`Dict::retain`](crate::Dict::retain).
    ///
    /// # Errors
    ///
    /// As [`to_vec`](Set::to_vec).
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<(), Error> {
        table::retain(&self.handle, |value, ()| keep(value))
    }

    /// Copies of all values as they are at one moment, in the order of insertion.
    ///
    /// # Errors
    ///
    /// As [`len`](Set::len); [`Error::Decode`].
    pub fn to_vec(&self) -> Result<Vec<T>, Error> {
        table::keys(&self.handle)
    }

    /// A plain set with copies of all values. Python: `s.copy()`.
    ///
    /// # Errors
    ///
    /// As [`to_vec`](Set::to_vec).
    #[doc(alias = "copy")]
    pub fn to_set(&self) -> Result<HashSet<T>, Error>
    where
        T: Eq + Hash,
    {
        Ok(self.to_vec()?.into_iter().collect())
    }

    /// Goes through copies of all values as they are at this moment.
    ///
    /// # Errors
    ///
    /// As [`to_vec`](Set::to_vec).
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, Error> {
        Ok(self.to_vec()?.into_iter())
    }
}
