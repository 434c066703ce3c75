//! What List and Array have in common.

use std::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, SequenceOp};
use crate::protocol::Reply;
use crate::scope::{pack, unpack, unpack_all};

/// A range as the server wants it, with `u64::MAX` for the end of the sequence.
pub(crate) fn bounds(range: &impl RangeBounds<usize>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start as u64,
        Bound::Excluded(&before) => before as u64 + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => (last as u64).saturating_add(1),
        Bound::Excluded(&end) => end as u64,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

pub(crate) fn value<T: DeserializeOwned>(
    handle: &Handle,
    op: SequenceOp,
) -> Result<Option<T>, Error> {
    match handle.call(Op::Sequence(op))? {
        Reply::Value(value) => value.map(|value| unpack(handle.session(), &value)).transpose(),
        _ => Err(Error::unexpected()),
    }
}

pub(crate) fn values<T: DeserializeOwned>(
    handle: &Handle,
    op: SequenceOp,
) -> Result<Vec<T>, Error> {
    match handle.call(Op::Sequence(op))? {
        Reply::Values(values) => unpack_all(handle.session(), &values),
        _ => Err(Error::unexpected()),
    }
}

pub(crate) fn set<T: Serialize>(handle: &Handle, index: usize, value: &T) -> Result<(), Error> {
    let value = pack(handle.session(), value)?;
    handle.unit(Op::Sequence(SequenceOp::Set(index as u64, value)))
}

pub(crate) fn replace<T: Serialize + DeserializeOwned>(
    handle: &Handle,
    index: usize,
    new: &T,
) -> Result<T, Error> {
    let new = pack(handle.session(), new)?;
    value(handle, SequenceOp::Replace(index as u64, new))?.ok_or_else(Error::unexpected)
}

pub(crate) fn update_in<T: Serialize + DeserializeOwned>(
    handle: &Handle,
    index: usize,
    mut change: impl FnMut(T) -> T,
) -> Result<T, Error> {
    let index = index as u64;
    let mut reply = handle.call(Op::Sequence(SequenceOp::Versioned(index)))?;
    loop {
        let Reply::Versioned { version, value: Some(before) } = reply else {
            return Err(Error::unexpected());
        };
        let after = change(unpack(handle.session(), &before)?);
        let value = pack(handle.session(), &after)?;
        let op = SequenceOp::Exchange { index, version, value };
        reply = handle.call(Op::Sequence(op))?;
        if reply == Reply::Unit {
            return Ok(after);
        }
    }
}
