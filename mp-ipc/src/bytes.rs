//! Large byte strings, on their way out of a message.

use std::fmt;

use mp_sys::memory::prefer_huge_pages;
use serde::de::{Error, Visitor};

/// From here on bytes are copied here, to where the kernel has been asked for huge pages: a fault
/// for every 4 KiB takes longer than the copy.
const LARGE: usize = 4 << 20;

/// The visitor of a value that wants bytes of its own. postcard calls no other methods for it.
pub(crate) struct Bytes<V>(pub(crate) V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Bytes<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<V::Value, E> {
        if bytes.len() < LARGE {
            return self.0.visit_bytes(bytes);
        }
        let mut copy = Vec::with_capacity(bytes.len());
        prefer_huge_pages(copy.spare_capacity_mut());
        copy.extend_from_slice(bytes);
        self.0.visit_byte_buf(copy)
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;

    #[test]
    fn bytes_of_all_lengths_come_back() {
        for len in [0, 1, LARGE - 1, LARGE, LARGE + 4097] {
            let value = ("before".to_owned(), ByteBuf::from(vec![7; len]), 3_u8);
            let message = crate::encode(&value).unwrap();
            assert_eq!(crate::decode::<(String, ByteBuf, u8)>(message).unwrap(), value, "{len}");
        }
    }
}
