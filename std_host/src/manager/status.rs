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

#[cfg(test)]
mod tests {
    use toehold::{Interrupt, JobRecord, LastWords, LogLevel, LogLine, Priority, Progress, Report};

    use super::*;

    #[test]
    fn a_list_has_no_more_of_a_job_than_it_shows() {
        let long = "ü".repeat(100_000);
        let record = JobRecord {
            job: "a:b".to_owned(),
            module_hash: [0; 32],
            library: None,
            parent: None,
            state: JobState::Failed,
            wanted: Interrupt::None,
            priority: Priority::Normal,
            reason: Some(long.clone()),
            attempt: 1,
            attempts: 1,
            retry_at: None,
            sleep: None,
            created_at: 1,
            started_at: None,
            ended_at: None,
            report: Report {
                progress: Some(Progress {
                    fraction: 0.5,
                    phase: Some(long.clone()),
                    steps: None,
                    message: long.clone(),
                }),
                warnings: vec![long.clone(); 100],
                ..Report::default()
            },
            fuel_used: 7,
            last_words: Some(LastWords {
                cause: long.clone(),
                fault: true,
                log_tail: vec![LogLine { level: LogLevel::Info, text: long.clone() }; 16],
                last_error: Some(long.clone()),
                memory_bytes: 3,
            }),
        };
        let whole = JobStatus::new(Uuid::nil(), record, None);
        let listed = whole.clone().listed();
        let cut = format!("{}…", "ü".repeat(LISTED_CHARS));
        let progress = listed.report.progress.as_ref().unwrap();
        assert_eq!(
            (progress.message.as_str(), progress.phase.as_deref()),
            (cut.as_str(), Some(cut.as_str()))
        );
        assert_eq!(listed.reason.as_deref(), Some(cut.as_str()));
        let words = listed.last_words.as_ref().unwrap();
        assert_eq!((words.cause.as_str(), words.last_error.as_deref()), (cut.as_str(), Some(cut.as_str())));
        assert!(serde_json::to_string(&listed).unwrap().len() < 5_000);
        assert_eq!((listed.fuel_used, words.memory_bytes), (7, 3), "all else is as it was");
        // What is short stays.
        let mut short = whole;
        short.reason = Some("x".repeat(LISTED_CHARS));
        assert_eq!(short.clone().listed().reason, short.reason);
    }
}
