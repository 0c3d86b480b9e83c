//! Toehold runs the jobs of WebAssembly extensions, on anything from a microcontroller to a server, in slices that can
//! be interrupted between any two.
//!
//! This crate is the core. It knows no I/O, no clock and no thread: what a guest needs of the world leaves it as a
//! value, and comes back as an argument.
//!
//! ```text
//! Manifest + module bytes ──► Extension::load ──► Extension::start ──► Job ──► step(fuel, now) ──► Step
//!                                                        ▲                      ▲                   │
//!                                          Checkpoint ───┘ resume               │ step or answer    │
//!                                                                               └───── a shell ◄────┘
//! ```
//!
//! - A [`Manifest`] says what an extension asks for, [`Limits`] what the host gives; the lower counts.
//! - [`Extension::load`] compiles and checks a module, runs its `plugin_init` and notes its jobs.
//! - [`Extension::start`] makes a [`Job`], [`Job::step`] runs it for a slice. A [`Step`] says what it came to; the
//!   shell carries out a [`Call`] or stores a [`Commit`], and gives the [`Answer`].
//! - [`run`] is that loop, over what a [`Platform`] can do.
//! - Anybody who has a job's [`JobContext`], from the [`Registry`], reads its [`Report`] or asks it to stop.
//! - What a guest did wrong is a [`Fault`], which says where.
//!
//! # Example
//!
//! ```
//! use std::task::Poll;
//! use std::sync::Arc;
//! use toehold::{
//!     Call, Called, Commit, Extension, JobContext, Limits, Manifest, NotDurable, Outcome, Platform, Registry, Stopped,
//! };
//!
//! struct Desk;
//! impl Platform for Desk {
//!     fn now(&mut self) -> u64 {
//!         0
//!     }
//!     fn call(&mut self, call: &Arc<Call>) -> Called {
//!         Called::Ready(Err(format!("{}: no such operation", call.method)))
//!     }
//!     fn commit(&mut self, _job: &JobContext, _commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
//!         Poll::Ready(Ok(()))
//!     }
//!     fn idle(&mut self, _until: Option<u64>) {}
//! }
//!
//! let module = wat::parse_str(
//!     r#"(module
//!         (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
//!         (memory (export "memory") 1)
//!         (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
//!         (func (export "execute_hello") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#,
//! )?;
//! let extension = Extension::load(Manifest::new("example")?, &module, &Limits::default())?;
//! let mut job = extension.start(&Registry::default(), "hello", Default::default())?;
//! assert_eq!(toehold::run(&mut job, &mut Desk, 100_000), Stopped::Finished(Outcome::Completed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bounded;
mod bundle;
mod bytes;
mod call;
mod checkpoint;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "console")]
pub mod console;
mod control;
mod crc32;
mod engine;
mod extension;
mod fault;
mod guest;
mod host_functions;
mod instance;
mod job;
mod journal;
mod journal_entry;
mod lifecycle;
mod limiter;
mod limits;
mod manifest;
mod meter;
mod module;
mod package;
mod pointer;
mod rate_limit;
mod record;
mod recovery;
mod registry;
mod report;
mod run;
mod scheduler;
mod sealed;
mod shape;
mod signature;
mod start;
mod step;
mod store;
mod upgrade;

/// Milliseconds of a clock that only goes forward, from any origin.
pub type Millis = u64;

pub use bundle::{Bundle, BundledExtension};
pub use call::{Answer, Call, CallKey, Reply};
pub use checkpoint::{Checkpoint, NoticedLimits};
pub use control::Control;
pub use crc32::Crc32;
pub use extension::{Compile, Extension, JobInfo};
pub use fault::Fault;
pub use job::Job;
pub use journal::Replayed;
pub use journal_entry::{CallDigest, Digest, JournalEntry};
pub use limits::Limits;
pub use manifest::{Library, Manifest, ManifestError, Permissions, RateLimits};
pub use module::{Export, Import, LoadError, ModuleInfo};
pub use package::{Package, PackageError, Trust};
pub use record::{JobRecord, JobState, LastWords, Priority, Sleep, UnixMillis};
pub use recovery::Recovery;
pub use registry::{JobContext, LOG_TAIL_LINES, Registry};
pub use report::{LogLine, Progress, Report};
pub use run::{Called, NotDurable, Platform, Stopped, run};
pub use scheduler::{Scheduler, Turn};
pub use sealed::FormatError;
pub use shape::ModuleShape;
pub use signature::PublicKey;
#[cfg(feature = "signatures")]
pub use signature::SigningKey;
pub use start::{JobStart, StartError};
pub use step::{Failure, FailureCause, OutOfTurn, Outcome, Step};
pub use store::{Change, Commit, Saved, Store};
pub use toehold_abi::{HostFunction, Interrupt, LogLevel};
pub use upgrade::UpgradeError;
pub use uuid::Uuid;
