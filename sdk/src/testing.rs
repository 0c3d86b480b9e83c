//! A host for tests: run a job under `cargo test`, without WebAssembly.
//!
//! The job goes through the very glue that it has in the field; only the host functions are replaced. What the job
//! sees of them is as the ABI says, and all that it does to them is recorded.
//!
//! ```
//! use toehold_sdk::{JobContext, JobResult, Result};
//! use toehold_sdk::testing::{FakeHost, Value, json};
//!
//! fn ping(ctx: &JobContext, state: &mut u32) -> Result<()> {
//!     let reply: Value = ctx.call("query:ping", None, &json!({ "n": *state }))?;
//!     ctx.info(format_args!("pong {}", reply["n"]));
//!     Ok(())
//! }
//!
//! let host = FakeHost::new().on("query:ping", |input| Ok(json!({ "n": input["n"] })));
//! let run = host.run(ping, 7);
//! assert_eq!(run.result, JobResult::Completed);
//! assert_eq!(run.log_texts(), ["pong 7"]);
//!
//! // Operations that nobody defined fail, as they do in a host that refuses them.
//! let run = FakeHost::new().run(ping, 7);
//! assert_eq!(run.result, JobResult::Failed);
//! ```

pub(crate) mod border;
mod host;
mod run;

pub use host::FakeHost;
pub use run::{Call, Loaded, LogLine, Migrated, Progress, Run};
pub use serde_json::{Value, json};
