//! A job that counts.

use alloc::format;

use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// Items from checkpoint to checkpoint.
const CHECKPOINT_EVERY: u64 = 10;

/// How far the counting has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterState {
    /// What was counted last.
    pub current: u64,
    /// Where the counting ends.
    pub target: u64,
    /// Items that were counted, in all runs of the job.
    pub processed: u64,
}

impl Default for CounterState {
    fn default() -> Self {
        Self { current: 0, target: 100, processed: 0 }
    }
}

/// Counts from `current` to `target`.
#[job(name = "counter", version = 1)]
pub fn counter(ctx: &JobContext, state: &mut CounterState) -> Result<()> {
    ctx.info(format_args!("Starting counter (current: {}, target: {})", state.current, state.target));
    while state.current < state.target {
        ctx.check_interrupt()?;

        state.current += 1;
        state.processed += 1;
        ctx.increment_items(1);
        ctx.report_progress(
            state.current as f32 / state.target as f32,
            format!("Counted {}/{}", state.current, state.target),
        );

        if state.current.is_multiple_of(CHECKPOINT_EVERY) {
            ctx.checkpoint(state)?;
        }
    }
    ctx.info("✓ Completed!");
    Ok(())
}
