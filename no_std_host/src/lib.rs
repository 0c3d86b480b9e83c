//! The embedded shell: runs Toehold jobs on a board, many on one thread, and keeps them in NOR flash.
//!
//! ```text
//! Parts (store, console, clock, entropy, memory, witness) ──► Shell::run
//!
//! console ──► commands ──► jobs ──► Scheduler::turn ──► Job
//!                            │            │
//!                            └── Depot ◄──┘   records, checkpoints, journals, packages
//! ```
//!
//! - A firmware opens its store with [`open_store`], implements [`Board`], makes its [`Parts`], and calls [`Shell::run`].
//!   docs/embedded.md shows a whole one.
//! - [`Shell::turn`] is one round of that loop, for firmware that has more to do.
//! - [`Depot`] is where jobs and packages lie: a [`FlashStore`], on any NOR flash.
//! - [`Operations`] are what jobs can have the board do.
//! - [`Attention`] is where an interrupt service routine pauses the jobs.
//!
//! docs/console.md has what a board understands.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod attention;
mod carry;
mod change;
mod commands;
mod config;
mod crowd;
mod depot;
mod disk;
mod ending;
mod entry;
mod flash;
mod format;
mod frame;
mod head;
mod install;
mod job_files;
mod life;
mod mounted;
mod operations;
mod packages;
mod parts;
mod platform;
mod port;
mod rescue;
mod room;
mod shell;
mod show;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod steer;
mod store;
mod store_error;
#[cfg(test)]
mod tests;
mod transfer;
mod volume;

pub use attention::Attention;
pub use config::Config;
pub use depot::{Depot, PackageFile, Room};
pub use flash::{FlashFault, FlashOperation};
pub use operations::Operations;
pub use parts::{Board, Clock, Doing, Entropy, GUARDED_BYTES, Memory, Parts, Witness};
pub use rescue::open_store;
pub use shell::{OpenError, Shell};
pub use store::{FlashStore, Refused};
pub use store_error::{Found, Item, StoreError};
