use crate::Error;

/// What a [`ShareableList`](crate::ShareableList) holds in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Item {
    /// Nothing.
    #[default]
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Item {
    /// The number that stands for the kind of content in shared memory.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Item::None => 0,
            Item::Bool(_) => 1,
            Item::Int(_) => 2,
            Item::Float(_) => 3,
            Item::Str(_) => 4,
            Item::Bytes(_) => 5,
        }
    }

    /// Calls `write` with the content as it stands in shared memory.
    pub(crate) fn encoded<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Item::None => write(&[]),
            Item::Bool(value) => write(&[u8::from(*value)]),
            Item::Int(value) => write(&value.to_le_bytes()),
            Item::Float(value) => write(&value.to_le_bytes()),
            Item::Str(value) => write(value.as_bytes()),
            Item::Bytes(value) => write(value),
        }
    }

    pub(crate) fn decode(tag: u8, bytes: Vec<u8>) -> Result<Item, Error> {
        let word = || bytes.as_slice().try_into().map_err(|_| Error::Corrupt("a number's length"));
        match tag {
            0 => Ok(Item::None),
            1 => match *bytes {
                [byte] => Ok(Item::Bool(byte != 0)),
                _ => Err(Error::Corrupt("a bool's length")),
            },
            2 => Ok(Item::Int(i64::from_le_bytes(word()?))),
            3 => Ok(Item::Float(f64::from_le_bytes(word()?))),
            4 => String::from_utf8(bytes).map(Item::Str).map_err(|_| Error::Corrupt("a text")),
            5 => Ok(Item::Bytes(bytes)),
            _ => Err(Error::Corrupt("a tag")),
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),*) => {$(
        impl From<$source> for Item {
            fn from(value: $source) -> Item {
                Item::$variant(value.into())
            }
        }
    )*};
}

from!(bool => Bool, i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int);
from!(f32 => Float, f64 => Float, &str => Str, String => Str, &[u8] => Bytes, Vec<u8> => Bytes);

impl From<()> for Item {
    fn from((): ()) -> Item {
        Item::None
    }
}

impl<const N: usize> From<&[u8; N]> for Item {
    fn from(value: &[u8; N]) -> Item {
        Item::Bytes(value.to_vec())
    }
}

impl<T: Into<Item>> From<Option<T>> for Item {
    fn from(value: Option<T>) -> Item {
        value.map_or(Item::None, Into::into)
    }
}
