//! A job that draws a number and a time when it is entered, and keeps them nowhere but in its memory.

use alloc::format;
use alloc::string::String;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// Random bytes that are drawn.
const LENGTH: u64 = 16;

/// What the job keeps: of what it has drawn nothing, by intent.
///
/// So a run that is replayed after a crash must be given the very values that it was given before, or its effects don't
/// fit together. A new run, which goes on from a checkpoint, draws anew for what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrawState {
    /// How many effects there are.
    pub rounds: u64,
    /// How many were there at the last checkpoint.
    pub done: u64,
}

impl Default for DrawState {
    fn default() -> Self {
        Self { rounds: 20, done: 0 }
    }
}

/// Draws once, and puts what it has drawn under each of the keys that are left.
#[job(name = "draw", version = 1)]
pub fn draw(ctx: &JobContext, state: &mut DrawState) -> Result<()> {
    let drawn = Drawn::of(ctx)?;
    while state.done < state.rounds {
        ctx.check_interrupt()?;
        drawn.put(ctx, state.done)?;
        state.done += 1;
        ctx.increment_items(1);
        ctx.report_step("drawing", state.done, state.rounds, "");
        if state.done == state.rounds / 2 {
            ctx.checkpoint(state)?;
        }
    }
    ctx.info(format_args!("Drew {} at {}, {} times", drawn.random, drawn.time, state.rounds));
    Ok(())
}

/// What must be the same in all effects.
struct Drawn {
    random: String,
    time: u64,
}

impl Drawn {
    fn of(ctx: &JobContext) -> Result<Self> {
        #[derive(Serialize)]
        struct Input {
            length: u64,
        }
        #[derive(Deserialize)]
        struct Random {
            bytes: String,
        }
        #[derive(Deserialize)]
        struct Now {
            unix_ms: u64,
        }
        let random: Random = ctx.call("query:random.bytes", None, &Input { length: LENGTH })?;
        let now: Now = ctx.call("query:time.now", None, &())?;
        Ok(Self { random: random.bytes, time: now.unix_ms })
    }

    fn put(&self, ctx: &JobContext, i: u64) -> Result<()> {
        #[derive(Serialize)]
        struct Input<'a> {
            key: String,
            value: Value<'a>,
        }
        #[derive(Serialize)]
        struct Value<'a> {
            random: &'a str,
            time: u64,
            i: u64,
        }
        let key = format!("draw/{}/{i}", ctx.job_id());
        let input = Input { key, value: Value { random: &self.random, time: self.time, i } };
        ctx.call::<_, IgnoredAny>("action:kv.put", None, &input)?;
        Ok(())
    }
}
