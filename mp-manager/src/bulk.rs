//! Many values in few requests.

use crate::Error;
use crate::op::Op;

/// How many bytes of values go into one request.
const CHUNK: usize = 1 << 20;

/// Makes one operation of each mebibyte of `items`; one of none, if there are none.
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
