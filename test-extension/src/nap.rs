//! A job that sleeps, by an operation of the host: it takes no fuel and no thread while it does.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// How often the job has slept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NapState {
    /// Milliseconds of each nap.
    pub ms: u64,
    /// How many naps there are.
    pub naps: u64,
    /// How many are over.
    pub done: u64,
}

impl Default for NapState {
    fn default() -> Self {
        Self { ms: 100, naps: 3, done: 0 }
    }
}

/// Takes its naps, with a checkpoint after each.
#[job(name = "nap", version = 1)]
pub fn nap(ctx: &JobContext, state: &mut NapState) -> Result<()> {
    #[derive(Serialize)]
    struct Input {
        ms: u64,
    }

    while state.done < state.naps {
        ctx.check_interrupt()?;
        ctx.call::<_, IgnoredAny>("action:sleep", None, &Input { ms: state.ms })?;
        state.done += 1;
        ctx.increment_items(1);
        ctx.report_step("napping", state.done, state.naps, "");
        ctx.checkpoint(state)?;
    }
    Ok(())
}
