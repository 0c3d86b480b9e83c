use std::{path::PathBuf, thread};

use toehold::{Limits, Priority, Trust, Uuid};

use crate::{
    GrantOptions, Operations,
    store::{KvQuota, Retention, StoreOptions},
};

/// How a [`Manager`](super::Manager) is set up.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// The folder for what must outlive the process. One process has it at a time.
    pub data: PathBuf,
    /// The folder that holds the extensions' folders; `None` for `extensions` in the data folder.
    pub extensions: Option<PathBuf>,
    /// Whose extensions it takes. Where only some keys are trusted, everything that is not in a package that one of them has
    /// signed is refused before anything of the module is parsed: what is to be installed, what is installed already, and
    /// modules that jobs run on or bring.
    pub trust: Trust,
    /// What extensions and jobs may use at most.
    pub limits: Limits,
    /// What extensions get beyond their own folders.
    pub grants: GrantOptions,
    /// What guests may call, besides what only a manager has.
    pub operations: Operations,
    /// Threads that run jobs; 0 runs none. As many as the machine has cores by default.
    pub workers: usize,
    /// Jobs that run at a time, those that sleep or wait included.
    pub running_jobs: usize,
    /// Fuel of a slice. Larger ones cost less, smaller ones stop sooner: 100,000 are about 0.1 ms.
    pub slice: u64,
    /// Attempts that a job has, unless it is dispatched with another number.
    pub attempts: u32,
    /// Milliseconds until the second attempt; each further one waits twice as long, up to five minutes.
    pub backoff_ms: u64,
    /// What is kept of jobs that are over: by default the last 10,000, for 30 days. The rest is removed when the manager is
    /// opened, unless that has no workers, and from then on each time that 256 jobs or a quarter of an hour have ended.
    pub retention: Retention,
    /// What an extension may keep in `action:kv.put`.
    pub kv_quota: KvQuota,
    /// How the store is set up.
    pub store: StoreOptions,
}

impl ManagerConfig {
    /// Jobs in this folder, and defaults for the rest.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            extensions: None,
            trust: Trust::Anyone,
            limits: Limits::default(),
            grants: GrantOptions::default(),
            operations: Operations::built_in(),
            workers: thread::available_parallelism().map_or(1, Into::into),
            running_jobs: 10_000,
            slice: 100_000,
            attempts: 3,
            backoff_ms: 1_000,
            retention: Retention { keep_count: Some(10_000), keep_ms: Some(30 * 24 * 3_600_000) },
            kv_quota: KvQuota::default(),
            store: StoreOptions::default(),
        }
    }

    pub(super) fn extensions_folder(&self) -> PathBuf {
        self.extensions.clone().unwrap_or_else(|| self.data.join("extensions"))
    }
}

/// A job to be dispatched.
#[derive(Clone, Debug, Default)]
pub struct Dispatch {
    /// The job's id; a random one if there is none.
    pub id: Option<Uuid>,
    /// The library that it works on, if any.
    pub library: Option<Uuid>,
    /// The state that it starts from; empty for the guest's default. JSON for guests that use Toehold's SDK.
    pub state: Vec<u8>,
    /// Its share of the host, and its place in the queue.
    pub priority: Priority,
    /// Attempts that it has; `None` for the manager's default. At least 1.
    pub attempts: Option<u32>,
    /// The job that it is cancelled with.
    pub parent: Option<Uuid>,
}
