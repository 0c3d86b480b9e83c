//! The frame around what is stored: a mark that says what it is, the format's version, postcard, and a checksum.

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use crate::Crc32;

/// What stored bytes are, and the newest version of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What they start with.
    pub(crate) mark: &'static [u8; 3],
    /// How people call it.
    pub(crate) name: &'static str,
    /// The newest version that this build reads, and the one that it writes.
    pub(crate) version: u8,
    /// More bytes than this are refused before any are read.
    pub(crate) longest: usize,
}

/// Why stored bytes can't be read. Whoever has them must keep them: they may be all that is left of a job, for another
/// version to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// They do not start as they should.
    Foreign {
        /// What they should be.
        expected: &'static str,
    },
    /// A newer version of Toehold wrote them.
    Newer {
        /// What they are.
        what: &'static str,
        /// The version of the format that they have.
        found: u8,
        /// The newest that this build reads.
        newest: u8,
    },
    /// They are cut short or damaged.
    Damaged {
        /// What they are.
        what: &'static str,
    },
    /// They are longer than anything that Toehold writes.
    TooLarge {
        /// What they should be.
        what: &'static str,
        /// Their bytes.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
}

const VERSION_BYTES: usize = 1;
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// Three bytes that say what it is, the version, the fields in postcard, CRC-32 of all before it (little-endian).
pub(crate) fn seal(kind: Kind, fields: &impl Serialize) -> Vec<u8> {
    // All at once: a `Vec` that grows has up to three times as much for a while.
    let length = postcard::serialize_with_flavor(fields, Size::default()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(kind.mark.len() + VERSION_BYTES + length + CHECKSUM_BYTES);
    bytes.extend_from_slice(kind.mark);
    bytes.push(kind.version);
    // A `Vec` takes whatever comes, and no field has a length that serde cannot know: this cannot fail.
    let mut bytes = postcard::to_extend(fields, bytes).unwrap_or_default();
    let checksum = Crc32::of(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version that bytes were sealed with, and their fields, which are undamaged.
pub(crate) fn unseal(kind: Kind, bytes: &[u8]) -> Result<(u8, &[u8]), FormatError> {
    let version = version(kind, bytes, bytes.len())?;
    let damaged = FormatError::Damaged { what: kind.name };
    let Some((covered, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else { return Err(damaged) };
    let header = kind.mark.len() + VERSION_BYTES;
    if Crc32::of(covered).to_le_bytes() != *checksum {
        return Err(damaged);
    }
    covered.get(header..).map(|fields| (version, fields)).ok_or(damaged)
}

/// The version that so many bytes, which begin with these, were sealed with. Refuses what is too long or too new.
pub(crate) fn version(kind: Kind, bytes: &[u8], length: usize) -> Result<u8, FormatError> {
    let what = kind.name;
    let version = match bytes.strip_prefix(kind.mark) {
        Some([version, ..]) => *version,
        _ => return Err(FormatError::Foreign { expected: what }),
    };
    if version > kind.version {
        return Err(FormatError::Newer { what, found: version, newest: kind.version });
    }
    if length > kind.longest {
        return Err(FormatError::TooLarge { what, bytes: length, limit: kind.longest });
    }
    Ok(version)
}

/// All of `fields` as a `T`.
pub(crate) fn fields<'de, T: Deserialize<'de>>(kind: Kind, fields: &'de [u8]) -> Result<T, FormatError> {
    match postcard::take_from_bytes(fields) {
        Ok((value, [])) => Ok(value),
        _ => Err(FormatError::Damaged { what: kind.name }),
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { expected } => write!(f, "this is no {expected} of Toehold"),
            Self::Newer { what, found, newest } => write!(
                f,
                "the {what} has format {found}, this build reads up to {newest}: use a newer Toehold"
            ),
            Self::Damaged { what } => write!(f, "the {what} is damaged or cut short"),
            Self::TooLarge { what, bytes, limit } => {
                write!(f, "the {what} has {bytes} bytes, more than the {limit} that any has")
            }
        }
    }
}

impl core::error::Error for FormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { mark: b"abc", name: "thing", version: 2, longest: 64 };

    fn open(bytes: &[u8]) -> Result<(u32, u8), FormatError> {
        let (version, rest) = unseal(KIND, bytes)?;
        Ok((fields(KIND, rest)?, version))
    }

    #[test]
    fn every_damage_is_seen() {
        let good = seal(KIND, &70_000_u32);
        assert_eq!(open(&good), Ok((70_000, 2)));
        for cut in 0..good.len() {
            assert!(open(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(open(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn an_error_says_what_the_bytes_are_instead() {
        let mut newer = seal(KIND, &1_u32);
        newer[3] = 3;
        assert_eq!(open(&newer), Err(FormatError::Newer { what: "thing", found: 3, newest: 2 }));
        assert_eq!(open(b"PK\x03\x04"), Err(FormatError::Foreign { expected: "thing" }));
        assert_eq!(open(b""), Err(FormatError::Foreign { expected: "thing" }));
        let long = seal(KIND, &[7_u8; 80].as_slice());
        assert!(matches!(open(&long), Err(FormatError::TooLarge { limit: 64, .. })));
        let more = seal(KIND, &(1_u32, 0_u8));
        assert_eq!(open(&more), Err(FormatError::Damaged { what: "thing" }));
    }
}
