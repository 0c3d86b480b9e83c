//! The job's state on its way to the host and back. It is JSON, so that people and other languages can read it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::any;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toehold_abi::Checkpointed;

use crate::{Error, Uuid, border, json};

/// What a job keeps from run to run: anything with a default that serde can write and read.
///
/// A field that is added later should have a `#[serde(default)]`, so that older checkpoints stay readable.
pub trait State: Default + Serialize + DeserializeOwned {}

impl<S: Default + Serialize + DeserializeOwned> State for S {}

/// Why a checkpoint was not taken. An older one, if any, still holds.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The host could not make the state durable.
    NotDurable,
    /// The state can't be written as JSON, for one where a map's keys are not text.
    Encode {
        /// What serde says.
        reason: String,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDurable => f.write_str("the host could not make the checkpoint durable"),
            Self::Encode { reason } => {
                f.write_str("the state can't be written as JSON: ")?;
                f.write_str(reason)
            }
        }
    }
}

/// As for people: what quotes text takes tables of Unicode along, into each guest.
impl fmt::Debug for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for CheckpointError {}

pub(crate) fn save<S: Serialize + ?Sized>(job_id: &Uuid, state: &S) -> Result<(), CheckpointError> {
    save_json(job_id, encode(state)?)
}

fn save_json(job_id: &Uuid, json: Vec<u8>) -> Result<(), CheckpointError> {
    match Checkpointed::from_code(border::checkpoint(job_id, &json)) {
        Some(Checkpointed::Durable) => Ok(()),
        _ => Err(CheckpointError::NotDurable),
    }
}

/// The bytes of a state.
pub(crate) fn encode<S: Serialize + ?Sized>(state: &S) -> Result<Vec<u8>, CheckpointError> {
    json::to_vec(state).map_err(|error| CheckpointError::Encode { reason: error.to_string() })
}

/// The state in `bytes`; no bytes are the default state.
pub(crate) fn restore<S: State>(bytes: &[u8]) -> Result<S, Error> {
    if bytes.is_empty() {
        return Ok(S::default());
    }
    json::from_slice(bytes).map_err(|error| unreadable::<S>("state", bytes, &error))
}

/// What to say of JSON from the host that is not a `T`.
pub(crate) fn unreadable<T>(what: &str, found: &[u8], error: &dyn fmt::Display) -> Error {
    Error::failed(describe(what, any::type_name::<T>(), found, error))
}

pub(crate) fn describe(what: &str, expected: &str, found: &[u8], error: &dyn fmt::Display) -> String {
    let start = found.get(..EXCERPT).unwrap_or(found);
    let shown = match str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => {
            found.get(..error.valid_up_to()).and_then(|text| str::from_utf8(text).ok()).unwrap_or("")
        }
    };
    let more = if shown.len() < found.len() { "..." } else { "" };
    format!(
        "the {what} can't be read: expected {expected} as JSON, found {} bytes `{}{more}`: {error}",
        found.len() as u64,
        shown,
    )
}

/// Bytes of what was found that a message shows.
const EXCERPT: usize = 80;
