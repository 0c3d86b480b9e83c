//! How types of the core look in JSON, for the description of the API: the core itself knows nothing of that.
//! A test in `tests/it/web` holds what the API answers to it.

use utoipa::ToSchema;

/// `queued`: waits for its turn; `running`; `paused`: until somebody resumes it; `completed`, `failed` and `cancelled`: over.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code)]
pub(crate) enum JobState {
    Queued,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

/// What a job has told of itself so far.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct Report {
    /// How far it is, if it ever said.
    progress: Option<Progress>,
    /// Items processed.
    items: u64,
    /// Bytes processed.
    bytes: u64,
    /// Non-fatal issues, oldest first.
    warnings: Vec<String>,
    /// Warnings that were over the limit.
    warnings_dropped: u64,
    /// Log lines that were let through.
    log_lines: u64,
    /// Log lines that were over the limit.
    log_lines_dropped: u64,
    /// Values that were refused: a progress that is no number, a negative count.
    refused: u64,
    /// Checkpoints that became durable.
    checkpoints: u64,
}

/// How far a job is.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct Progress {
    /// 0.0 to 1.0.
    fraction: f32,
    /// What part of its work it is in, if it says so.
    phase: Option<String>,
    /// How many of how many steps are done, if it says so.
    #[schema(min_items = 2, max_items = 2)]
    steps: Option<Vec<u64>>,
    /// What it is at.
    message: String,
}

/// What is left to say of a job that failed.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct LastWords {
    /// What happened: the fault with its host function, or that the job said so itself.
    cause: String,
    /// Whether the host ended the job.
    fault: bool,
    /// The last line that it logged as an error.
    last_error: Option<String>,
    /// Bytes of linear memory that it had.
    memory_bytes: u64,
    /// Its last log lines, oldest first.
    log_tail: Vec<LogLine>,
}

/// A line that a job logged.
#[derive(ToSchema)]
#[schema(as = LastLine)]
#[allow(dead_code)]
pub(crate) struct LogLine {
    /// How bad it is: 0 debug, 1 info, 2 warn, 3 error.
    level: i32,
    /// What it says.
    text: String,
}
