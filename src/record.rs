use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Interrupt, LOG_TAIL_LINES, LogLine, Report,
    bounded::at_most,
    sealed::{self, FormatError, Kind},
};

/// Milliseconds since 1970, UTC, by whatever clock a host has. It may jump.
pub type UnixMillis = u64;

/// What a host keeps of a job besides its checkpoints: what it is, and how it stands.
///
/// [`JobRecord::encode`] gives the same bytes on every architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job's full name, `EXTENSION_ID:NAME`.
    pub job: String,
    /// SHA-256 of the module that it runs on.
    pub module_hash: [u8; 32],
    /// The library that it works on, if any.
    pub library: Option<Uuid>,
    /// The job that dispatched it, if one did: it is cancelled with that one.
    pub parent: Option<Uuid>,
    /// How it stands.
    pub state: JobState,
    /// What somebody asked it for that may not have come about yet. It holds when the job goes on after a crash.
    #[serde(with = "interrupt")]
    pub wanted: Interrupt,
    /// Its share of the host, and its place in the queue.
    pub priority: Priority,
    /// Why it is paused or failed, or waits for another attempt; for people.
    pub reason: Option<String>,
    /// The how many-th attempt it is at, from 1 up. A fault ends one.
    pub attempt: u32,
    /// Attempts that it has.
    pub attempts: u32,
    /// When the next attempt is due, while it waits for one.
    pub retry_at: Option<UnixMillis>,
    /// The sleep that it is in, if any, so that it sleeps on after a restart.
    pub sleep: Option<Sleep>,
    /// When it was dispatched.
    pub created_at: UnixMillis,
    /// When it first ran.
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// What it had told of itself when this was written.
    pub report: Report,
    /// Fuel that it had used when this was written.
    pub fuel_used: u64,
    /// What there is to say of a job that failed.
    pub last_words: Option<LastWords>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// It waits for its turn: for a place among the jobs that run, or for another attempt.
    Queued,
    /// It runs, sleeps, or waits for an operation.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// It is done.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A job's share of the host: the next higher one gets eight times the fuel, where both have use for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// What others leave.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before all others.
    High,
}

/// A sleep, as the job asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// The number of the call, which its key has.
    pub call: u64,
    /// Milliseconds that it lasts.
    pub ms: u64,
    /// When it is over.
    pub until: UnixMillis,
}

/// What is kept of a job that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastWords {
    /// What happened: the fault with its host function, or that the job returned 2.
    pub cause: String,
    /// Whether the host ended the job; else the job itself said that it failed.
    pub fault: bool,
    /// The last line that the guest logged as an error: its own words, or its panic's message and place.
    pub last_error: Option<String>,
    /// Bytes of linear memory that it had.
    pub memory_bytes: u64,
    /// Its last log lines, oldest first.
    #[serde(deserialize_with = "at_most::<LOG_TAIL_LINES, _, _>")]
    pub log_tail: Vec<LogLine>,
}

const KIND: Kind = Kind { mark: b"tor", name: "job record", version: 1, longest: 16 << 20 };

impl JobRecord {
    /// The bytes for a store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed::seal(KIND, self)
    }

    /// Reads what [`JobRecord::encode`] wrote.
    ///
    /// # Errors
    /// [`FormatError`] says what the bytes are instead.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, fields) = sealed::unseal(KIND, bytes)?;
        sealed::fields(KIND, fields)
    }

    /// The id of the extension.
    #[must_use]
    pub fn extension(&self) -> &str {
        self.job.split_once(':').map_or(self.job.as_str(), |(extension, _)| extension)
    }

    /// The job's name without the extension's id.
    #[must_use]
    pub fn name(&self) -> &str {
        self.job.split_once(':').map_or(self.job.as_str(), |(_, name)| name)
    }
}

impl JobState {
    /// All six, in the order in which a job may go through them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl Priority {
    /// All three, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The priority of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
    }

    /// Its share of the fuel, next to others' shares.
    pub(crate) const fn weight(self) -> u64 {
        match self {
            Self::Low => 1,
            Self::Normal => 8,
            Self::High => 64,
        }
    }
}

impl core::fmt::Display for JobState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl core::fmt::Display for Priority {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// As the ABI's code.
mod interrupt {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Interrupt;

    pub(super) fn serialize<S: Serializer>(interrupt: &Interrupt, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(interrupt.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Interrupt, D::Error> {
        let code = i32::deserialize(from)?;
        Interrupt::from_code(code).ok_or_else(|| D::Error::custom("no such interrupt"))
    }
}
