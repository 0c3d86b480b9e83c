//! Toehold on an operating system: the thin shell around the core (crate [`toehold`]) that does the I/O.
//!
//! - [`guide`] tells how an application runs extensions with it.
//! - [`manager`] has the job manager: jobs that outlive the process. Most applications want [`manager::Manager`].
//! - [`store`] is where they do: a SQLite database in a data folder.
//! - [`ExtensionManager`] loads the extensions of a folder, and notices when their files change.
//! - [`Operations`] are what a host application lets guests call, typed by serde.
//! - [`board`] talks to boards that run jobs.
//! - [`Host`] runs jobs without a store, each on a thread of its own, with checkpoints in a [`CheckpointFolder`].
//!
//! - [`api`] has all that over HTTP, [`page`] shows it in a browser, and [`server`] serves both.
//!
//! The command `toehold` is all of this for a terminal; its modules are in `cli`. It talks to `toehold serve` over [`api`].
//!
//! # Example
//!
//! ```no_run
//! use std_host::Operations;
//! use std_host::manager::{Dispatch, Manager, ManagerConfig};
//!
//! # async fn app() -> Result<(), Box<dyn std::error::Error>> {
//! let mut operations = Operations::built_in();
//! operations.register("query:greet", |_call, name: String| Ok::<_, String>(format!("Hello, {name}")))?;
//! let manager = Manager::open(ManagerConfig { operations, ..ManagerConfig::new("data") })?;
//! manager.add_extension("test-extension".as_ref())?;
//! let state = br#"{"target": 10}"#.to_vec();
//! let job = manager.dispatch("test-extension:counter", Dispatch { state, ..Dispatch::default() }).await?;
//! println!("{}", job.wait().await.state);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod api;
pub mod board;
mod checkpoints;
mod extensions;
#[cfg(feature = "nats")]
pub mod fleet;
#[doc = include_str!("guide.md")]
pub mod guide {}
mod handle;
mod host;
pub mod manager;
pub mod operations;
pub mod page;
pub mod server;
mod signal;
pub mod store;
mod worker;

pub use checkpoints::{CheckpointFolder, ReadCheckpointError};
pub use extensions::{
    CONFIG_FILE, Change, ExtensionError, ExtensionManager, GrantOptions, Installed, MANIFEST_FILE, NotLoaded,
    PACKAGE_FILE,
};
pub use handle::{Ended, JobHandle, JobStatus};
pub use host::{Dispatch, DispatchError, Host, HostConfig};
pub use operations::{AsyncContext, CallContext, FileAccess, Grants, Operations};
pub use store::{SqliteStore, StoreOptions};
pub use toehold;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
