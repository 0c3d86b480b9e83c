use alloc::{string::String, sync::Arc};
use core::fmt;

use crate::{Call, Commit, Fault};

/// What a job came to in its slice.
#[derive(Clone, Debug)]
pub enum Step {
    /// The slice is used up: let others run, then step again.
    Yielded,
    /// The job was asked to pause and stands still where it is. Once it is resumed, step again.
    Paused,
    /// The job waits for an operation: carry it out, then [`Job::answer`](crate::Job::answer).
    Call(Arc<Call>),
    /// The job waits for something to become durable, a checkpoint or what its journal says of an effect: store it, then
    /// [`Job::answer`](crate::Job::answer).
    Commit(Arc<Commit>),
    /// The run is over; stepping again gives this again.
    Finished(Outcome),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The job is done.
    Completed,
    /// The guest stopped by itself, after a checkpoint: [`Job::next_run`](crate::Job::next_run) goes on from there.
    Interrupted,
    /// The job was cancelled.
    Cancelled,
    /// The job failed.
    Failed(Failure),
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What happened.
    pub cause: FailureCause,
    /// The last line that the guest logged as an error: its own words, or its panic's message and place.
    pub last_error: Option<String>,
}

/// Who says that a job failed.
#[derive(Clone, Debug, PartialEq)]
pub enum FailureCause {
    /// The guest, by returning 2.
    Returned,
    /// The host, which ended it.
    Fault(Fault),
}

/// A job was stepped or answered when it was not its turn; nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfTurn {
    /// It was stepped, but waits for the answer to a call or a checkpoint.
    Waits,
    /// It was answered, but waits for nothing, or for the answer to something else.
    NotAsked,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, &self.last_error) {
            (FailureCause::Returned, Some(error)) => f.write_str(error),
            (FailureCause::Returned, None) => f.write_str("the job returned 2 (failed) and logged no error"),
            (FailureCause::Fault(fault), Some(error)) => {
                write!(f, "{fault}; the guest's last error: {error}")
            }
            (FailureCause::Fault(fault), None) => write!(f, "{fault}"),
        }
    }
}

impl fmt::Display for OutOfTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waits => "the job was stepped while it waits for an answer; answer it first",
            Self::NotAsked => {
                "the job was given an answer that it does not wait for; look at what it waits for, or step it"
            }
        })
    }
}

impl core::error::Error for Failure {}
impl core::error::Error for OutOfTurn {}
