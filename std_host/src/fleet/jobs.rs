//! The fleet as the place where a job manager keeps its jobs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use toehold::{Change, Interrupt, JobRecord, JobState, LogLevel, Saved, UnixMillis, Uuid};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    FleetError,
    connect::Link,
    entry::{Changed, Whole},
    events::Notes,
    owned::{Ask, Owned, Told},
    packages::Pointer,
    state::{Found, State, gives_up},
    steer::Steered,
    store::closed,
};
use crate::{
    SqliteStore,
    store::{
        Done, Effect, JobStore, KvEntry, KvError, KvKey, KvList, KvQuota, KvValue, StoreError, StoredModule,
    },
};

/// The jobs of a fleet, of which some are this process's. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FleetJobs {
    pub(super) link: Link,
    pub(super) me: Uuid,
    runtime: Handle,
    owned: Arc<Mutex<HashMap<Uuid, Owned>>>,
    tell: mpsc::UnboundedSender<Told>,
    notes: Notes,
    /// The database that follows the fleet, if this process has one: what is made here is seen there at once.
    mirror: Option<SqliteStore>,
}

impl FleetJobs {
    /// What the tasks of jobs tell goes to `tell`.
    pub(super) fn new(link: Link, me: Uuid, runtime: Handle, tell: mpsc::UnboundedSender<Told>) -> Self {
        let notes = Notes::start(&link, &runtime);
        Self { link, me, runtime, owned: Arc::default(), tell, notes, mirror: None }
    }

    pub(super) fn with_mirror(self, mirror: SqliteStore) -> Self {
        Self { mirror: Some(mirror), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job that was claimed for this process.
    pub(super) fn take(&self, job: Uuid, state: State) -> u64 {
        let owned = self.link.own(job, self.me, state, self.tell.clone());
        let epoch = owned.epoch;
        self.lock().insert(job, owned);
        epoch
    }

    /// Lets go of a job that was claimed in this epoch.
    pub(super) fn let_go(&self, job: Uuid, epoch: u64) {
        let mut owned = self.lock();
        if owned.get(&job).is_some_and(|owned| owned.epoch == epoch) {
            owned.remove(&job);
        }
    }

    /// What there is of a job, if it is this process's.
    pub(super) fn saved(&self, job: Uuid) -> Option<Saved> {
        self.lock().get(&job).map(Owned::saved)
    }

    /// Asks the task of a job for something, if it is this process's.
    pub(super) fn ask(&self, job: Uuid, ask: Ask) -> Result<(), Ask> {
        match self.lock().get(&job) {
            Some(owned) => owned.ask(ask),
            None => Err(ask),
        }
    }

    /// Waits for the servers. Not for threads of an async runtime.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, FleetError>> + Send + 'static,
    ) -> Result<T, FleetError> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Whoever asked is below, and waits.
            let _ = tell.send(future.await);
        });
        told.recv().unwrap_or_else(|_| Err(closed()))
    }

    /// Makes a new job: first it is put into the queue, so that it is never forgotten, and a full queue makes none.
    async fn create(link: Link, job: Uuid, whole: Whole) -> Result<(), FleetError> {
        let record = JobRecord::decode(&whole.record);
        let record = record.map_err(|source| FleetError::Format { job, source })?;
        if let Some(parent) = record.parent {
            let (subject, what) =
                (link.names.child(parent, job), || format!("noting that {parent} dispatched {job}"));
            let noted = async { link.jetstream.publish(subject.clone(), "".into()).await?.await };
            let noted = link.unless_refused(what, &subject, noted).await?;
            noted.map_err(|error| FleetError::server(what(), error))?;
        }
        if !gives_up(record.state) {
            link.enqueue(job, record.priority).await?;
        }
        link.create(job, whole).await
    }

    /// When a job was dispatched, if it is this process's.
    fn born(&self, job: Uuid) -> Option<UnixMillis> {
        self.lock().get(&job).map(|owned| owned.born)
    }
}

impl JobStore for FleetJobs {
    fn change(&self, job: Uuid, changes: &[Change], done: Done<(), StoreError>) {
        let owned = self.lock().get(&job).cloned();
        if let Some(owned) = owned {
            let changes = changes.iter().map(Changed::new).collect();
            let done =
                Box::new(move |written: Result<(), FleetError>| done(written.map_err(StoreError::from)));
            if let Err(Ask::Change(_, done)) = owned.ask(Ask::Change(changes, done)) {
                done(Err(FleetError::Fenced { job }));
            }
            return;
        }
        let Some(whole) = Whole::of(changes) else { return done(Err(StoreError::Lost { job })) };
        let (link, mirror, changes) = (self.link.clone(), self.mirror.clone(), changes.to_vec());
        self.runtime.spawn(async move {
            let created = Self::create(link, job, whole).await.map_err(StoreError::from);
            match (created, mirror) {
                (Ok(()), Some(mirror)) => mirror.change_all(job, &changes, done),
                // What is told then may wait for others.
                (created, _) => drop(tokio::task::spawn_blocking(move || done(created))),
            }
        });
    }

    fn remove(&self, job: Uuid, done: Done<(), StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move {
            // One that somebody has let go on meanwhile stays.
            let stands_still = |state: &State| state.owner.is_none() && gives_up(state.record.state);
            let removed = link.remove(job, stands_still).await;
            tokio::task::spawn_blocking(move || done(removed.map_err(StoreError::from)));
        });
    }

    fn load(&self, job: Uuid) -> Result<Option<Saved>, StoreError> {
        let owned = self.lock().get(&job).cloned();
        if let Some(owned) = owned {
            return Ok(Some(owned.saved()));
        }
        let link = self.link.clone();
        match self.wait(async move { link.read_newest(job).await })? {
            Found::Job(state) => Ok(Some(state.saved)),
            Found::Nothing { .. } => Ok(None),
        }
    }

    fn children(&self, parent: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let link = self.link.clone();
        Ok(self.wait(async move { link.children(parent).await })?)
    }

    fn state(&self, job: Uuid) -> Option<JobState> {
        let link = self.link.clone();
        match self.wait(async move { link.read_newest(job).await }) {
            Ok(Found::Job(state)) => Some(state.record.state),
            _ => None,
        }
    }

    fn kv_put(&self, of: KvKey, value: Vec<u8>, effect: Effect, _: KvQuota, done: Done<u64, KvError>) {
        let job = effect.key.job;
        let Some(born) = self.born(job) else { return done(Err(StoreError::Lost { job }.into())) };
        let link = self.link.clone();
        self.runtime.spawn(async move { done(link.put_value(&of, &value, effect, born).await) });
    }

    fn kv_delete(&self, of: KvKey, effect: Effect, done: Done<bool, KvError>) {
        let job = effect.key.job;
        let Some(born) = self.born(job) else { return done(Err(StoreError::Lost { job }.into())) };
        let link = self.link.clone();
        self.runtime.spawn(async move { done(link.delete_value(&of, effect, born).await) });
    }

    fn kv_get(&self, of: KvKey, done: Done<Option<KvValue>, StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move { done(link.value(&of).await.map_err(StoreError::from)) });
    }

    fn kv_list(&self, of: KvList, done: Done<Vec<KvEntry>, StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move { done(link.list_values(&of).await.map_err(StoreError::from)) });
    }

    fn keep_module(&self, module: StoredModule, done: Done<(), StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move { done(link.store_module(module).await.map_err(StoreError::from)) });
    }

    fn publish(&self, module: StoredModule, schemas: Vec<u8>, done: Done<(), StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move {
            let manifest = serde_json::from_str::<toehold::Manifest>(&module.manifest);
            let pointer = manifest.map(|manifest| Pointer {
                id: manifest.id().to_owned(),
                hash: module.hash,
                // A signed package brings its own.
                schemas: if module.package.is_some() { Vec::new() } else { schemas },
            });
            let published = match pointer {
                Ok(pointer) => match link.store_module(module).await {
                    Ok(()) => link.point(&pointer).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(FleetError::server("reading the manifest", error)),
            };
            done(published.map_err(StoreError::from));
        });
    }

    fn note_event(&self, job: Uuid, at: UnixMillis, kind: &str, data: &str) {
        self.notes.event(job, at, kind, data);
    }

    fn note_line(&self, job: Uuid, at: UnixMillis, level: LogLevel, text: &str) {
        self.notes.line(job, at, level, text);
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn steer(&self, job: Uuid, wanted: Interrupt, done: Done<(), StoreError>) {
        let link = self.link.clone();
        self.runtime.spawn(async move {
            done(match link.steer(job, wanted).await {
                Ok(Steered::Heeded) => Ok(()),
                Ok(Steered::Over(state)) => Err(StoreError::Over { job, state }),
                Err(error) => Err(error.into()),
            });
        });
    }
}

impl Link {
    /// The jobs that a job has dispatched.
    async fn children(&self, parent: Uuid) -> Result<Vec<Uuid>, FleetError> {
        use futures_util::TryStreamExt;
        let failed =
            |error: &dyn std::fmt::Display| FleetError::server("reading the list of children", error);
        let listed = self.jobs.info_with_subjects(self.names.children(parent)).await;
        let subjects: Vec<(String, usize)> =
            listed.map_err(|error| failed(&error))?.try_collect().await.map_err(|error| failed(&error))?;
        Ok(subjects.iter().filter_map(|(subject, _)| self.names.job_of(subject)).collect())
    }
}
