//! What stands between the exports and the author's functions.

use toehold_abi::{Interrupt, JobResult, LogLevel};

use crate::border::Block;
use crate::{CheckpointError, Error, JobContext, JobInfo, Result, State};
use crate::{checkpoint, extension, log, panic};

/// One run of a job, from what the host handed over to the result that it gets.
pub(crate) fn execute<S: State>(
    ctx: Block,
    state: Block,
    job: impl FnOnce(&JobContext, &mut S) -> Result<()>,
) -> JobResult {
    panic::install();
    finish(run(ctx, state, job))
}

fn run<S: State>(
    ctx_json: Block,
    state_json: Block,
    job: impl FnOnce(&JobContext, &mut S) -> Result<()>,
) -> Result<()> {
    let ctx = JobContext::from_json(&ctx_json)?;
    let mut state = checkpoint::restore(&state_json)?;
    // The job may need the memory, and it may run for hours.
    drop((ctx_json, state_json));
    match job(&ctx, &mut state) {
        Err(Error::Interrupted(interrupt)) => stop(interrupt, ctx.checkpoint(&state)),
        outcome => outcome,
    }
}

/// How a run ends that was asked to stop.
fn stop(interrupt: Interrupt, checkpointed: Result<(), CheckpointError>) -> Result<()> {
    match (checkpointed, interrupt) {
        (Ok(()), _) => {}
        // Nobody will go on from here, so nothing is lost.
        (Err(error), Interrupt::Cancel) => log(LogLevel::Warn, error),
        // "Interrupted" would tell the host that the state is safe.
        (Err(error), _) => return Err(error.into()),
    }
    Err(Error::Interrupted(interrupt))
}

fn finish(outcome: Result<()>) -> JobResult {
    match outcome {
        Ok(()) => JobResult::Completed,
        Err(Error::Interrupted(_)) => JobResult::Interrupted,
        Err(error) => {
            log(LogLevel::Error, error);
            JobResult::Failed
        }
    }
}

/// What the export `plugin_init` does; 0 is success.
pub fn init(jobs: &[JobInfo], author: fn() -> Result<()>) -> i32 {
    panic::install();
    match extension::register(jobs).and_then(|()| author()) {
        Ok(()) => 0,
        Err(error) => {
            log(LogLevel::Error, error);
            1
        }
    }
}

/// What the export `plugin_cleanup` does: the instance goes as a whole, so nothing.
pub const fn cleanup() -> i32 {
    0
}

/// Holds a job's function to its type on every target, so that a mistake shows without a WebAssembly build.
pub const fn job_is_sound<S: State>(_job: fn(&JobContext, &mut S) -> Result<()>) {}
