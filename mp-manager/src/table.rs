//! What Dict, Set, Namespace and Value have in common.

use serde::de::DeserializeOwned;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Blob, Key, Reply};
use crate::scope::{unpack_all, unpack_plain};

/// Changes what is at `key` in one atomic step, and returns what is there then: tries again until
/// nobody has changed it meanwhile.
pub(crate) fn update_in<T>(
    handle: &Handle,
    key: &Key,
    unpack: impl Fn(&Blob) -> Result<T, Error>,
    pack: impl Fn(&T) -> Result<Blob, Error>,
    mut change: impl FnMut(Option<T>) -> Option<T>,
) -> Result<Option<T>, Error> {
    let mut reply = handle.call(Op::Table(TableOp::Versioned(key.clone())))?;
    loop {
        let Reply::Versioned { version, value } = reply else {
            return Err(Error::unexpected());
        };
        let after = change(value.map(|value| unpack(&value)).transpose()?);
        let value = after.as_ref().map(&pack).transpose()?;
        reply = handle.call(Op::Table(TableOp::Exchange { key: key.clone(), version, value }))?;
        if reply == Reply::Unit {
            return Ok(after);
        }
    }
}

/// Sends all of `ops`, which add to a table; how many keys were new.
pub(crate) fn extend(
    handle: &Handle,
    ops: impl Iterator<Item = Result<Op, Error>>,
) -> Result<usize, Error> {
    let mut added = 0;
    for reply in handle.call_all(ops)? {
        match reply {
            Reply::Count(count) => added += count as usize,
            _ => return Err(Error::unexpected()),
        }
    }
    Ok(added)
}

/// Takes out what `keep` does not want; again, until nobody has changed anything meanwhile.
pub(crate) fn retain<K: DeserializeOwned, V: DeserializeOwned>(
    handle: &Handle,
    mut keep: impl FnMut(&K, &V) -> bool,
) -> Result<(), Error> {
    loop {
        let Reply::Table { version, pairs: all } = handle.call(Op::Table(TableOp::Snapshot))?
        else {
            return Err(Error::unexpected());
        };
        let keys: Vec<Key> = all.iter().map(|(key, _)| key.clone()).collect();
        let kept = pairs(handle, all)?.into_iter().map(|(key, value)| keep(&key, &value));
        let keys = keys.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(key, _)| key);
        let prune = TableOp::Prune { version, keys: keys.collect() };
        if handle.flag(Op::Table(prune))? {
            return Ok(());
        }
    }
}

/// The keys and values of a reply.
pub(crate) fn pairs<K: DeserializeOwned, V: DeserializeOwned>(
    handle: &Handle,
    pairs: Vec<(Key, Blob)>,
) -> Result<Vec<(K, V)>, Error> {
    let (keys, values): (Vec<Key>, Vec<_>) = pairs.into_iter().unzip();
    let values = unpack_all(handle.session(), &values)?;
    let keys: Result<Vec<K>, Error> = keys.iter().map(|key| unpack_plain(key)).collect();
    Ok(keys?.into_iter().zip(values).collect())
}

/// Copies of all keys.
pub(crate) fn keys<K: DeserializeOwned>(handle: &Handle) -> Result<Vec<K>, Error> {
    match handle.call(Op::Table(TableOp::Keys))? {
        Reply::Keys(keys) => keys.iter().map(|key| unpack_plain(key)).collect(),
        _ => Err(Error::unexpected()),
    }
}
