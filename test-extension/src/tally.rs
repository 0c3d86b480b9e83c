//! A job whose every item has an effect outside of it, and that sees whether any was carried out twice.

use alloc::format;
use alloc::string::String;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toehold_sdk::{Error, JobContext, Result, job};

/// Items from checkpoint to checkpoint.
const CHECKPOINT_EVERY: u64 = 10;

/// How far the tally has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TallyState {
    /// The last item that was put.
    pub current: u64,
    /// The last item that there is.
    pub target: u64,
    /// What the keys start with, before the job's id and the item.
    pub prefix: String,
    /// Milliseconds to sleep after each item.
    pub pace_ms: u64,
    /// All versions that the host gave, added up: `current`, as long as each item was put once.
    pub versions: u64,
}

impl Default for TallyState {
    fn default() -> Self {
        Self { current: 0, target: 100, prefix: "tally".into(), pace_ms: 0, versions: 0 }
    }
}

/// Puts the items from `current` to `target` into the host's key-value store, each under a key of its own.
#[job(name = "tally", version = 1)]
pub fn tally(ctx: &JobContext, state: &mut TallyState) -> Result<()> {
    while state.current < state.target {
        ctx.check_interrupt()?;

        // The state changes only once the effect is known to be there.
        state.versions += put(ctx, &state.prefix, state.current + 1)?;
        state.current += 1;
        ctx.increment_items(1);
        ctx.report_step("counting", state.current, state.target, "");

        if state.current.is_multiple_of(CHECKPOINT_EVERY) {
            ctx.checkpoint(state)?;
        }
        if state.pace_ms > 0 {
            sleep(ctx, state.pace_ms)?;
        }
    }
    ctx.info(format_args!("Put {} items, the versions add up to {}", state.current, state.versions));
    Ok(())
}

/// Puts an item, and gives how often its key was ever written.
fn put(ctx: &JobContext, prefix: &str, n: u64) -> Result<u64> {
    #[derive(Serialize)]
    struct Input<'a> {
        key: &'a str,
        value: Item,
    }
    #[derive(Serialize)]
    struct Item {
        n: u64,
    }
    #[derive(Deserialize)]
    struct Reply {
        version: u64,
    }

    let key = format!("{prefix}/{}/{n}", ctx.job_id());
    let input = Input { key: &key, value: Item { n } };
    let reply: Reply = ctx.call("action:kv.put", None, &input)?;
    if reply.version != 1 {
        return Err(Error::failed(format!(
            "{key} should have version 1, as it is put once, but has version {}: look for what else writes it, \
             or for a host that carries out an effect twice",
            reply.version
        )));
    }
    Ok(reply.version)
}

fn sleep(ctx: &JobContext, ms: u64) -> Result<()> {
    #[derive(Serialize)]
    struct Input {
        ms: u64,
    }
    ctx.call::<_, IgnoredAny>("action:sleep", None, &Input { ms })?;
    Ok(())
}
