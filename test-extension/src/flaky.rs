//! A job that panics until it has been tried often enough.

use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// How often the job fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlakyState {
    /// Attempts that end in a panic, before the one that succeeds.
    pub fail_times: u32,
}

impl Default for FlakyState {
    fn default() -> Self {
        Self { fail_times: 2 }
    }
}

/// Asks the host which attempt this is, and panics in the first ones.
#[job(name = "flaky", version = 1)]
pub fn flaky(ctx: &JobContext, state: &mut FlakyState) -> Result<()> {
    #[derive(Deserialize)]
    struct Reply {
        attempt: u32,
    }

    let Reply { attempt } = ctx.call("query:job.attempt", None, &())?;
    if attempt <= state.fail_times {
        panic!("attempt {attempt} fails, as the first {} do", state.fail_times);
    }
    ctx.info(format_args!("Attempt {attempt} succeeds"));
    Ok(())
}
