//! What lies inside arrays, objects and enums, one after the other.

use serde::de::{
    self, DeserializeSeed, Deserializer as _, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::error::{Error, Result};
use super::key::Key;
use super::scan::Scanner;

/// The elements of an array that was opened.
pub(super) struct Elements<'r, 'de> {
    scanner: &'r mut Scanner<'de>,
    is_first: bool,
}

impl<'r, 'de> Elements<'r, 'de> {
    pub(super) fn of(scanner: &'r mut Scanner<'de>) -> Self {
        Self { scanner, is_first: true }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.scanner.more(&mut self.is_first, b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.scanner).map(Some)
    }
}

/// The entries of an object that was opened.
pub(super) struct Entries<'r, 'de> {
    scanner: &'r mut Scanner<'de>,
    is_first: bool,
}

impl<'r, 'de> Entries<'r, 'de> {
    pub(super) fn of(scanner: &'r mut Scanner<'de>) -> Self {
        Self { scanner, is_first: true }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.scanner.more(&mut self.is_first, b'}')? {
            return Ok(None);
        }
        seed.deserialize(Key(self.scanner.string()?)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.scanner.colon()?;
        seed.deserialize(&mut *self.scanner)
    }
}

/// The only entry of an object that was opened: a variant's name, and what it holds.
pub(super) struct Variant<'r, 'de>(pub(super) &'r mut Scanner<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = seed.deserialize(Key(self.0.string()?))?;
        self.0.colon()?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        de::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.0.deserialize_map(visitor)
    }
}
