//! The job manager: jobs that outlive the process.
//!
//! ```text
//! dispatch ──► store ──► Queue ──► a worker: Scheduler, many jobs ──► store (checkpoints, journal, records)
//!                          ▲            │        ▲
//!            pause, resume ┘            └ calls ─┴── operations, on threads of their own
//! ```
//!
//! - [`Manager::dispatch`] gives a [`JobHandle`]: wait, pause, resume, cancel, status, events.
//! - What a job is and does is a [`JobStatus`], what happens to it are [`JobEvent`]s.
//! - [`Manager::export`], [`Manager::import`] and [`replay`] carry a job elsewhere, or to a desk.
//! - docs/operations.md has the operations that jobs have here besides those of [`Operations::built_in`].

// A job's record changes in one place, its `entry::Entry`; `life` has the ways from state to state. What runs is in the
// memory of one `worker`; everything else is in the store, and what was cut off is recovered from there.

mod bundles;
mod config;
mod dispatch;
mod ending;
mod entry;
mod error;
mod event;
mod handle;
mod hub;
mod life;
mod list;
mod modules;
mod platform;
mod queue;
mod rate;
mod recover;
mod remove;
mod retention;
pub(crate) mod schema;
mod services;
#[cfg(feature = "nats")]
mod shared;
mod status;
mod steer;
mod upgrade;
mod worker;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use toehold::{JobRecord, JobState, LogLevel, LogLine, Registry, Trust, Uuid};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{broadcast, oneshot},
};

pub use bundles::{ImportOptions, Replay, ReplayEnd, export, replay};
pub use config::{Dispatch, ManagerConfig};
pub use error::{DispatchError, ImportError, JobError, ManagerError, RemoveError, ReplayError};
pub use event::{EventKind, JobEvent};
pub use handle::{Events, JobHandle};
pub use rate::Rate;
pub use status::JobStatus;

pub(crate) use entry::unix_now;
pub(crate) use list::list;
pub(crate) use status::hex;

use self::{
    entry::{Entry, Now},
    hub::Hub,
    modules::Modules,
    platform::Message,
    queue::Queue,
    worker::Worker,
};
use crate::{
    ExtensionManager, Operations,
    store::{Cursor, JobFilter, JobStore, KvQuota, ListOrder, Listed, SqliteStore, StoreError, StoreReader},
};

/// Runs jobs and keeps them, in a data folder that it has for itself.
///
/// It is made for any Rust application: what waits is a future, which any executor can run. Clones share it. Once the
/// last one is dropped its jobs stop where they are and the folder is free; the next manager of it goes on with them.
#[derive(Clone, Debug)]
pub struct Manager {
    inner: Arc<Inner>,
    /// Stops the workers with the last clone.
    _workers: Arc<Workers>,
}

/// What a manager, its workers and its handles share.
struct Inner {
    /// What this manager has for itself: its jobs, unless they are in a store that is shared, and modules.
    pub(super) store: SqliteStore,
    /// Where its jobs are kept.
    pub(super) jobs_at: Arc<dyn JobStore>,
    /// Jobs of others that somebody has a handle of.
    #[cfg(feature = "nats")]
    watched: shared::Watched,
    pub(super) extensions: ExtensionManager,
    pub(super) operations: Operations,
    pub(super) kv_quota: KvQuota,
    pub(super) started: Instant,
    registry: Registry,
    modules: Modules,
    /// Held while what is installed changes: two who install the same id come one after the other, and the later one wins.
    installing: Mutex<()>,
    /// The modules that the store is known to have, without and with a signed package.
    kept: Mutex<HashSet<([u8; 32], bool)>>,
    jobs: Mutex<Jobs>,
    workers: Vec<Sender<Message>>,
    hub: Hub,
    config: ManagerConfig,
    runtime: Mutex<Option<Runtime>>,
}

/// The jobs that are not over, and those of them that wait for their turn. Its lock is taken after an entry's, never
/// before.
struct Jobs {
    entries: HashMap<Uuid, Arc<Entry>>,
    queue: Queue,
    /// How many jobs each worker has.
    loads: Vec<usize>,
    /// Jobs that have ended since the manager was opened.
    ended: u64,
}

struct Workers {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

impl Manager {
    /// Opens a data folder, and goes on with the jobs that it has: what was running runs again, what was paused stays
    /// paused. With no worker, nothing runs.
    ///
    /// # Errors
    /// [`ManagerError`]: the folder is another process's, of a newer version, or can't be read or written. Nothing is
    /// changed then.
    pub fn open(config: ManagerConfig) -> Result<Self, ManagerError> {
        let store = SqliteStore::open(&config.data, config.store)?;
        let jobs_at = Arc::new(store.clone());
        Self::open_on(config, store, jobs_at)
    }

    /// A manager whose jobs are kept at a place of their own. Where that is shared, it has none before some are given to it.
    pub(crate) fn open_on(
        config: ManagerConfig,
        store: SqliteStore,
        jobs_at: Arc<dyn JobStore>,
    ) -> Result<Self, ManagerError> {
        let mut grants = config.grants.clone();
        grants.protected.extend([config.data.clone(), config.extensions_folder()]);
        let extensions = ExtensionManager::new(config.extensions_folder(), config.limits.clone(), grants)
            .with_trust(config.trust.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("toehold-operations")
            .enable_all()
            .build()
            .map_err(ManagerError::Thread)?;
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..config.workers).map(|_| std::sync::mpsc::channel()).unzip();
        let jobs = Jobs {
            entries: HashMap::new(),
            queue: Queue::new(config.running_jobs),
            loads: vec![0; config.workers],
            ended: 0,
        };
        let inner = Arc::new(Inner {
            store,
            jobs_at,
            #[cfg(feature = "nats")]
            watched: shared::Watched::default(),
            extensions,
            operations: config.operations.clone(),
            kv_quota: config.kv_quota,
            started: Instant::now(),
            registry: Registry::default(),
            modules: Modules::new(config.limits.clone(), config.trust.clone()),
            installing: Mutex::default(),
            kept: Mutex::default(),
            jobs: Mutex::new(jobs),
            workers: senders,
            hub: Hub::new(),
            config,
            runtime: Mutex::new(Some(runtime)),
        });
        // From here on, whatever fails, this stops what was begun.
        let mut workers = Workers { inner: inner.clone(), threads: Vec::new() };
        inner.load_extensions()?;
        if !inner.jobs_at.is_shared() {
            inner.restore()?;
        }
        for (index, (receiver, own)) in receivers.into_iter().zip(&inner.workers).enumerate() {
            let worker = Worker::new(index, &inner, receiver, own.clone(), inner.config.slice);
            let thread = thread::Builder::new()
                .name(format!("toehold-worker-{index}"))
                .stack_size(worker::STACK_BYTES)
                .spawn(move || worker.run())
                .map_err(ManagerError::Thread)?;
            workers.threads.push(thread);
        }
        inner.admit();
        if inner.config.workers > 0 && !inner.jobs_at.is_shared() {
            // Who only looks in for a moment leaves it to those who stay.
            inner.keep_removing_old();
        }
        Ok(Self { _workers: Arc::new(workers), inner })
    }

    /// The extensions that it can dispatch jobs of.
    #[must_use]
    pub fn extensions(&self) -> &ExtensionManager {
        &self.inner.extensions
    }

    /// Whose extensions it takes.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.inner.config.trust
    }

    /// What is kept of jobs: events, log lines, records, and keys and values of extensions.
    #[must_use]
    pub fn reader(&self) -> &StoreReader {
        self.inner.store.reader()
    }

    /// Dispatches a job, named `EXTENSION_ID:NAME`. Once this returns, the job outlives a power cut.
    ///
    /// # Errors
    /// [`DispatchError`] says why not; then there is no such job.
    pub async fn dispatch(&self, job: &str, dispatch: Dispatch) -> Result<JobHandle, DispatchError> {
        let (entry, written) = if self.inner.takes_long_to_check(job, &dispatch) {
            // Who dispatches may have others to serve.
            let (tell, told) = oneshot::channel();
            let (inner, job) = (self.inner.clone(), job.to_owned());
            self.inner.spawn_blocking(move || {
                // Who asked may have gone; the job runs all the same.
                let _ = tell.send(inner.prepare(&job, dispatch));
            });
            told.await.unwrap_or_else(|_| Err(self.inner.closed().into()))?
        } else {
            self.inner.prepare(job, dispatch)?
        };
        written.await.unwrap_or_else(|_| Err(self.inner.closed()))?;
        Ok(JobHandle::new(self.inner.clone(), entry))
    }

    /// A handle of a job, also of one that is over.
    ///
    /// # Errors
    /// [`JobError::Unknown`], [`JobError::Format`], [`JobError::Store`].
    pub fn job(&self, id: Uuid) -> Result<JobHandle, JobError> {
        let entry = self.inner.find(id)?;
        Ok(JobHandle::new(self.inner.clone(), entry))
    }

    /// How jobs stand, those that are over too, at most `limit`, and where the list goes on. One whose record can't be read
    /// is left out, with a line in the log.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub fn list(
        &self,
        filter: &JobFilter,
        order: ListOrder,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<JobStatus>, Option<Cursor>), StoreError> {
        list(self.reader(), filter, order, after, limit, |Listed { id, record, .. }| {
            match (self.inner.live(id), record) {
                (Some(entry), _) => Some(entry.status()),
                (None, Ok(record)) => Some(JobStatus::new(id, record, None)),
                (None, Err(error)) => {
                    log::error!("job {id} is not listed: {error}");
                    None
                }
            }
        })
    }

    /// Makes all that jobs have told and logged so far durable, and to be read from [`Manager::reader`]. Without that it
    /// is there after about 50 ms.
    ///
    /// # Errors
    /// [`StoreError`] if it can't be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush().await
    }

    /// What happens to all jobs from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<JobEvent>> {
        self.inner.hub.listen()
    }

    /// How many events of each kind there were since the manager was opened, by the kind's name.
    pub fn event_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.inner.hub.counts()
    }
}

impl Jobs {
    /// Counts one more job for a worker: for this one, or for that which has the least.
    fn place(&mut self, worker: Option<usize>) -> usize {
        let least = || self.loads.iter().enumerate().min_by_key(|(_, load)| **load).map(|(index, _)| index);
        let worker = worker.or_else(least).unwrap_or(0);
        if let Some(load) = self.loads.get_mut(worker) {
            *load += 1;
        }
        worker
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.inner.workers {
            // One that has ended needs no telling.
            let _ = worker.send(Message::Stop);
        }
        for thread in self.threads.drain(..) {
            // A worker never holds the manager, so this is none of them. One that panicked has said so.
            let _ = thread.join();
        }
        let runtime = self.inner.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Does not wait for operations that are under way: they are carried out again if they have to.
            runtime.shutdown_background();
        }
        // Handles may be left; the folder is free all the same.
        self.inner.store.close();
        let entries: Vec<_> = self.inner.lock().entries.values().cloned().collect();
        entries.iter().for_each(|entry| entry.close());
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that is not over.
    fn live(&self, id: Uuid) -> Option<Arc<Entry>> {
        self.lock().entries.get(&id).cloned()
    }

    /// A job, also one that is over.
    fn find(&self, id: Uuid) -> Result<Arc<Entry>, JobError> {
        if let Some(entry) = self.live(id) {
            return Ok(entry);
        }
        #[cfg(feature = "nats")]
        if self.jobs_at.is_shared() {
            return self.find_of_others(id);
        }
        Ok(Entry::new(id, self.record(id)?, 0))
    }

    fn record(&self, id: Uuid) -> Result<JobRecord, JobError> {
        let record = self.store.reader().record(id)?.ok_or(JobError::Unknown(id))?;
        record.map_err(|source| JobError::Format { id, source })
    }

    /// Has written what nobody waited for.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.store.flush(move |result| {
            // Who asked may have gone.
            let _ = tell.send(result);
        });
        told.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// What to say where the store is gone.
    pub(super) fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.store.reader().path().to_owned() }
    }

    /// Has something done on a thread of its own, unless the manager is gone.
    pub(super) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &*self.runtime.lock().unwrap_or_else(PoisonError::into_inner) {
            runtime.spawn_blocking(work);
        }
    }

    /// Where operations that are futures run, unless the manager is gone.
    pub(super) fn runtime(&self) -> Option<Handle> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.as_ref().map(|runtime| runtime.handle().clone())
    }

    /// Has something done in a while, unless the manager is gone.
    pub(super) fn after(&self, ms: u64, work: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &*self.runtime.lock().unwrap_or_else(PoisonError::into_inner) {
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                work();
            });
        }
    }

    /// Tells of an event those who listen, and keeps it if it is of that kind.
    fn event(&self, entry: &Entry, kind: EventKind) {
        self.event_of(entry, &mut entry.lock(), kind);
    }

    /// As [`Inner::event`], under the entry's lock: so that the store and those who listen get a job's events in order.
    fn event_of(&self, entry: &Entry, now: &mut Now, kind: EventKind) {
        let at = unix_now();
        let kept = kind.is_kept();
        now.events += u64::from(kept);
        let event = JobEvent { job_id: entry.id, seq: now.events, at, kind };
        if kept {
            let data = serde_json::to_string(&event.kind).unwrap_or_default();
            self.jobs_at.note_event(entry.id, at, event.kind.name(), &data);
        }
        self.hub.tell(event);
    }

    /// Shows a job's state to those who wait for one, and tells of the event that made it. Under the entry's lock, so that
    /// nobody sees an older state after a newer one.
    fn tell(&self, entry: &Entry, now: &mut Now, kind: EventKind) {
        entry.show(if now.stuck.is_some() { JobState::Paused } else { now.record.state });
        self.event_of(entry, now, kind);
    }

    /// Keeps lines that a job logged.
    pub(super) fn log(&self, id: Uuid, lines: Vec<LogLine>, dropped: u64) {
        let at = unix_now();
        for line in lines {
            self.jobs_at.note_line(id, at, line.level, &line.text);
        }
        if dropped > 0 {
            let text = format!("{dropped} lines came faster than they could be kept");
            self.jobs_at.note_line(id, at, LogLevel::Warn, &text);
        }
    }
}
