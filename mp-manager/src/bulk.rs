//! Many values in few requests.

use serde::Serialize;

use crate::Error;
use crate::op::{Op, TableOp};
use crate::pairs::Pairs;
use crate::protocol::{Blob, Key};
use crate::scope;
use crate::session::Session;

/// How many bytes of values go into one request. While the server does one, the next is on its
/// way.
const CHUNK: usize = 256 << 10;

/// Makes one operation of each quarter of a mebibyte of `items`.
pub(crate) fn chunks<I>(
    items: impl IntoIterator<Item = Result<I, Error>>,
    size: impl Fn(&I) -> usize,
    op: impl Fn(Vec<I>) -> Op,
) -> Result<Vec<Op>, Error> {
    let (mut ops, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for item in items {
        let item = item?;
        bytes += size(&item);
        chunk.push(item);
        if bytes >= CHUNK {
            ops.push(op(std::mem::take(&mut chunk)));
            bytes = 0;
        }
    }
    if !chunk.is_empty() {
        ops.push(op(chunk));
    }
    Ok(ops)
}

/// Makes operations that put all of `pairs` into a table. Those with proxies among the values
/// take the longer way.
pub(crate) fn table<'a, K, V>(
    session: &Session,
    pairs: impl Iterator<Item = (&'a K, &'a V)> + Clone,
) -> Result<Vec<Op>, Error>
where
    K: Serialize + ?Sized + 'a,
    V: Serialize + 'a,
{
    let plain = scope::in_values(session, || {
        let (mut ops, mut chunk) = (Vec::new(), Pairs::default());
        for (key, value) in pairs.clone() {
            chunk.push(|bytes| write(key, bytes), |bytes| write(value, bytes))?;
            if chunk.len() >= CHUNK {
                ops.push(Op::Table(TableOp::Fill(std::mem::take(&mut chunk))));
            }
        }
        ops.push(Op::Table(TableOp::Fill(chunk)));
        Ok(ops)
    })?;
    if let Some(ops) = plain {
        return Ok(ops);
    }
    let pairs =
        pairs.map(|(key, value)| Ok((scope::pack_plain(key)?, scope::pack(session, value)?)));
    let size = |(key, value): &(Key, Blob)| key.len() + value.bytes.len();
    chunks(pairs, size, |pairs| Op::Table(TableOp::Extend(pairs)))
}

fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), postcard::Error> {
    *bytes = postcard::to_extend(value, std::mem::take(bytes))?;
    Ok(())
}
