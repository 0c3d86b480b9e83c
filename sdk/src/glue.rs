//! What stands between the exports and the author's functions.

use alloc::vec::Vec;

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

/// One migration of a state: its bytes in the version of today. `None` once it was logged why there are none.
pub(crate) fn migrate<S: State>(
    version: u32,
    from: u32,
    old: Block,
    migration: impl FnOnce(u32, &[u8]) -> Result<S>,
) -> Option<Vec<u8>> {
    panic::install();
    match migrated(version, from, &old, migration) {
        Ok(state) => Some(state),
        Err(error) => {
            let text =
                format_args!("a state of version {from} can't be migrated to version {version}: {error}");
            log(LogLevel::Error, text);
            None
        }
    }
}

fn migrated<S: State>(
    version: u32,
    from: u32,
    old: &[u8],
    migration: impl FnOnce(u32, &[u8]) -> Result<S>,
) -> Result<Vec<u8>> {
    if from >= version {
        return Err(Error::failed(
            "only older states can be; `state_version` in the manifest must be the `version` of #[job]",
        ));
    }
    // No state is the default state, whatever the version.
    if old.is_empty() {
        return Ok(Vec::new());
    }
    Ok(checkpoint::encode(&migration(from, old)?)?)
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

/// Holds a migration to its type, with the state of the job that it is for.
///
/// ```
/// # use toehold_sdk::{JobContext, Result, job};
/// #[job(name = "count", version = 1, migrate = from_text)]
/// fn count(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
///     Ok(())
/// }
///
/// fn from_text(_from: u32, old: &[u8]) -> Result<u64> {
///     Ok(str::from_utf8(old)?.parse()?)
/// }
/// ```
///
/// Another state is a mistake:
///
/// ```compile_fail
/// # use toehold_sdk::{JobContext, Result, job};
/// # #[job(name = "count", version = 1, migrate = from_text)]
/// # fn count(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
/// #     Ok(())
/// # }
/// fn from_text(_from: u32, old: &[u8]) -> Result<i64> {
///     Ok(str::from_utf8(old)?.parse()?)
/// }
/// ```
pub const fn migration_is_sound<S: State>(
    _job: fn(&JobContext, &mut S) -> Result<()>,
    _migration: fn(u32, &[u8]) -> Result<S>,
) {
}
