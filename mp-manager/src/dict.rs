//! `Dict`: a managed map.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Key, Reply};
use crate::proxy::proxy;
use crate::scope::{pack, pack_plain, unpack, unpack_all, unpack_plain};
use crate::{Error, bulk, table};

/// A map that lives in a manager's server, in the order of insertion.
///
/// Each method is one round trip and one atomic step; what a method hands out is a copy. To
/// change a value where it is, use [`update_in`](Dict::update_in), or make the value a proxy
/// itself: then it stays live and shared.
///
/// Keys are equal if they are encoded as the same bytes. That is what `==` says for numbers,
/// strings, enums and structs of these; for sets and floats it can differ (`0.0` and `-0.0` are
/// two keys, and a `NaN` equals itself).
///
/// Python: `SyncManager.dict()`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use mp_manager::Manager;
///
/// # fn main() -> Result<(), mp_manager::Error> {
/// mp_process::init();
/// let manager = Manager::start()?;
/// let ages = manager.dict::<String, u32>()?;
/// assert_eq!(ages.insert("ann", &31)?, None);
/// ages.update_in("ann", |age| age.map(|age| age + 1))?;
/// assert_eq!(ages.get("ann")?, Some(32));
/// assert_eq!(ages.get("bob")?, None);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "DictProxy")]
pub struct Dict<K, V> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

proxy!(Dict<K, V>, Dict);

impl<K, V> Dict<K, V>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    /// How many keys there are. Python: `len(d)`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]; [`Error::Gone`] for a proxy that outlived its object, which only
    /// a process forked by other means than mp-process can have. This goes for every method.
    pub fn len(&self) -> Result<usize, Error> {
        self.handle.count(Op::Table(TableOp::Len))
    }

    /// Whether there is no key.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// A copy of the value at `key`. Python: `d.get(key)`.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len); [`Error::Decode`].
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.value(TableOp::Get(pack_plain(key)?))
    }

    /// Copies of the values at all of `keys`, in one round trip.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn get_many<'a, Q>(
        &self,
        keys: impl IntoIterator<Item = &'a Q>,
    ) -> Result<Vec<Option<V>>, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        let keys: Result<Vec<Key>, Error> = keys.into_iter().map(pack_plain).collect();
        match self.handle.call(Op::Table(TableOp::GetMany(keys?)))? {
            Reply::MaybeValues(values) => {
                let unpack = |value: Option<_>| {
                    value.map(|value| unpack(self.handle.session(), &value)).transpose()
                };
                // Each is unpacked, even after one has failed: they may hold references.
                let values: Vec<_> = values.into_iter().map(unpack).collect();
                values.into_iter().collect()
            }
            _ => Err(Error::unexpected()),
        }
    }

    /// Whether there is such a key. Python: `key in d`.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn contains_key<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.handle.flag(Op::Table(TableOp::Contains(pack_plain(key)?)))
    }

    /// Puts `value` at `key`, and returns what was there. A key that is there keeps its place.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get); [`Error::Encode`]; [`Error::Proxy`] for a proxy of another manager;
    /// [`Error::TooBig`].
    pub fn insert<Q>(&self, key: &Q, value: &V) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let value = pack(self.handle.session(), value)?;
        self.value(TableOp::Insert(pack_plain(key)?, value))
    }

    /// Puts `value` at `key`, and returns whether a value was there. What was there does not
    /// travel. Python: `d[key] = value`.
    ///
    /// # Errors
    ///
    /// As [`insert`](Dict::insert).
    pub fn set<Q>(&self, key: &Q, value: &V) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let value = pack(self.handle.session(), value)?;
        self.handle.flag(Op::Table(TableOp::Set(pack_plain(key)?, value)))
    }

    /// Puts `value` at `key` if nothing is there, and returns what is there then.
    /// Python: `d.setdefault(key, value)`.
    ///
    /// # Errors
    ///
    /// As [`insert`](Dict::insert).
    #[doc(alias = "setdefault")]
    pub fn get_or_insert<Q>(&self, key: &Q, value: &V) -> Result<V, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let value = pack(self.handle.session(), value)?;
        self.value(TableOp::GetOrInsert(pack_plain(key)?, value))?.ok_or_else(Error::unexpected)
    }

    /// Takes the value at `key` out. Python: `d.pop(key)`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    #[doc(alias = "pop")]
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.value(TableOp::Remove(pack_plain(key)?))
    }

    /// Takes out the key that was inserted last. Python: `d.popitem()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    #[doc(alias = "popitem")]
    pub fn pop_last(&self) -> Result<Option<(K, V)>, Error> {
        match self.handle.call(Op::Table(TableOp::Pop))? {
            Reply::Pair(None) => Ok(None),
            Reply::Pair(Some((key, value))) => {
                let value = unpack(self.handle.session(), &value)?;
                Ok(Some((unpack_plain(&key)?, value)))
            }
            _ => Err(Error::unexpected()),
        }
    }

    /// Puts all of `pairs`, and returns how many keys were new. Python: `d.update(pairs)`.
    ///
    /// Up to a quarter of a mebibyte of pairs is one request and one atomic step; more than that is several,
    /// which are all sent before the first answer is waited for.
    ///
    /// # Errors
    ///
    /// As [`insert`](Dict::insert).
    #[doc(alias = "update")]
    pub fn extend<Q>(
        &self,
        pairs: impl IntoIterator<Item = (impl Borrow<Q>, impl Borrow<V>)>,
    ) -> Result<usize, Error>
    where
        K: Borrow<Q>,
        Q: Serialize,
    {
        // They are kept until all is done: proxies among them hold what they stand for.
        let pairs: Vec<_> = pairs.into_iter().collect();
        let pairs = pairs.iter().map(|(key, value)| (key.borrow(), value.borrow()));
        let ops = bulk::table::<Q, V>(self.handle.session(), pairs);
        table::extend(&self.handle, ops)
    }

    /// Takes out all of `keys`, in one round trip; how many there were.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn remove_many<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>) -> Result<usize, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        let keys: Result<Vec<Key>, Error> = keys.into_iter().map(pack_plain).collect();
        self.handle.count(Op::Table(TableOp::RemoveMany(keys?)))
    }

    /// Takes everything out.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.unit(Op::Table(TableOp::Clear))
    }

    /// Takes everything out, in one atomic step, and returns it.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn drain(&self) -> Result<Vec<(K, V)>, Error> {
        self.pairs(TableOp::Drain)
    }

    /// Takes out what `keep` does not want, in one atomic step.
    ///
    /// `keep` runs in this process. If another client changes the dict meanwhile, it is called
    /// again with all that is there then.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) -> Result<(), Error> {
        table::retain(&self.handle, keep)
    }

    /// Changes the value at `key` in one atomic step: `change` gets what is there, and what it
    /// returns is there then (`None`: nothing). Returns that.
    ///
    /// `change` runs in this process. If another client has changed the same key meanwhile, it
    /// is called again with what is there then; so it should do nothing else than compute.
    /// However many clients update a key at once, some update succeeds in each round.
    ///
    /// # Errors
    ///
    /// As [`insert`](Dict::insert).
    ///
    /// # Examples
    ///
    /// ```
    /// # use mp_manager::Manager;
    /// # fn main() -> Result<(), mp_manager::Error> {
    /// # mp_process::init();
    /// # let manager = Manager::start()?;
    /// let words = manager.dict::<String, Vec<u32>>()?;
    /// for line in [3, 7] {
    ///     words.update_in("fork", |lines| {
    ///         let mut lines = lines.unwrap_or_default();
    ///         lines.push(line);
    ///         Some(lines)
    ///     })?;
    /// }
    /// assert_eq!(words.get("fork")?, Some(vec![3, 7]));
    /// words.update_in("fork", |_| None)?;
    /// assert!(!words.contains_key("fork")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_in<Q>(
        &self,
        key: &Q,
        change: impl FnMut(Option<V>) -> Option<V>,
    ) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let session = self.handle.session();
        let (unpack, pack) = (|value: &_| unpack(session, value), |value: &_| pack(session, value));
        table::update_in(&self.handle, &pack_plain(key)?, unpack, pack, change)
    }

    /// Copies of all keys. Python: `d.keys()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn keys(&self) -> Result<Vec<K>, Error> {
        table::keys(&self.handle)
    }

    /// Copies of all values, in the order of the keys. Python: `d.values()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn values(&self) -> Result<Vec<V>, Error> {
        match self.handle.call(Op::Table(TableOp::Values))? {
            Reply::Values(values) => unpack_all(self.handle.session(), &values),
            _ => Err(Error::unexpected()),
        }
    }

    /// Copies of all pairs as they are at one moment, in the order of insertion.
    /// Python: `d.items()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    #[doc(alias = "items")]
    pub fn to_vec(&self) -> Result<Vec<(K, V)>, Error> {
        self.pairs(TableOp::Pairs)
    }

    /// A plain map with copies of all pairs. Python: `d.copy()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    #[doc(alias = "copy")]
    pub fn to_map(&self) -> Result<HashMap<K, V>, Error>
    where
        K: Eq + Hash,
    {
        Ok(self.to_vec()?.into_iter().collect())
    }

    /// Goes through copies of all pairs as they are at this moment.
    ///
    /// # Errors
    ///
    /// As [`get`](Dict::get).
    pub fn iter(&self) -> Result<std::vec::IntoIter<(K, V)>, Error> {
        Ok(self.to_vec()?.into_iter())
    }

    fn pairs(&self, op: TableOp) -> Result<Vec<(K, V)>, Error> {
        match self.handle.call(Op::Table(op))? {
            Reply::Pairs(pairs) => table::pairs(&self.handle, pairs),
            _ => Err(Error::unexpected()),
        }
    }

    fn value(&self, op: TableOp) -> Result<Option<V>, Error> {
        match self.handle.call(Op::Table(op))? {
            Reply::Value(value) => {
                value.map(|value| unpack(self.handle.session(), &value)).transpose()
            }
            _ => Err(Error::unexpected()),
        }
    }
}
