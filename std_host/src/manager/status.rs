use serde::{Deserialize, Serialize};
use toehold::{JobRecord, JobState, LastWords, Report, UnixMillis, Uuid};

use utoipa::ToSchema;

use super::{Rate, schema};

/// How a job stands, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct JobStatus {
    /// The job's id.
    pub job_id: Uuid,
    /// Its full name, `EXTENSION_ID:NAME`.
    pub job: String,
    /// How it stands.
    #[serde(with = "state")]
    #[schema(value_type = schema::JobState)]
    pub state: JobState,
    /// What it is asked for and has not come to yet: `pause` or `cancel`.
    pub wanted: Option<String>,
    /// Why it is paused or failed, or waits for another attempt.
    pub reason: Option<String>,
    /// `low`, `normal` or `high`.
    pub priority: String,
    /// The attempt that it is at, from 1 up.
    pub attempt: u32,
    /// Attempts that it has.
    pub attempts: u32,
    /// When the next attempt is due, while it waits for one.
    pub retry_at: Option<UnixMillis>,
    /// When a sleep is over that it is in.
    pub sleeps_until: Option<UnixMillis>,
    /// The library that it works on.
    pub library: Option<Uuid>,
    /// The job that dispatched it.
    pub parent: Option<Uuid>,
    /// SHA-256 of the module that it runs on, in hexadecimal digits.
    pub module: String,
    /// When it was dispatched, in milliseconds since 1970, as all times here.
    pub created_at: UnixMillis,
    /// When it first ran.
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// What it tells of itself.
    #[schema(value_type = schema::Report)]
    pub report: Report,
    /// How fast it is, while it runs.
    pub rate: Option<Rate>,
    /// Fuel that it has used.
    pub fuel_used: u64,
    /// What is left to say of a job that failed.
    #[schema(value_type = Option<schema::LastWords>)]
    pub last_words: Option<LastWords>,
}

impl JobStatus {
    /// How a job stands by its record, with how fast it is if that is known.
    #[must_use]
    pub fn new(job_id: Uuid, record: JobRecord, rate: Option<Rate>) -> Self {
        let wanted = match record.wanted {
            toehold::Interrupt::None => None,
            toehold::Interrupt::Pause => Some("pause".to_owned()),
            toehold::Interrupt::Cancel => Some("cancel".to_owned()),
        };
        let reached = matches!(record.state, JobState::Paused) || record.state.is_final();
        Self {
            job_id,
            job: record.job,
            state: record.state,
            wanted: wanted.filter(|_| !reached),
            reason: record.reason,
            priority: record.priority.name().to_owned(),
            attempt: record.attempt,
            attempts: record.attempts,
            retry_at: record.retry_at,
            sleeps_until: record.sleep.map(|sleep| sleep.until),
            library: record.library,
            parent: record.parent,
            module: hex(&record.module_hash),
            created_at: record.created_at,
            started_at: record.started_at,
            ended_at: record.ended_at,
            report: record.report,
            rate,
            fuel_used: record.fuel_used,
            last_words: record.last_words,
        }
    }
}

/// Characters of a text that a list shows.
const LISTED_CHARS: usize = 300;

impl JobStatus {
    /// The same for a list of many: without warnings and last lines, and with texts cut. A guest may write as much as its limits
    /// let it, and a list has it a thousand times.
    #[must_use]
    pub(crate) fn listed(mut self) -> Self {
        self.report.warnings.clear();
        let cut = |text: &mut String| {
            if let Some((end, _)) = text.char_indices().nth(LISTED_CHARS) {
                text.truncate(end);
                text.push('…');
            }
        };
        if let Some(progress) = &mut self.report.progress {
            cut(&mut progress.message);
            progress.phase.iter_mut().for_each(cut);
        }
        self.reason.iter_mut().for_each(cut);
        if let Some(words) = &mut self.last_words {
            words.log_tail.clear();
            cut(&mut words.cause);
            words.last_error.iter_mut().for_each(cut);
        }
        self
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By its name.
mod state {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use toehold::JobState;

    pub(super) fn serialize<S: Serializer>(state: &JobState, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(state.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<JobState, D::Error> {
        let name = String::deserialize(from)?;
        JobState::from_name(&name).ok_or_else(|| D::Error::custom(format!("{name:?} is no state of a job")))
    }
}
