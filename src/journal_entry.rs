//! The entries of a journal, and the bytes that they are stored as.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use toehold_abi::QUERY_PREFIX;
use uuid::Uuid;

use crate::{Crc32, sealed::FormatError};

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JournalEntry {
    /// The guest called an operation. One that may have an effect is noted before it is carried out.
    Call(CallDigest),
    /// The reply to the call before, as JSON: what an operation or a refusal gave.
    Reply(#[serde(with = "crate::bytes")] Vec<u8>),
    /// The guest asked for a checkpoint, and was told whether it is durable.
    Checkpoint {
        /// The state that it gave.
        state: Digest,
        /// What it was told.
        durable: bool,
    },
    /// From its so many-th question whether to stop on, counted from 1, the guest was told this.
    Interrupt {
        /// The question.
        check: u64,
        /// The ABI's code.
        code: i32,
    },
}

/// What is noted of a call, to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDigest {
    /// The number of its key.
    pub number: u64,
    /// The operation's name.
    pub method: String,
    /// The library that the call is about.
    pub library: Option<Uuid>,
    /// The payload.
    pub payload: Digest,
    /// Whether it was refused, and so went nowhere.
    pub refused: bool,
}

/// Enough of some bytes to see that others are not the same, where nobody means to deceive: a guest could only lie to
/// itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many they are.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc32: u32,
}

const MARK: &[u8; 3] = b"toj";
const VERSION: u8 = 1;
const WHAT: &str = "journal";
/// Bytes behind each entry.
const CHAIN_BYTES: usize = 4;
/// Bytes of a journal that is read; far above what `Limits::journal_bytes` is set to.
const LONGEST: usize = 256 << 20;

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, crc32: Crc32::of(bytes) }
    }
}

impl CallDigest {
    /// Whether the call may have changed something outside of the job.
    #[must_use]
    pub fn is_effect(&self) -> bool {
        !self.refused && !self.method.starts_with(QUERY_PREFIX)
    }
}

impl JournalEntry {
    /// Reads a journal, as [`Saved::journal`](crate::Saved::journal) has it.
    ///
    /// # Errors
    /// [`FormatError`] says what the bytes are instead.
    pub fn decode_all(journal: &[u8]) -> Result<Vec<Self>, FormatError> {
        Writer::follow(journal).map(|(entries, _)| entries)
    }

    /// Checks that a journal can be read, one entry after the other: this needs no memory for all of them.
    pub(crate) fn check_all(journal: &[u8]) -> Result<(), FormatError> {
        Writer::default().each(journal, drop)
    }

    /// Bytes of memory that a journal's entries take once they are read, or more: a small entry takes many times its bytes.
    ///
    /// For hosts with little of it, which must know before they read what may come from anywhere.
    #[must_use]
    pub fn memory(journal: &[u8]) -> usize {
        let (mut entries, mut rest) = (0_usize, journal.get(MARK.len() + 1..).unwrap_or_default());
        while let Some((length, fields)) = rest.split_first_chunk::<4>() {
            entries += 1;
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            rest = fields.get(length.saturating_add(CHAIN_BYTES)..).unwrap_or_default();
        }
        // A list that grows is there twice for a moment, the second time with up to twice as many places.
        entries.saturating_mul(3 * size_of::<Self>()).saturating_add(journal.len())
    }

    /// The bytes of a journal with these entries.
    #[must_use]
    pub fn encode_all(entries: &[Self]) -> Vec<u8> {
        let (mut writer, mut journal) = (Writer::default(), Vec::new());
        entries.iter().for_each(|entry| writer.write(entry, &mut journal));
        journal
    }
}

/// Encodes entries: `toj` and the version once, then for each its length (`u32`), the entry in postcard, and the
/// CRC-32 of both and of the CRC-32 before it, so that none can be missing or out of order. Integers are little-endian.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    begun: bool,
    chain: u32,
}

impl Writer {
    pub(crate) fn write(&mut self, entry: &JournalEntry, to: &mut Vec<u8>) {
        if !self.begun {
            to.extend_from_slice(MARK);
            to.push(VERSION);
            self.begun = true;
        }
        // A `Vec` takes whatever comes: this cannot fail.
        let fields = postcard::to_allocvec(entry).unwrap_or_default();
        // An entry holds a reply at most, which a guest's 32-bit length counts.
        let length = (fields.len() as u32).to_le_bytes();
        self.chain = self.next(&length, &fields);
        to.extend_from_slice(&length);
        to.extend_from_slice(&fields);
        to.extend_from_slice(&self.chain.to_le_bytes());
    }

    fn next(&self, length: &[u8], fields: &[u8]) -> u32 {
        let mut hasher = Crc32::new();
        hasher.update(&self.chain.to_le_bytes());
        hasher.update(length);
        hasher.update(fields);
        hasher.finish()
    }

    /// The entries of a journal, and who goes on writing it.
    pub(crate) fn follow(journal: &[u8]) -> Result<(Vec<JournalEntry>, Self), FormatError> {
        let (mut writer, mut entries) = (Self::default(), Vec::new());
        writer.each(journal, |entry| entries.push(entry))?;
        Ok((entries, writer))
    }

    /// Reads entry after entry, up to the last, behind which it can go on writing.
    fn each(&mut self, journal: &[u8], mut take: impl FnMut(JournalEntry)) -> Result<(), FormatError> {
        if journal.is_empty() {
            return Ok(());
        }
        if journal.len() > LONGEST {
            return Err(FormatError::TooLarge { what: WHAT, bytes: journal.len(), limit: LONGEST });
        }
        let mut rest = match journal.strip_prefix(MARK) {
            Some([VERSION, rest @ ..]) => rest,
            Some([found, ..]) if *found > VERSION => {
                return Err(FormatError::Newer { what: WHAT, found: *found, newest: VERSION });
            }
            Some(_) => return Err(FormatError::Damaged { what: WHAT }),
            None => return Err(FormatError::Foreign { expected: WHAT }),
        };
        self.begun = true;
        while !rest.is_empty() {
            let (entry, left) = self.read(rest).ok_or(FormatError::Damaged { what: WHAT })?;
            take(entry);
            rest = left;
        }
        Ok(())
    }

    fn read<'b>(&mut self, bytes: &'b [u8]) -> Option<(JournalEntry, &'b [u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (fields, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let chain = self.next(length, fields);
        if chain.to_le_bytes() != *checksum {
            return None;
        }
        self.chain = chain;
        match postcard::take_from_bytes(fields).ok()? {
            (entry, []) => Some((entry, rest)),
            _ => None,
        }
    }
}

impl fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "call {} of {} with {}", call.number, call.method, call.payload),
            Self::Reply(json) => write!(f, "a reply of {}", Digest::of(json)),
            Self::Checkpoint { state, .. } => write!(f, "a checkpoint of {state}"),
            Self::Interrupt { check, code } => write!(f, "interrupt {code} at question {check}"),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes (CRC-32 {:08x})", self.bytes, self.crc32)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    fn entries() -> Vec<JournalEntry> {
        let payload = Digest::of(b"{}");
        let method = "action:kv.put".to_string();
        vec![
            JournalEntry::Call(CallDigest { number: 3, method, library: None, payload, refused: false }),
            JournalEntry::Reply(b"null".to_vec()),
            JournalEntry::Interrupt { check: 7, code: 1 },
            JournalEntry::Checkpoint { state: Digest::of(b"x"), durable: true },
        ]
    }

    fn encoded() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut writer) = (Vec::new(), vec![0], Writer::default());
        for entry in entries() {
            writer.write(&entry, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_was_written_is_read_up_to_any_entry() {
        let (bytes, ends) = encoded();
        for (count, end) in ends.iter().enumerate() {
            assert_eq!(JournalEntry::decode_all(&bytes[..*end]), Ok(entries()[..count].to_vec()));
        }
    }

    #[test]
    fn damage_and_missing_entries_are_seen() {
        let (bytes, ends) = encoded();
        for cut in (0..bytes.len()).filter(|cut| !ends.contains(cut) && *cut != 4) {
            assert!(JournalEntry::decode_all(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert!(JournalEntry::decode_all(&bad).is_err(), "byte {at}");
        }
        let without_second = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
        assert!(JournalEntry::decode_all(&without_second).is_err());
        assert!(matches!(JournalEntry::decode_all(b"toj\x02"), Err(FormatError::Newer { .. })));
        assert!(matches!(JournalEntry::decode_all(b"toe\x01"), Err(FormatError::Foreign { .. })));
    }
}
