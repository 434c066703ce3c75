//! What Dict, Set, Namespace and Value have in common.

use serde::de::DeserializeOwned;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Blob, Key, Reply};
use crate::scope::unpack_plain;

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

/// Copies of all keys.
pub(crate) fn keys<K: DeserializeOwned>(handle: &Handle) -> Result<Vec<K>, Error> {
    match handle.call(Op::Table(TableOp::Keys))? {
        Reply::Keys(keys) => keys.iter().map(|key| unpack_plain(key)).collect(),
        _ => Err(Error::unexpected()),
    }
}
