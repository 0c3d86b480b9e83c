use std::process::ExitCode;

use toehold::{FailureCause, Outcome};

/// How the command ends, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well.
    Completed = 0,
    /// The job said that it failed.
    Failed = 1,
    // 2 is a mistake on the command line, which `clap` reports.
    /// The host ended the job.
    Fault = 3,
    /// The job was cancelled.
    Cancelled = 4,
    /// The job was paused.
    Paused = 5,
    /// The job took longer than `--timeout`.
    TimedOut = 6,
    /// Nothing ran: an extension, a state or a checkpoint is not as it should be.
    NotStarted = 7,
    /// The job completed, but logged so much that lines were dropped.
    LinesDropped = 8,
}

/// For people, below `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  completed
  1  the job failed by its own account
  2  a mistake on the command line
  3  the host ended the job: a trap, a broken ABI, or a limit
  4  cancelled
  5  paused (Ctrl-C)
  6  over --timeout
  7  nothing ran: an extension, a state or a checkpoint is not as it should be
  8  completed, but it logged so much that lines were dropped

Environment:
  TOEHOLD_EXTENSIONS  as --extensions
  TOEHOLD_DATA        as --data
  RUST_LOG            what is logged to standard error, such as `debug` or `test-extension=debug`";

impl Exit {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Interrupted => Self::Paused,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed(failure) => match failure.cause {
                FailureCause::Returned => Self::Failed,
                FailureCause::Fault(_) => Self::Fault,
            },
        }
    }

    /// The word for it in output that programs read.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Completed | Self::LinesDropped => "completed",
            Self::Failed => "failed",
            Self::Fault => "fault",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::TimedOut => "timed_out",
            Self::NotStarted => "not_started",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
