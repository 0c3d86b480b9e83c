//! A job that panics, to see what a host keeps of it.

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use toehold_sdk::{JobContext, Result, job};

/// What the job says before it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrashState {
    /// The panic's message.
    pub message: String,
}

impl Default for CrashState {
    fn default() -> Self {
        Self { message: "this job always panics".to_owned() }
    }
}

/// Panics with the state's message.
#[job(name = "crash", version = 1, resumable = false)]
pub fn crash(_ctx: &JobContext, state: &mut CrashState) -> Result<()> {
    panic!("{}", state.message);
}
