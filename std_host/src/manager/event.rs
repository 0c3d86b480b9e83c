use serde::{Deserialize, Serialize};
use toehold::{Progress, UnixMillis, Uuid};
use utoipa::ToSchema;

use super::schema;

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    /// The job.
    pub job_id: Uuid,
    /// The how many-th event of the job it is, from 1 up. A progress has the number of the event before it: it is told to
    /// those who listen, and not kept.
    pub seq: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// It waits for its turn.
    Queued,
    /// It runs, or goes on.
    Running {
        /// Its attempt, from 1 up.
        attempt: u32,
    },
    /// It told how far it is.
    Progress {
        /// How far.
        #[schema(value_type = schema::Progress)]
        progress: Progress,
        /// Items processed.
        items: u64,
        /// Bytes processed.
        bytes: u64,
        /// Fuel used.
        #[serde(default)]
        fuel_used: u64,
    },
    /// A checkpoint became durable. The numbers are those of the moment in which this was told; older versions did not keep
    /// them, so they are 0.
    Checkpoint {
        /// The how many-th.
        sequence: u64,
        /// Items processed.
        #[serde(default)]
        items: u64,
        /// Bytes processed.
        #[serde(default)]
        bytes: u64,
        /// Fuel used.
        #[serde(default)]
        fuel_used: u64,
    },
    /// It told of a non-fatal issue.
    Warning {
        /// What it says.
        text: String,
    },
    /// It stands still.
    Paused {
        /// Why, unless somebody asked for it.
        reason: Option<String>,
    },
    /// It failed and will be tried again.
    Retry {
        /// The next attempt.
        attempt: u32,
        /// When that is due. Older versions called it `at`, as the event's own time.
        #[serde(alias = "at")]
        retry_at: UnixMillis,
        /// Why it failed.
        error: String,
    },
    /// It goes on with another version of its extension.
    Upgraded {
        /// The version.
        version: String,
    },
    /// It is done.
    Completed,
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// It was cancelled.
    Cancelled,
    /// It was removed: nothing is kept of it here.
    Removed,
}

impl EventKind {
    /// The words for all that can happen.
    pub(super) const NAMES: [&str; 12] = [
        "queued",
        "running",
        "progress",
        "checkpoint",
        "warning",
        "paused",
        "retry",
        "upgraded",
        "completed",
        "failed",
        "cancelled",
        "removed",
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Progress { .. } => "progress",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Warning { .. } => "warning",
            Self::Paused { .. } => "paused",
            Self::Retry { .. } => "retry",
            Self::Upgraded { .. } => "upgraded",
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Removed => "removed",
        }
    }

    /// Whether it is kept, and so can be read later.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::Progress { .. } | Self::Removed)
    }

    /// Whether no event comes after it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed { .. } | Self::Cancelled | Self::Removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_tells_when_it_happened_and_when_the_next_attempt_is() {
        let kind = EventKind::Retry { attempt: 2, retry_at: 9_000, error: "it broke".to_owned() };
        let event = JobEvent { job_id: Uuid::nil(), seq: 3, at: 8_000, kind };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(json.matches("\"at\":").count(), 1, "{json}");
        assert_eq!(serde_json::from_str::<JobEvent>(&json).unwrap(), event);
        // As it was kept before.
        let old = r#"{"event":"retry","attempt":2,"at":9000,"error":"it broke"}"#;
        assert_eq!(serde_json::from_str::<EventKind>(old).unwrap(), event.kind);
    }
}
