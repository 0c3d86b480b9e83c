//! The frame around what the store itself writes: as in docs/checkpoint-format.md, a mark, the version, postcard, a checksum.

use alloc::vec::Vec;

use postcard::ser_flavors::Size;
use serde::{Serialize, de::DeserializeOwned};

/// What framed bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// What they start with.
    pub(crate) mark: &'static [u8; 3],
    /// The version that this build reads and writes.
    pub(crate) version: u8,
}

/// Why framed bytes can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are not what they should be, or not whole.
    Damaged,
    /// A newer version wrote them.
    Newer(u8),
}

/// Bytes of a frame without what is in it.
pub(crate) const FRAME_BYTES: usize = 8;

pub(crate) fn seal(kind: Kind, fields: &impl Serialize) -> Vec<u8> {
    // All at once: a `Vec` that grows has up to three times as much for a while.
    let length = postcard::serialize_with_flavor(fields, Size::default()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(FRAME_BYTES + length);
    bytes.extend_from_slice(kind.mark);
    bytes.push(kind.version);
    // A `Vec` takes whatever comes, and no field has a length that serde cannot know: this cannot fail.
    let mut bytes = postcard::to_extend(fields, bytes).unwrap_or_default();
    let checksum = toehold::Crc32::of(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(crate) fn unseal<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, Unreadable> {
    // A newer version may have its checksum elsewhere, so its mark is all that there is to go by.
    match bytes.strip_prefix(kind.mark) {
        Some([version, ..]) if *version > kind.version => return Err(Unreadable::Newer(*version)),
        Some([version, ..]) if *version == kind.version => {}
        _ => return Err(Unreadable::Damaged),
    }
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Damaged)?;
    if toehold::Crc32::of(covered).to_le_bytes() != *checksum {
        return Err(Unreadable::Damaged);
    }
    let fields = covered.get(kind.mark.len() + 1..).ok_or(Unreadable::Damaged)?;
    match postcard::take_from_bytes(fields) {
        Ok((value, [])) => Ok(value),
        _ => Err(Unreadable::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_seen() {
        let kind = Kind { mark: b"abc", version: 2 };
        let good = seal(kind, &70_000_u32);
        assert_eq!(good.len(), FRAME_BYTES + 3);
        assert_eq!(unseal(kind, &good), Ok(70_000_u32));
        for cut in 0..good.len() {
            assert!(unseal::<u32>(kind, &good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(unseal::<u32>(kind, &bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert_eq!(unseal::<u32>(Kind { version: 1, ..kind }, &good), Err(Unreadable::Newer(2)));
        assert_eq!(unseal::<(u32, u8)>(kind, &good), Err(Unreadable::Damaged));
    }
}
