//! Bounds on what a few bytes can make of themselves: elements that take no bytes at all, and
//! values inside of values.
//!
//! A list of `()` is as short as its length, so three bytes could keep a decoder busy for hours.
//! Every element that does take a byte is paid for by that byte; so a message may hold as many
//! elements as it has bytes, and [`FREE`] besides. And each value inside of a value of a recursive
//! type takes room on the stack, so they lie no deeper than [`DEPTH`]. Both are counted by a serde
//! deserializer around postcard's, which passes everything else on; a type without lists, options
//! or enums costs no instruction more for it.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

use crate::Error;
use crate::bytes::Bytes;

/// So many elements of a message may take no bytes.
pub(crate) const FREE: usize = 1 << 16;

/// So many lists, maps, options and enums may lie inside of one another. A type cannot contain
/// itself but through one of these. Unoptimised, each takes 3 to 12 KiB of stack.
pub(crate) const DEPTH: usize = 128;

/// What one message may still hold.
#[derive(Debug)]
pub(crate) struct Budget {
    /// How many more elements; `None` once there were too many.
    left: Cell<Option<usize>>,
    /// It went too deep.
    is_deep: Cell<bool>,
}

impl Budget {
    /// For a message of `len` bytes.
    #[inline]
    pub(crate) fn of(len: usize) -> Budget {
        Budget { left: Cell::new(Some(len.saturating_add(FREE))), is_deep: Cell::new(false) }
    }

    /// What the message has too much of, if it has.
    pub(crate) fn excess(&self) -> Option<Error> {
        if self.is_deep.get() {
            return Some(Error::TooDeep { max: DEPTH });
        }
        let overdrawn = self.left.get().is_none();
        overdrawn.then(|| Error::Decode(format!("more than {FREE} of its elements take no bytes")))
    }

    #[inline]
    fn charge<E: de::Error>(&self, elements: usize) -> Result<(), E> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(elements)));
        match self.left.get() {
            Some(_) => Ok(()),
            None => Err(E::custom("too many elements without bytes")),
        }
    }
}

/// Any of serde's parts of a deserialization, with the lists in it counted.
#[derive(Debug)]
pub(crate) struct Counted<'a, X> {
    inner: X,
    budget: &'a Budget,
    /// How many lists, maps, options and enums lie around this.
    depth: usize,
    /// For a visitor: its elements are as many as the bytes say, not as the type says.
    is_list: bool,
    /// For an access: its elements have been paid for.
    is_paid: bool,
}

impl<'a, X> Counted<'a, X> {
    #[inline]
    pub(crate) fn new(inner: X, budget: &'a Budget) -> Counted<'a, X> {
        Counted { inner, budget, depth: 0, is_list: false, is_paid: true }
    }

    /// Another part at the same depth.
    #[inline]
    fn with<Y>(&self, inner: Y) -> Counted<'a, Y> {
        Counted { depth: self.depth, ..Counted::new(inner, self.budget) }
    }

    /// For a deserializer: what visits the parts of a value that may be one of many.
    #[inline]
    fn inside<V, E: de::Error>(&self, visitor: V) -> Result<Counted<'a, V>, E> {
        if self.depth == DEPTH {
            self.budget.is_deep.set(true);
            return Err(E::custom("too deep"));
        }
        Ok(Counted { depth: self.depth + 1, ..Counted::new(visitor, self.budget) })
    }

    /// As [`inside`](Counted::inside), of a list.
    #[inline]
    fn list<V, E: de::Error>(&self, visitor: V) -> Result<Counted<'a, V>, E> {
        Ok(Counted { is_list: true, ..self.inside(visitor)? })
    }

    /// The access to the elements of a list that says how many they are, or does not.
    #[inline]
    fn elements<A, E: de::Error>(
        &self,
        access: A,
        len: Option<usize>,
    ) -> Result<Counted<'a, A>, E> {
        let access = self.with(access);
        match len {
            _ if !self.is_list => Ok(access),
            Some(len) => self.budget.charge(len).map(|()| access),
            // More than there are bytes: each as it comes.
            None => Ok(Counted { is_paid: false, ..access }),
        }
    }

    #[inline]
    fn pay<E: de::Error>(&self) -> Result<(), E> {
        if self.is_paid { Ok(()) } else { self.budget.charge(1) }
    }
}

/// Methods of `Deserializer` whose values have no parts.
macro_rules! plain {
    ($($method:ident)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Counted<'_, D> {
    type Error = D::Error;

    plain! {
        deserialize_any deserialize_bool deserialize_char deserialize_str deserialize_string
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_bytes deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_byte_buf(Bytes(visitor))
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.inside(visitor)?;
        self.inner.deserialize_option(visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.list(visitor)?;
        self.inner.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.list(visitor)?;
        self.inner.deserialize_map(visitor)
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.inside(visitor)?;
        self.inner.deserialize_enum(name, variants, visitor)
    }
}

/// Of what has parts. postcard calls no other methods for it.
impl<'de, V: Visitor<'de>> Visitor<'de> for Counted<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        let some = self.with(some);
        self.inner.visit_some(some)
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        let inside = self.with(inside);
        self.inner.visit_newtype_struct(inside)
    }

    #[inline]
    fn visit_seq<A: de::SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let len = access.size_hint();
        let access = self.elements(access, len)?;
        self.inner.visit_seq(access)
    }

    #[inline]
    fn visit_map<A: de::MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let len = access.size_hint();
        let access = self.elements(access, len)?;
        self.inner.visit_map(access)
    }

    #[inline]
    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Counted<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: de::SeqAccess<'de>> de::SeqAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.pay()?;
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.pay()?;
        let seed = self.with(seed);
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'a, 'de, A: de::EnumAccess<'de>> de::EnumAccess<'de> for Counted<'a, A> {
    type Error = A::Error;
    type Variant = Counted<'a, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let outer = self.with(());
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, outer.with(variant)))
    }
}

impl<'de, A: de::VariantAccess<'de>> de::VariantAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
