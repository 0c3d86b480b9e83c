use alloc::{string::String, vec, vec::Vec};
use core::fmt;

use base64ct::{Base64, Encoding};

use super::DATA_BYTES;
use crate::Crc32;

/// Some of the bytes that are carried from one end to the other: `: OFFSET CRC32 BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Where they belong.
    pub offset: u32,
    /// The bytes, at most [`DATA_BYTES`].
    pub bytes: Vec<u8>,
}

impl Data {
    /// The chunk of `all` at this offset; `None` at its end.
    #[must_use]
    pub fn of(all: &[u8], offset: u32) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        let rest = all.get(start..).filter(|rest| !rest.is_empty())?;
        Some(Self { offset, bytes: rest.iter().take(DATA_BYTES).copied().collect() })
    }

    /// What stands behind the `:`; `None` where it is damaged.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let offset = words.next()?.parse().ok()?;
        let checksum = u32::from_str_radix(words.next()?, 16).ok()?;
        let encoded = words.next()?;
        let mut buffer = vec![0; DATA_BYTES];
        let length = Base64::decode(encoded, &mut buffer).ok()?.len();
        buffer.truncate(length);
        let whole = words.next().is_none() && Crc32::of(&buffer) == checksum;
        whole.then_some(Self { offset, bytes: buffer })
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded: String = Base64::encode_string(&self.bytes);
        write!(f, ": {} {:08x} {encoded}", self.offset, Crc32::of(&self.bytes))
    }
}
