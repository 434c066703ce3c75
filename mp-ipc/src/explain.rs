//! Why a value could not be serialised, in its own words.
//!
//! postcard's error has no room for the text that a `Serialize` fails with. So after such a
//! failure, and only then, the value is serialised once more, into nothing, by a serializer whose
//! error is that text.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

/// What `value`'s `Serialize` says when it fails; `None` if it does not this time.
#[cold]
pub(crate) fn explain<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    value.serialize(Nowhere).err().map(|Text(text)| text)
}

/// Takes everything and keeps nothing.
struct Nowhere;

/// The text of a failure.
#[derive(Debug)]
struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Text {}

impl ser::Error for Text {
    fn custom<T: fmt::Display>(text: T) -> Text {
        Text(text.to_string())
    }
}

/// Methods of `Serializer` that take a plain value.
macro_rules! plain {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<(), Text> { Ok(()) })*
    };
}

impl Serializer for Nowhere {
    type Ok = ();
    type Error = Text;
    type SerializeSeq = Nowhere;
    type SerializeTuple = Nowhere;
    type SerializeTupleStruct = Nowhere;
    type SerializeTupleVariant = Nowhere;
    type SerializeMap = Nowhere;
    type SerializeStruct = Nowhere;
    type SerializeStructVariant = Nowhere;

    plain! {
        serialize_bool(bool), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_i128(i128), serialize_u128(u128), serialize_f32(f32), serialize_f64(f64),
        serialize_unit_struct(&'static str),
    }

    fn is_human_readable(&self) -> bool {
        // As postcard is: a type must take the same way as it did there.
        false
    }

    fn serialize_none(self) -> Result<(), Text> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Text> {
        value.serialize(Nowhere)
    }

    fn serialize_unit(self) -> Result<(), Text> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &str, _: u32, _: &str) -> Result<(), Text> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &str, v: &T) -> Result<(), Text> {
        v.serialize(Nowhere)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &str,
        _: u32,
        _: &str,
        value: &T,
    ) -> Result<(), Text> {
        value.serialize(Nowhere)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Nowhere, Text> {
        len.map(|_| Nowhere).ok_or_else(|| Text("a sequence does not know its length".into()))
    }

    fn serialize_tuple(self, _: usize) -> Result<Nowhere, Text> {
        Ok(Nowhere)
    }

    fn serialize_tuple_struct(self, _: &str, _: usize) -> Result<Nowhere, Text> {
        Ok(Nowhere)
    }

    fn serialize_tuple_variant(self, _: &str, _: u32, _: &str, _: usize) -> Result<Nowhere, Text> {
        Ok(Nowhere)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Nowhere, Text> {
        len.map(|_| Nowhere).ok_or_else(|| Text("a map does not know its length".into()))
    }

    fn serialize_struct(self, _: &str, _: usize) -> Result<Nowhere, Text> {
        Ok(Nowhere)
    }

    fn serialize_struct_variant(self, _: &str, _: u32, _: &str, _: usize) -> Result<Nowhere, Text> {
        Ok(Nowhere)
    }
}

/// The traits of compound values: each of their parts goes nowhere, too.
macro_rules! compound {
    ($($trait:ident::$method:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(impl ser::$trait for Nowhere {
            type Ok = ();
            type Error = Text;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: $type,)*
                value: &T,
            ) -> Result<(), Text> {
                value.serialize(Nowhere)
            }

            fn end(self) -> Result<(), Text> {
                Ok(())
            }
        })*
    };
}

compound! {
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleStruct::serialize_field(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(_name: &'static str),
    SerializeStructVariant::serialize_field(_name: &'static str),
}

impl ser::SerializeMap for Nowhere {
    type Ok = ();
    type Error = Text;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Text> {
        key.serialize(Nowhere)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Text> {
        value.serialize(Nowhere)
    }

    fn end(self) -> Result<(), Text> {
        Ok(())
    }
}
