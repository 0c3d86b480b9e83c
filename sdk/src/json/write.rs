//! Writes JSON for serde, byte for byte as serde_json does, but for the spelling of some floating-point numbers.

use alloc::format;
use alloc::vec::Vec;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::error::{Error, Result};
use super::text;

/// The value as JSON.
pub(crate) fn to_vec<S: Serialize + ?Sized>(value: &S) -> Result<Vec<u8>> {
    let mut writer = Writer { out: Vec::with_capacity(ROOM), is_key: false };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

/// Bytes to begin with: what a small state takes, and no more copying until it is full.
const ROOM: usize = 64;

struct Writer {
    out: Vec<u8>,
    /// The key of an entry is written: only what can be text is good, and all of it goes into quotes.
    is_key: bool,
}

impl Writer {
    #[inline(never)]
    fn word(&mut self, word: &str) -> Result<()> {
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    /// What has no quotes of its own gets them as a key.
    fn quote(&mut self) {
        if self.is_key {
            self.out.push(b'"');
        }
    }

    #[inline(never)]
    fn number(&mut self, number: u64, is_negative: bool) -> Result<()> {
        self.quote();
        if is_negative {
            self.out.push(b'-');
        }
        text::write_number(&mut self.out, number);
        self.quote();
        Ok(())
    }

    #[inline(never)]
    fn signed(&mut self, number: i64) -> Result<()> {
        self.number(number.unsigned_abs(), number < 0)
    }

    /// What was formatted as a number.
    fn formatted(&mut self, number: &str, is_finite: bool) -> Result<()> {
        self.quote();
        self.word(if is_finite { number } else { "null" })?;
        self.quote();
        Ok(())
    }

    #[inline(never)]
    fn text(&mut self, text: &str) -> Result<()> {
        text::write(&mut self.out, text);
        Ok(())
    }

    #[inline(never)]
    fn not_as_key(&self) -> Result<()> {
        if self.is_key { Err(Error::new("key must be a string")) } else { Ok(()) }
    }

    #[inline(never)]
    fn open(&mut self, bracket: u8) -> Result<List<'_>> {
        self.not_as_key()?;
        self.out.push(bracket);
        // ASCII has `]` and `}` two after `[` and `{`.
        Ok(List { writer: self, bracket: bracket + 2, is_first: true, is_variant: false })
    }

    /// `{"NAME":`, and the array or object of a variant.
    #[inline(never)]
    fn open_variant(&mut self, name: &str, bracket: u8) -> Result<List<'_>> {
        self.variant(name)?;
        let list = self.open(bracket)?;
        Ok(List { is_variant: true, ..list })
    }

    #[inline(never)]
    fn variant(&mut self, name: &str) -> Result<()> {
        self.not_as_key()?;
        self.out.push(b'{');
        self.text(name)?;
        self.out.push(b':');
        Ok(())
    }
}

/// An array or object that was opened.
struct List<'w> {
    writer: &'w mut Writer,
    bracket: u8,
    is_first: bool,
    /// The object around a variant has to be closed too.
    is_variant: bool,
}

impl List<'_> {
    #[inline(never)]
    fn comma(&mut self) {
        if !core::mem::take(&mut self.is_first) {
            self.writer.out.push(b',');
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.name(name);
        value.serialize(&mut *self.writer)
    }

    #[inline(never)]
    fn name(&mut self, name: &str) {
        self.comma();
        text::write(&mut self.writer.out, name);
        self.writer.out.push(b':');
    }

    #[inline(never)]
    fn close(self) -> Result<()> {
        self.writer.out.push(self.bracket);
        if self.is_variant {
            self.writer.out.push(b'}');
        }
        Ok(())
    }
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'w>;
    type SerializeTuple = List<'w>;
    type SerializeTupleStruct = List<'w>;
    type SerializeTupleVariant = List<'w>;
    type SerializeMap = List<'w>;
    type SerializeStruct = List<'w>;
    type SerializeStructVariant = List<'w>;

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.formatted(if value { "true" } else { "false" }, true)
    }

    fn serialize_i8(self, value: i8) -> Result<()> {
        self.signed(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<()> {
        self.signed(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<()> {
        self.signed(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<()> {
        self.signed(value)
    }

    fn serialize_i128(self, value: i128) -> Result<()> {
        self.formatted(&format!("{value}"), true)
    }

    fn serialize_u8(self, value: u8) -> Result<()> {
        self.number(value.into(), false)
    }

    fn serialize_u16(self, value: u16) -> Result<()> {
        self.number(value.into(), false)
    }

    fn serialize_u32(self, value: u32) -> Result<()> {
        self.number(value.into(), false)
    }

    fn serialize_u64(self, value: u64) -> Result<()> {
        self.number(value, false)
    }

    fn serialize_u128(self, value: u128) -> Result<()> {
        self.formatted(&format!("{value}"), true)
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        self.formatted(&format!("{value:?}"), value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        self.formatted(&format!("{value:?}"), value.is_finite())
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.not_as_key()?;
        self.word("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.word("}")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'w>> {
        self.open(b'[')
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'w>> {
        self.open(b'[')
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'w>> {
        self.open(b'[')
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'w>> {
        self.open_variant(variant, b'[')
    }

    fn serialize_map(self, _: Option<usize>) -> Result<List<'w>> {
        self.open(b'{')
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<List<'w>> {
        self.open(b'{')
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'w>> {
        self.open_variant(variant, b'{')
    }
}

macro_rules! lists {
    ($($access:ident { $method:ident })*) => {
        $(
            impl $access for List<'_> {
                type Ok = ();
                type Error = Error;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                    self.element(value)
                }

                fn end(self) -> Result<()> {
                    self.close()
                }
            }
        )*
    };
}

lists! {
    SerializeSeq { serialize_element }
    SerializeTuple { serialize_element }
    SerializeTupleStruct { serialize_field }
    SerializeTupleVariant { serialize_field }
}

macro_rules! objects {
    ($($access:ident)*) => {
        $(
            impl $access for List<'_> {
                type Ok = ();
                type Error = Error;

                fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                    self.field(name, value)
                }

                fn end(self) -> Result<()> {
                    self.close()
                }
            }
        )*
    };
}

objects! { SerializeStruct SerializeStructVariant }

impl SerializeMap for List<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.comma();
        self.writer.is_key = true;
        key.serialize(&mut *self.writer)?;
        self.writer.is_key = false;
        self.writer.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<()> {
        self.close()
    }
}
