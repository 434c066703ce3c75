//! A bound on what a few bytes can make of themselves: elements that take no bytes at all.
//!
//! A list of `()` is as short as its length, so three bytes could keep a decoder busy for hours.
//! Every element that does take a byte is paid for by that byte; so a message may hold as many
//! elements as it has bytes, and [`FREE`] besides. The lists are counted by a serde deserializer
//! around postcard's, which passes everything else on.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

/// So many elements of a message may take no bytes.
pub(crate) const FREE: usize = 1 << 16;

/// How many more elements one message may hold; `None` once it has held too many.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<Option<usize>>,
}

impl Budget {
    /// For a message of `len` bytes.
    #[inline]
    pub(crate) fn of(len: usize) -> Budget {
        Budget { left: Cell::new(Some(len.saturating_add(FREE))) }
    }

    pub(crate) fn is_overdrawn(&self) -> bool {
        self.left.get().is_none()
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
    /// For a visitor: its elements are as many as the bytes say, not as the type says.
    is_list: bool,
    /// For an access: its elements have been paid for.
    is_paid: bool,
}

impl<'a, X> Counted<'a, X> {
    #[inline]
    pub(crate) fn new(inner: X, budget: &'a Budget) -> Counted<'a, X> {
        Counted { inner, budget, is_list: false, is_paid: true }
    }

    #[inline]
    fn list(inner: X, budget: &'a Budget) -> Counted<'a, X> {
        Counted { is_list: true, ..Counted::new(inner, budget) }
    }

    /// The access to the elements of a list that says how many they are, or does not.
    #[inline]
    fn elements<A, E: de::Error>(
        &self,
        access: A,
        len: Option<usize>,
    ) -> Result<Counted<'a, A>, E> {
        let access = Counted::new(access, self.budget);
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
        deserialize_f32 deserialize_f64 deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Counted::new(visitor, self.budget))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_seq(Counted::list(visitor, self.budget))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Counted::list(visitor, self.budget))
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
        self.inner.deserialize_newtype_struct(name, Counted::new(visitor, self.budget))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, Counted::new(visitor, self.budget))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, Counted::new(visitor, self.budget))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Counted::new(visitor, self.budget))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, Counted::new(visitor, self.budget))
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
        self.inner.visit_some(Counted::new(some, self.budget))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Counted::new(inside, self.budget))
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
        self.inner.visit_enum(Counted::new(access, self.budget))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Counted<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Counted::new(deserializer, self.budget))
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
        self.inner.next_element_seed(Counted::new(seed, self.budget))
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
        self.inner.next_key_seed(Counted::new(seed, self.budget))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Counted::new(seed, self.budget))
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
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Counted::new(variant, self.budget)))
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
        self.inner.newtype_variant_seed(Counted::new(seed, self.budget))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Counted::new(visitor, self.budget))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Counted::new(visitor, self.budget))
    }
}
