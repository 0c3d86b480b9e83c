//! The fleet: jobs that many machines share, on NATS JetStream.
//!
//! ```text
//! dispatch ──► QUEUE ──► a worker claims the job: one entry more in its log, with a higher epoch
//!    │                     │
//!    └──────► JOBS ◄───────┴── checkpoints, journal and records, each a compare-and-set behind the last entry
//! ```
//!
//! - Each job has a **log**: a subject of its own in the stream `JOBS`. An entry says which entry it comes after, and the server
//!   takes it only if that is the last one. That is all that decides who may write.
//! - A **claim** is such an entry. Who owned the job before is behind from then on, and can't write any more.
//! - The **queue** only says where to look: its messages may come twice, or late, and nothing but time is lost.
//!
//! docs/fleet.md tells how to run one.

mod board;
mod client;
mod config;
mod connect;
mod entry;
mod error;
mod events;
mod extensions;
mod fetch;
mod holder;
mod jobs;
mod log;
mod mirror;
mod names;
mod owned;
mod packages;
mod parts;
mod presence;
mod queue;
mod refused;
mod state;
mod steer;
mod store;
mod values;
mod worker;

pub use board::{BoardWorker, BoardWorkerConfig};
pub use client::FleetClient;
pub use config::FleetConfig;
pub use error::FleetError;
pub use presence::WorkerStatus;
pub use store::FleetStore;
pub use worker::{FleetWorker, WorkerConfig, WorkerError};
