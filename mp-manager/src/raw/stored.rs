//! Keys and values as a table keeps them: short ones, as most are, without an allocation.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_bytes::ByteBuf;

use crate::protocol::{Blob, ObjectId};

/// How long bytes may be that are kept in place.
const SHORT: usize = 22;

#[derive(Clone, Debug)]
pub(crate) struct Short {
    len: u8,
    bytes: [u8; SHORT],
}

impl Short {
    fn new(slice: &[u8]) -> Option<Short> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..slice.len())?.copy_from_slice(slice);
        Some(Short { len: slice.len() as u8, bytes })
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

/// Bytes that are compared and hashed as such. Of a long key there is one copy, however many
/// share it.
#[derive(Clone, Debug)]
pub(crate) enum StoredKey {
    Short(Short),
    Long(Arc<[u8]>),
}

impl StoredKey {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            StoredKey::Short(bytes) => bytes.as_slice(),
            StoredKey::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for StoredKey {
    fn from(key: &[u8]) -> StoredKey {
        Short::new(key).map_or_else(|| StoredKey::Long(key.into()), StoredKey::Short)
    }
}

impl Borrow<[u8]> for StoredKey {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

/// As the bytes hash, which [`Borrow`] asks for.
impl Hash for StoredKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl PartialEq for StoredKey {
    fn eq(&self, other: &StoredKey) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for StoredKey {}

/// A value, and the objects that it refers to, if any.
#[derive(Debug)]
pub(crate) enum StoredValue {
    Short(Short),
    Long(Box<[u8]>),
    Linked(Box<Blob>),
}

impl StoredValue {
    /// A copy that can travel.
    pub(crate) fn to_blob(&self) -> Blob {
        let bytes = match self {
            StoredValue::Short(bytes) => bytes.as_slice(),
            StoredValue::Long(bytes) => bytes,
            StoredValue::Linked(blob) => return Blob::clone(blob),
        };
        Blob { bytes: ByteBuf::from(bytes), refs: Vec::new() }
    }

    pub(crate) fn refs(&self) -> &[ObjectId] {
        match self {
            StoredValue::Linked(blob) => &blob.refs,
            StoredValue::Short(_) | StoredValue::Long(_) => &[],
        }
    }
}

impl From<&[u8]> for StoredValue {
    fn from(value: &[u8]) -> StoredValue {
        Short::new(value).map_or_else(|| StoredValue::Long(value.into()), StoredValue::Short)
    }
}

impl From<Blob> for StoredValue {
    fn from(blob: Blob) -> StoredValue {
        if !blob.refs.is_empty() {
            return StoredValue::Linked(Box::new(blob));
        }
        match Short::new(&blob.bytes) {
            Some(bytes) => StoredValue::Short(bytes),
            None => StoredValue::Long(blob.bytes.into_vec().into_boxed_slice()),
        }
    }
}

impl From<StoredValue> for Blob {
    fn from(value: StoredValue) -> Blob {
        match value {
            StoredValue::Linked(blob) => *blob,
            StoredValue::Long(bytes) => {
                Blob { bytes: ByteBuf::from(bytes.into_vec()), refs: Vec::new() }
            }
            StoredValue::Short(_) => value.to_blob(),
        }
    }
}

// What a table has for each of its keys, twice the first and once the second.
const _: () = assert!(size_of::<StoredKey>() == 24 && size_of::<StoredValue>() == 24);
