use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Report;

/// All that a job needs to go on elsewhere. The bytes of [`Checkpoint::encode`] are the same on every architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The job.
    pub job_id: Uuid,
    /// The library that the job was dispatched for, if any.
    pub library: Option<Uuid>,
    /// The extension's id.
    pub extension: String,
    /// The extension's version.
    pub extension_version: String,
    /// The version of the state, as the extension's manifest has it.
    pub state_version: u32,
    /// SHA-256 of the module.
    pub module_hash: [u8; 32],
    /// The job's name without the extension's id.
    pub job: String,
    /// The how many-th checkpoint of the job it is, from 1 up.
    pub sequence: u64,
    /// Calls that the job has made, so that the next one gets a key of its own.
    pub calls: u64,
    /// Fuel that the job had used.
    pub fuel_used: u64,
    /// What the guest may notice of its limits, so that it sees the same elsewhere.
    pub limits: NoticedLimits,
    /// What the job had told of itself.
    pub report: Report,
    /// The state that the guest gave.
    pub state: Vec<u8>,
}

/// Limits that a guest can notice; they belong to the job and travel with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticedLimits {
    /// [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    pub memory_bytes: u64,
    /// [`Limits::table_elements`](crate::Limits::table_elements).
    pub table_elements: u64,
    /// [`Limits::call_depth`](crate::Limits::call_depth).
    pub call_depth: u64,
    /// [`Limits::stack_bytes`](crate::Limits::stack_bytes).
    pub stack_bytes: u64,
}

/// Why bytes are no checkpoint that this version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// They do not start as a checkpoint does.
    Foreign,
    /// A newer version of Toehold wrote them.
    Newer {
        /// The version of the format that they have.
        found: u8,
        /// The newest that this build reads.
        newest: u8,
    },
    /// They are cut short or damaged.
    Damaged,
}

/// `toe`, then the format's version.
const MAGIC: &[u8; 3] = b"toe";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = MAGIC.len() + 1;
const CHECKSUM_BYTES: usize = 4;

impl Checkpoint {
    /// The bytes for a store: `toe`, the version, the fields in postcard, CRC-32 of all before it (little-endian).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.state.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        // A `Vec` takes whatever comes, and no field has a length that serde cannot know: this cannot fail.
        let mut bytes = postcard::to_extend(self, bytes).unwrap_or_default();
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what [`Checkpoint::encode`] wrote.
    ///
    /// # Errors
    /// [`CheckpointError`] says what the bytes are instead. The caller must keep them: they may be all that is left
    /// of a job, for another version to read.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(CheckpointError::Foreign);
        };
        let (magic, version) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(CheckpointError::Foreign);
        }
        match version {
            [VERSION] => {}
            [found] if *found > VERSION => {
                return Err(CheckpointError::Newer { found: *found, newest: VERSION });
            }
            _ => return Err(CheckpointError::Damaged),
        }
        let (covered, checksum) = bytes
            .split_at_checked(bytes.len().saturating_sub(CHECKSUM_BYTES))
            .ok_or(CheckpointError::Damaged)?;
        if crc32fast::hash(covered).to_le_bytes() != checksum {
            return Err(CheckpointError::Damaged);
        }
        let fields = covered.get(HEADER_BYTES..).ok_or(CheckpointError::Damaged)?;
        match postcard::take_from_bytes(fields) {
            Ok((checkpoint, [])) => Ok(checkpoint),
            _ => Err(CheckpointError::Damaged),
        }
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("this is no checkpoint of Toehold"),
            Self::Newer { found, newest } => write!(
                f,
                "the checkpoint has format {found}, this build reads up to {newest}: use a newer Toehold"
            ),
            Self::Damaged => f.write_str("the checkpoint is damaged or cut short"),
        }
    }
}

impl core::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn sample() -> Checkpoint {
        Checkpoint {
            job_id: Uuid::from_u128(1),
            library: None,
            extension: "test-extension".into(),
            extension_version: "0.1.0".into(),
            state_version: 0,
            module_hash: [7; 32],
            job: "counter".into(),
            sequence: 3,
            calls: 2,
            fuel_used: 1 << 40,
            limits: NoticedLimits { memory_bytes: 1, table_elements: 2, call_depth: 3, stack_bytes: 4 },
            report: Report::default(),
            state: vec![1, 2, 3],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Checkpoint::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_damage_is_seen() {
        let good = sample().encode();
        for cut in 0..good.len() {
            assert!(Checkpoint::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Checkpoint::decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let mut newer = sample().encode();
        newer[3] = VERSION + 1;
        let error = Checkpoint::decode(&newer);
        assert_eq!(error, Err(CheckpointError::Newer { found: VERSION + 1, newest: VERSION }));
        assert_eq!(Checkpoint::decode(b"PK\x03\x04"), Err(CheckpointError::Foreign));
    }
}
