//! Many values in few requests: each is on its way while the next is made.

use serde::Serialize;

use crate::Error;
use crate::op::{Op, TableOp};
use crate::pairs::Pairs;
use crate::protocol::Blob;
use crate::scope::{in_values, pack, pack_plain};
use crate::session::Session;

/// How many bytes of values go into one request.
const CHUNK: usize = 256 << 10;

/// Makes operations that add all of `values` to a sequence.
pub(crate) fn sequence<'a, T: Serialize + 'a>(
    session: &Session,
    values: &'a [T],
    op: impl Fn(Vec<Blob>) -> Op,
) -> impl Iterator<Item = Result<Op, Error>> {
    let mut values = values.iter();
    std::iter::from_fn(move || {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while bytes < CHUNK
            && let Some(value) = values.next()
        {
            match pack(session, value) {
                Ok(value) => {
                    bytes += value.bytes.len();
                    chunk.push(value);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        (!chunk.is_empty()).then(|| Ok(op(chunk)))
    })
}

/// Makes operations that put all of `pairs` into a table. Where there are proxies among the
/// values, they take a longer way.
pub(crate) fn table<'a, K, V>(
    session: &Session,
    mut pairs: impl Iterator<Item = (&'a K, &'a V)> + Clone,
) -> impl Iterator<Item = Result<Op, Error>>
where
    K: Serialize + ?Sized + 'a,
    V: Serialize + 'a,
{
    std::iter::from_fn(move || {
        let begin = pairs.clone();
        let mut count = 0;
        let chunk = in_values(session, || {
            let mut chunk = Pairs::default();
            while chunk.len() < CHUNK
                && let Some((key, value)) = pairs.next()
            {
                chunk.push(|bytes| write(key, bytes), |bytes| write(value, bytes))?;
                count += 1;
            }
            Ok(chunk)
        });
        match chunk {
            Ok(_) if count == 0 => None,
            Ok(Some(chunk)) => Some(Ok(Op::Table(TableOp::Fill(chunk)))),
            Ok(None) => {
                let chunk = begin.clone().take(count);
                let chunk: Result<Vec<_>, Error> = chunk
                    .map(|(key, value)| Ok((pack_plain(key)?, pack(session, value)?)))
                    .collect();
                Some(chunk.map(|chunk| Op::Table(TableOp::Extend(chunk))))
            }
            Err(error) => Some(Err(error)),
        }
    })
}

fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), postcard::Error> {
    *bytes = postcard::to_extend(value, std::mem::take(bytes))?;
    Ok(())
}
