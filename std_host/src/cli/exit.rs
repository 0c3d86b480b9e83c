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
    /// It could not be done: an extension, a state, a file or the data folder is not as it should be, or nobody runs jobs.
    NotStarted = 7,
    /// The job completed, but logged so much that lines were dropped.
    LinesDropped = 8,
}

/// For people, below `--help`.
pub(crate) const HELP: &str = "\
Examples:
  toehold run ./test-extension:counter                    # here and now, without a server
  toehold extension add ./test-extension                  # or: in a data folder that outlives everything
  toehold serve                                           # in another terminal, or as a service
  toehold job dispatch test-extension:counter --follow
  toehold job list

Exit codes:
  0  completed
  1  the job failed by its own account
  2  a mistake on the command line
  3  the host ended the job: a trap, a broken ABI, or a limit; or a replay went another way
  4  cancelled
  5  paused
  6  over --timeout
  7  not done: an extension, a state, a file or the data folder is not as it should be, or nobody runs the jobs
  8  completed, but it logged so much that lines were dropped (`toehold run` only)

Settings come from flags, then from the environment, then from toehold.toml (docs/cli.md):
  TOEHOLD_DATA          as --data
  TOEHOLD_EXTENSIONS    as --extensions
  TOEHOLD_TRUSTED_KEYS  as --trust, with commas between
  TOEHOLD_CONFIG        the file, instead of toehold.toml in the current folder
  RUST_LOG              what is logged to standard error, such as `debug` or `test-extension=debug`";

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
