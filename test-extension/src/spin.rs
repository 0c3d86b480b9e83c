//! A job that only computes.

use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// Rounds from one check for interrupts to the next.
const CHECK_EVERY: u64 = 1_000;

/// How far the computing has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpinState {
    /// How many rounds there are.
    pub rounds: u64,
    /// How many are done.
    pub done: u64,
    /// What they have come to: the same for the same rounds, wherever they were interrupted.
    pub value: u64,
}

impl Default for SpinState {
    fn default() -> Self {
        Self { rounds: 1_000_000, done: 0, value: 1 }
    }
}

/// Computes all rounds. It takes no checkpoint of its own: an interrupt does, and whoever kills it loses its work.
#[job(name = "spin", version = 1)]
pub fn spin(ctx: &JobContext, state: &mut SpinState) -> Result<()> {
    while state.done < state.rounds {
        ctx.check_interrupt()?;
        let rounds = CHECK_EVERY.min(state.rounds - state.done);
        for _ in 0..rounds {
            state.value = round(state.value);
        }
        state.done += rounds;
        ctx.increment_items(rounds);
    }
    ctx.info(format_args!("{} rounds come to {:016x}", state.done, state.value));
    Ok(())
}

/// A step of Marsaglia's xorshift generator, which no compiler can do many of at once.
fn round(mut value: u64) -> u64 {
    value ^= value << 13;
    value ^= value >> 7;
    value ^ value << 17
}
