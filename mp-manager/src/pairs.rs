//! Many pairs of plain bytes in one piece: nothing is allocated for each of them on the way.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::protocol::Failure;

/// `[key length u32][value length u32][key][value]`, little endian, again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pairs {
    bytes: ByteBuf,
    count: u64,
}

const HEADER: usize = 8;

impl Pairs {
    /// Adds a pair; `key` and `value` append their bytes. On failure nothing is added.
    pub(crate) fn push<E>(
        &mut self,
        key: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = &mut *self.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(&[0; HEADER]);
        let written = key(bytes).map(|()| bytes.len()).and_then(|middle| {
            value(bytes)?;
            Ok(middle)
        });
        match written {
            Ok(middle) => {
                // A request is shorter than 4 GiB: if a length does not fit, neither does that.
                let key = (middle - start - HEADER) as u32;
                let value = (bytes.len() - middle) as u32;
                bytes[start..start + 4].copy_from_slice(&key.to_le_bytes());
                bytes[start + 4..start + HEADER].copy_from_slice(&value.to_le_bytes());
                self.count += 1;
                Ok(())
            }
            Err(error) => {
                bytes.truncate(start);
                Err(error)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many there are, of those that fit into the bytes.
    pub(crate) fn count(&self) -> usize {
        (self.bytes.len() / HEADER).min(usize::try_from(self.count).unwrap_or(usize::MAX))
    }

    /// The pairs, if the lengths are right throughout.
    pub(crate) fn iter(&self) -> Result<impl Iterator<Item = Pair<'_>>, Failure> {
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            rest = split(rest).ok_or_else(|| Failure::protocol("pairs that are no pairs"))?.1;
        }
        let mut rest = self.bytes.as_slice();
        Ok(std::iter::from_fn(move || {
            let (pair, after) = split(rest)?;
            rest = after;
            Some(pair)
        }))
    }
}

/// A key and a value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The first pair, and what follows it.
fn split(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes([e, f, g, h]) as usize)?;
    Some(((key, value), rest))
}
