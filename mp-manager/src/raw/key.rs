//! A key as a table keeps it.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How long a key may be that is kept in place.
const SHORT: usize = 22;

/// Bytes that are compared and hashed as such. Short ones, as most keys are, lie where the table
/// looks for them; of a long one there is one copy, however many share it.
#[derive(Clone, Debug)]
pub(crate) enum StoredKey {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

impl StoredKey {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            StoredKey::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            StoredKey::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for StoredKey {
    fn from(key: &[u8]) -> StoredKey {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..key.len()) {
            Some(room) => {
                room.copy_from_slice(key);
                StoredKey::Short { len: key.len() as u8, bytes }
            }
            None => StoredKey::Long(key.into()),
        }
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
