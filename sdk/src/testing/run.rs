use serde_json::Value;
use toehold_abi::{JobResult, LogLevel, ProgressStep};

use crate::{JobInfo, Uuid};

/// What a job did on a [`FakeHost`](super::FakeHost).
#[derive(Clone, Debug)]
pub struct Run<S> {
    /// How the run ended.
    pub result: JobResult,
    /// The state that the job left; `None` where it was not entered.
    pub state: Option<S>,
    /// What was logged, by the job and by the SDK.
    pub logs: Vec<LogLine>,
    /// What progress was reported.
    pub progress: Vec<Progress>,
    /// The warnings.
    pub warnings: Vec<String>,
    /// The bytes processed.
    pub bytes: u64,
    /// The items processed.
    pub items: u64,
    /// The bytes of each checkpoint that became durable.
    pub checkpoints: Vec<Vec<u8>>,
    /// How many checkpoints did not.
    pub refused_checkpoints: u64,
    /// How often the job looked for interrupts.
    pub checks: u64,
    /// The operations that the job called.
    pub calls: Vec<Call>,
}

/// What loading an extension did.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What `plugin_init` returned; 0 is success.
    pub code: i32,
    /// The jobs that were registered.
    pub jobs: Vec<JobInfo>,
    /// What was logged.
    pub logs: Vec<LogLine>,
}

/// What a migration of a state came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Migrated<S> {
    /// The state that the job would be entered with; `None` where it can't be migrated.
    pub state: Option<S>,
    /// Its bytes, as the host gets them. No bytes are the default state.
    pub bytes: Option<Vec<u8>>,
    /// What was logged, by the migration and by the SDK.
    pub logs: Vec<LogLine>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: LogLevel,
    /// Its text.
    pub text: String,
}

/// A report of progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// From 0.0 to 1.0.
    pub fraction: f32,
    /// What the job said to it.
    pub message: String,
}

impl Progress {
    /// The step that [`report_step`](crate::JobContext::report_step) reported, if it did.
    #[must_use]
    pub fn step(&self) -> Option<ProgressStep<'_>> {
        ProgressStep::parse(&self.message)
    }
}

/// A call of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The library that it was called in.
    pub library_id: Option<Uuid>,
    /// The input.
    pub input: Value,
}

/// What the border writes down.
#[derive(Default)]
pub(super) struct Record {
    pub(super) logs: Vec<LogLine>,
    pub(super) progress: Vec<Progress>,
    pub(super) warnings: Vec<String>,
    pub(super) bytes: u64,
    pub(super) items: u64,
    pub(super) checkpoints: Vec<Vec<u8>>,
    pub(super) refused_checkpoints: u64,
    pub(super) checks: u64,
    pub(super) calls: Vec<Call>,
    pub(super) jobs: Vec<JobInfo>,
}

impl<S> Run<S> {
    pub(super) fn new(result: JobResult, state: Option<S>, record: Record) -> Self {
        Self {
            result,
            state,
            logs: record.logs,
            progress: record.progress,
            warnings: record.warnings,
            bytes: record.bytes,
            items: record.items,
            checkpoints: record.checkpoints,
            refused_checkpoints: record.refused_checkpoints,
            checks: record.checks,
            calls: record.calls,
        }
    }

    /// The texts of the log.
    #[must_use]
    pub fn log_texts(&self) -> Vec<&str> {
        self.logs.iter().map(|line| line.text.as_str()).collect()
    }

    /// The bytes that the job would go on from.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<&[u8]> {
        self.checkpoints.last().map(Vec::as_slice)
    }
}
