//! What authors of Toehold extensions use.
//!
//! An extension is a WebAssembly module that brings jobs. A job is a function: it gets a [`JobContext`] to talk to the
//! host and a state of its own. The state is all that survives: whenever the job is interrupted, moved to another
//! machine or struck by a power cut, it is entered again with the state of its last checkpoint.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use toehold_sdk::{JobContext, Result, extension, job};
//!
//! #[extension(id = "greeter", name = "Greeter", version = "0.1.0", jobs = [greet])]
//! struct Greeter;
//!
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(default)]
//! struct Greetings {
//!     said: u32,
//! }
//!
//! #[job(name = "greet")]
//! fn greet(ctx: &JobContext, state: &mut Greetings) -> Result<()> {
//!     while state.said < 3 {
//!         // Pause or cancel: `?` checkpoints the state and stops the job.
//!         ctx.check_interrupt()?;
//!         state.said += 1;
//!         ctx.report_progress(state.said as f32 / 3.0, "Saying hello");
//!         ctx.increment_items(1);
//!     }
//!     ctx.info("All said");
//!     Ok(())
//! }
//!
//! // The same job under `cargo test`, on the same glue as in the host:
//! use toehold_sdk::{JobResult, testing::FakeHost};
//!
//! let run = FakeHost::new().run(greet, Greetings::default());
//! assert_eq!(run.result, JobResult::Completed);
//! assert_eq!(run.items, 3);
//!
//! let run = FakeHost::new().interrupt_after(2).run(greet, Greetings::default());
//! assert_eq!(run.result, JobResult::Interrupted);
//! assert_eq!(run.last_checkpoint(), Some(br#"{"said":2}"#.as_slice()));
//! ```
//!
//! # The way of a call
//!
//! ```text
//! host            export                 glue                    your job
//!   ctx, state ->  execute_greet  ->  decode ctx, state   ->   greet(&ctx, &mut state)
//!   (JSON)                                                        |  ctx.check_interrupt()?
//!   checkpoint <-------------------  encode the state     <-------+  Err(Interrupted)
//!   0, 1 or 2  <-------------------  completed, interrupted, failed
//! ```
//!
//! The extension's crate is a `cdylib` for the module and an `rlib` for its tests:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! [`macro@extension`] also makes the export `plugin_init`, which registers the jobs. Both macros change nothing about
//! the items that they stand on, and make exports for WebAssembly only.
//!
//! # Progress
//!
//! [`JobContext::report_progress`] takes a fraction and a text. A job that goes through items says more with
//! [`JobContext::report_step`]: hosts then show the phase, and how many of how many are done.
//!
//! # Migration of state
//!
//! A field that is new needs no more than `#[serde(default)]`. Where a state changes beyond that, the job gets a
//! `version` for its state and a function that `migrate`s older ones:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use toehold_sdk::{JobContext, Result, job};
//!
//! #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
//! #[serde(default)]
//! struct Photos {
//!     folders: Vec<String>,
//! }
//!
//! #[job(name = "photos", version = 2, migrate = from_older)]
//! fn photos(ctx: &JobContext, state: &mut Photos) -> Result<()> {
//!     // ...
//! #   let _ = (ctx, state);
//!     Ok(())
//! }
//!
//! /// Gets the very bytes that the older version wrote.
//! fn from_older(version: u32, old: &[u8]) -> Result<Photos> {
//!     #[derive(Deserialize)]
//!     struct V1 {
//!         folder: String,
//!     }
//!     match version {
//!         1 => {
//!             let old: V1 = serde_json::from_slice(old)?;
//!             Ok(Photos { folders: vec![old.folder] })
//!         }
//!         _ => Err("there was no such version")?,
//!     }
//! }
//!
//! // The same under `cargo test`:
//! use toehold_sdk::testing::FakeHost;
//!
//! let migrated = FakeHost::new().migrate(from_older, 1, 2, br#"{"folder":"2026"}"#);
//! assert_eq!(migrated.state, Some(Photos { folders: vec!["2026".into()] }));
//! ```
//!
//! `state_version` in the extension's manifest must be the same number: from it a host knows which version it has, and
//! which one the job writes. It is one number for the whole extension, so its jobs give the same one. A job whose state
//! did not change while another's did says so by a migration that reads it as it is. Where the manifest names no
//! version it is 0, and the first change makes 1 of it.
//!
//! # Errors
//!
//! Each operation of [`JobContext`] has an error of its own ([`Interrupted`], [`CheckpointError`], [`CallError`]), and
//! a job's [`Error`] takes all of them, every other error and plain text through `?`. An interrupt stays an interrupt
//! on that way. A panic ends the job as a fault; its message and place reach the host's log first.
//!
//! # Small guests
//!
//! For boards, the SDK does without its features `std` and `serde_json`, and [`heap!`] gives the guest a heap of fixed
//! size: the extension's crate is `no_std` then. docs/small-guests.md tells how, and what it saves.
//!
//! # What is absent
//!
//! The SDK reads no clock, no randomness and no file: they are operations of the host, reached by
//! [`JobContext::call`]. So a job that gets the same answers comes to the same result.

#![cfg_attr(all(target_arch = "wasm32", not(feature = "std")), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod border;
mod call;
mod checkpoint;
mod context;
mod error;
mod extension;
mod glue;
mod heap;
mod interrupt;
mod json;
mod log;
mod panic;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod uuid;

pub use call::CallError;
pub use checkpoint::{CheckpointError, State};
pub use context::JobContext;
pub use error::{Error, Result};
pub use extension::{Extension, JobInfo};
pub use interrupt::Interrupted;
pub use log::log;
pub use toehold_abi::{Interrupt, JobResult, LogLevel, ProgressStep};
pub use toehold_sdk_macros::{extension, job};
pub use uuid::{ParseUuidError, Uuid};

/// What the macros' code calls. Not for people; it may change in any version.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use crate::border::{execute, migrate};
    pub use crate::extension::{assert_distinct, assert_one_state_version};
    pub use crate::glue::{cleanup, init, job_is_sound, migration_is_sound};
    pub use crate::heap::Heap;
}
