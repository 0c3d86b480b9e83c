//! A job that dispatches others.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toehold_sdk::{Extension, JobContext, Result, Uuid, job};

use crate::TestExtension;

/// Which jobs are dispatched, and which were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FamilyState {
    /// How many children there are.
    pub children: u64,
    /// The name of their job, one of this extension.
    pub job: String,
    /// The state that each of them starts with.
    pub state: Value,
    /// Those that were dispatched.
    pub job_ids: Vec<Uuid>,
}

impl Default for FamilyState {
    fn default() -> Self {
        Self { children: 3, job: "counter".into(), state: json!({}), job_ids: Vec::new() }
    }
}

/// Dispatches its children one after the other, with a checkpoint after each, and does not wait for them.
#[job(name = "family", version = 1)]
pub fn family(ctx: &JobContext, state: &mut FamilyState) -> Result<()> {
    #[derive(Serialize)]
    struct Input<'a> {
        job: &'a str,
        state: &'a Value,
    }
    #[derive(Deserialize)]
    struct Reply {
        job_id: Uuid,
    }

    let job = format!("{}:{}", TestExtension::ID, state.job);
    for number in state.job_ids.len() as u64..state.children {
        ctx.check_interrupt()?;
        let input = Input { job: &job, state: &state.state };
        let reply: Reply = ctx.call("action:jobs.dispatch", None, &input)?;
        state.job_ids.push(reply.job_id);
        ctx.increment_items(1);
        ctx.report_step("dispatching", number + 1, state.children, reply.job_id.to_string());
        ctx.checkpoint(state)?;
    }
    ctx.info(format_args!("Dispatched {} times {job}", state.job_ids.len()));
    Ok(())
}
