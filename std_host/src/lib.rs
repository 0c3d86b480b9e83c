//! Toehold on an operating system: the thin shell around the core (crate [`toehold`]) that does the I/O.
//!
//! - [`ExtensionManager`] loads the extensions of a folder, and notices when their files change.
//! - [`Operations`] are what a host application lets guests call, typed by serde.
//! - [`Host`] dispatches jobs, each on a thread of its own, and gives a [`JobHandle`] to steer it.
//! - [`CheckpointFolder`] is where checkpoints become durable.
//!
//! The command `toehold` is all of this for a terminal; its modules are in `cli`.
//!
//! # Example
//!
//! ```no_run
//! use std_host::{Dispatch, Host, HostConfig, Operations};
//!
//! let mut config = HostConfig::new("extensions", "data");
//! let mut operations = Operations::built_in();
//! operations.register("query:greet", |_call, name: String| Ok::<_, String>(format!("Hello, {name}")))?;
//! config.operations = operations;
//! let host = Host::new(config);
//! host.extensions().refresh()?;
//! let state = br#"{"target": 10}"#.to_vec();
//! let job = host.dispatch("test-extension:counter", Dispatch { state, ..Dispatch::default() })?;
//! println!("{}", job.wait().outcome);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod api;
mod checkpoints;
mod extensions;
mod handle;
mod host;
pub mod manager;
pub mod operations;
mod signal;
pub mod store;
mod worker;

pub use checkpoints::{CheckpointFolder, ReadCheckpointError};
pub use extensions::{
    CONFIG_FILE, Change, ExtensionError, ExtensionManager, GrantOptions, Installed, MANIFEST_FILE,
};
pub use handle::{Ended, JobHandle, JobStatus};
pub use host::{Dispatch, DispatchError, Host, HostConfig};
pub use operations::{CallContext, FileAccess, Grants, Operations};
pub use store::{SqliteStore, StoreOptions};
pub use toehold;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
