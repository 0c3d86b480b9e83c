use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Report,
    sealed::{self, FormatError, Kind},
};

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
    /// The how many-th checkpoint of the job it is; 0 is what it was dispatched with.
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
    #[serde(with = "crate::bytes")]
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

const KIND: Kind = Kind { mark: b"toe", name: "checkpoint", version: 1, longest: 256 << 20 };

impl Checkpoint {
    /// The bytes for a store: `toe`, the version, the fields in postcard, CRC-32 of all before it (little-endian).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed::seal(KIND, self)
    }

    /// Reads what [`Checkpoint::encode`] wrote.
    ///
    /// # Errors
    /// [`FormatError`] says what the bytes are instead. The caller must keep them: they may be all that is left
    /// of a job, for another version to read.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, fields) = sealed::unseal(KIND, bytes)?;
        sealed::fields(KIND, fields)
    }
}

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
    fn damage_is_seen() {
        let good = sample().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Checkpoint::decode(&bad).is_err(), "byte {at}");
        }
    }
}
