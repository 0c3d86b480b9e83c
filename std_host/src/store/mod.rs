//! Where jobs, and what belongs to them, outlive the process: a SQLite database in the data folder.
//!
//! ```text
//! many jobs ──► SqliteStore ──► queue ──► one thread that writes ──► toehold.db, WAL, fsync for each group
//!                    └─ StoreReader ◄── short reads on connections of their own, also from other processes
//! ```
//!
//! - All that is written goes to one thread, which puts what waits into one transaction: a hundred jobs that checkpoint
//!   share one fsync. An acknowledgement, `done`, comes once the transaction is durable.
//! - Where a group can't be written, each of its changes is tried in a transaction of its own, so that one that does not
//!   fit on the disk fails alone.
//! - Nothing is half-written, whatever fails and whenever the power goes.
//!
//! The store reads no clock that it writes down: times are arguments. It is an implementation of [`toehold::Store`],
//! and `toehold::conformance` holds it to that.

mod effects;
mod error;
mod folder;
mod history;
mod job_store;
mod jobs;
mod journal;
mod kv;
mod modules;
mod places;
mod query;
mod queue;
mod reader;
mod retention;
mod row;
mod schema;
mod sqlite_store;
mod task;
mod wal;
mod writer;

pub use effects::{Effect, Effected};
pub use error::{EffectError, KeyReused, KvError, OpenError, StoreError};
pub use history::{Cap, Event, History, StoredLine};
#[cfg(feature = "nats")]
pub(crate) use job_store::Done;
pub(crate) use job_store::{JobStore, KvKey, KvList};
pub use kv::{KvEntry, KvQuota, KvValue};
pub use modules::StoredModule;
pub use query::{Cursor, JobFilter, ListOrder, Listed};
pub use reader::StoreReader;
pub use retention::Retention;
pub use sqlite_store::SqliteStore;
pub use task::wait;

/// The file in the data folder. Beside it lie SQLite's `-wal` and `-shm`, and `toehold.lock`.
pub const STORE_FILE: &str = "toehold.db";

/// How a [`SqliteStore`] is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes that the database may have; `None` for what the disk holds. What is removed makes room again. The write-ahead
    /// log comes on top: a few MiB, or as much as the largest group of changes.
    pub max_bytes: Option<u64>,
    /// What is kept of a job's events.
    pub events: Cap,
    /// What is kept of a job's log lines.
    pub logs: Cap,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_bytes: None,
            events: Cap { rows: 1_000, bytes: 1 << 20 },
            // As many lines as `Limits::log_lines` lets through.
            logs: Cap { rows: 10_000, bytes: 4 << 20 },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
