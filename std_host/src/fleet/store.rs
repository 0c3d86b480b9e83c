//! [`toehold::Store`] on a fleet: for those who have jobs and no manager, and for the tests that hold all stores to the same.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, mpsc::sync_channel},
};

use toehold::{Change, Saved, Store, Uuid};
use tokio::{runtime::Runtime, sync::mpsc};

use super::{
    FleetConfig, FleetError,
    connect::Link,
    entry::{Changed, Entry, What, Whole},
    log::Wrote,
    owned::{Ask, Owned, Told},
    parts,
    state::{Found, State, gives_up},
};

/// The store of a fleet, for one who owns all that it changes: a job that it changes for the first time is claimed, and whoever
/// owned it before is fenced. Once another has claimed a job, all changes of it are [`FleetError::Fenced`] here, until it is
/// [taken](FleetStore::take) again.
///
/// Its calls wait; they are not for threads of an async runtime.
#[derive(Debug)]
pub struct FleetStore {
    link: Link,
    me: Uuid,
    owned: HashMap<Uuid, Owned>,
    lost: HashSet<Uuid>,
    tell: mpsc::UnboundedSender<Told>,
    told: mpsc::UnboundedReceiver<Told>,
    runtime: Background,
}

/// A runtime that can be dropped anywhere; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Background(Option<Arc<Runtime>>);

impl Background {
    pub(super) fn new(name: &str) -> Result<Self, FleetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|error| FleetError::server("a thread for the fleet", error))?;
        Ok(Self(Some(Arc::new(runtime))))
    }

    pub(super) fn handle(&self) -> Option<&tokio::runtime::Handle> {
        self.0.as_ref().map(|runtime| runtime.handle())
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(future))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

impl FleetStore {
    /// Connects to a fleet, and makes its streams if they are not there.
    ///
    /// # Errors
    /// [`FleetError`] says why not.
    pub fn open(config: &FleetConfig) -> Result<Self, FleetError> {
        let runtime = Background::new("toehold-fleet")?;
        let link = runtime.block_on(Link::open(config)).ok_or_else(closed)??;
        let (tell, told) = mpsc::unbounded_channel();
        Ok(Self {
            link,
            me: Uuid::new_v4(),
            owned: HashMap::new(),
            lost: HashSet::new(),
            tell,
            told,
            runtime,
        })
    }

    /// Another store on the same connection, which owns nothing yet: for a process with many jobs, each on a thread of its own.
    #[must_use]
    pub fn beside(&self) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            link: self.link.clone(),
            me: Uuid::new_v4(),
            owned: HashMap::new(),
            lost: HashSet::new(),
            tell,
            told,
            runtime: self.runtime.clone(),
        }
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, FleetError>>) -> Result<T, FleetError> {
        self.runtime.block_on(future).unwrap_or_else(|| Err(closed()))
    }

    /// Claims a job, whoever owns it. Gives the epoch: no two claims of a job have the same.
    ///
    /// # Errors
    /// [`FleetError::Unknown`], or what keeps it from the servers.
    pub fn take(&mut self, job: Uuid) -> Result<u64, FleetError> {
        let (link, tell, me) = (self.link.clone(), self.tell.clone(), self.me);
        // The task of an earlier claim must not take this one for its own.
        self.owned.remove(&job);
        let owned = self.wait(async move {
            // A claim says itself whether what it was made from is the newest.
            let found = match link.read(job).await? {
                Found::Nothing { .. } => link.read_newest(job).await?,
                found => found,
            };
            let state = link.claim(job, me, 0, found, |_| true).await?;
            let state = state.map_err(|_| FleetError::Unknown { job })?;
            Ok(link.own(job, me, state, tell))
        })?;
        self.lost.remove(&job);
        let epoch = owned.epoch;
        self.owned.insert(job, owned);
        Ok(epoch)
    }

    /// As [`Store::load`], with the revision of what it gives: the sequence of the last entry of the job's log. What is read
    /// later may be older, where another server answers; its revision is lower then.
    ///
    /// # Errors
    /// [`FleetError`] says what keeps it from the servers.
    pub fn load_at(&self, job: Uuid) -> Result<Option<(u64, Saved)>, FleetError> {
        match self.wait(self.link.read_newest(job))? {
            Found::Job(state) => Ok(Some((state.last, state.saved))),
            Found::Nothing { .. } => Ok(None),
        }
    }

    /// As [`Store::change`], without waiting until it is durable: `done` gets what came of it, on a thread that must not be kept.
    /// Changes of one job become durable in their order; those that wait at the same time go into one entry together. A job
    /// that is not this store's yet is claimed first, and that waits.
    ///
    /// # Errors
    /// What keeps it from being asked at all, without `done`: [`FleetError::Unknown`] of a job that is not there, which only
    /// [`Store::change`] makes, or [`FleetError::Fenced`].
    pub fn begin(
        &mut self,
        job: Uuid,
        change: &Change,
        done: impl FnOnce(Result<(), FleetError>) + Send + 'static,
    ) -> Result<(), FleetError> {
        self.drain();
        if self.lost.contains(&job) {
            return Err(FleetError::Fenced { job });
        }
        if !self.owned.contains_key(&job) {
            self.take(job)?;
        }
        let Some(owned) = self.owned.get(&job) else { return Err(FleetError::Fenced { job }) };
        let asked = owned.ask(Ask::Change(vec![Changed::new(change)], Box::new(done)));
        asked.map_err(|_| FleetError::Fenced { job })
    }

    fn change_owned(&mut self, job: Uuid, change: &Change) -> Result<(), FleetError> {
        let (tell, told) = sync_channel(1);
        let gives_up = change.record.as_ref().is_some_and(|record| gives_up(record.state));
        let asked = self.begin(job, change, move |written| {
            // Whoever asked is below, and waits.
            let _ = tell.send(written);
        });
        let written = asked.and_then(|()| told.recv().unwrap_or_else(|_| Err(closed())));
        match &written {
            // It is nobody's now, and claimed anew where it is changed again.
            Ok(()) if gives_up => drop(self.owned.remove(&job)),
            Err(FleetError::Fenced { .. }) => {
                self.owned.remove(&job);
                self.lost.insert(job);
            }
            _ => {}
        }
        written
    }

    /// Hears what the tasks of jobs tell.
    fn drain(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            let (job, epoch, is_lost) = match told {
                Told::Wanted(..) => continue,
                Told::Lost(job, epoch) => (job, epoch, true),
                // It is nobody's now, and claimed anew where it is changed again.
                Told::GivenUp(job, epoch) | Told::Returned(job, epoch) => (job, epoch, false),
            };
            // It may have been claimed again since.
            if self.owned.get(&job).is_some_and(|owned| owned.epoch == epoch) {
                self.owned.remove(&job);
                if is_lost {
                    self.lost.insert(job);
                }
            }
        }
    }
}

impl Store for FleetStore {
    type Error = FleetError;

    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), FleetError> {
        match self.change_owned(job, change) {
            Err(FleetError::Unknown { .. }) => {
                let whole = Whole::first(change).ok_or(FleetError::Unknown { job })?;
                self.wait(self.link.clone().create(job, whole))
            }
            done => done,
        }
    }

    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, FleetError> {
        Ok(self.load_at(job)?.map(|(_, saved)| saved))
    }

    fn jobs(&mut self) -> Result<Vec<Uuid>, FleetError> {
        self.wait(self.link.all_jobs())
    }

    fn remove(&mut self, job: Uuid) -> Result<(), FleetError> {
        self.owned.remove(&job);
        self.lost.remove(&job);
        self.wait(self.link.remove(job, |_| true))
    }
}

impl Link {
    /// Writes a new job, without an owner.
    pub(super) async fn create(self, job: Uuid, whole: Whole) -> Result<(), FleetError> {
        let mut found = self.read_newest(job).await?;
        loop {
            let Found::Nothing { epoch, .. } = found else { return Err(FleetError::Exists { job }) };
            let entry = Entry::new(epoch, What::Whole(whole.clone()));
            match self.write(job, &entry, &mut found).await {
                Ok(Wrote::Done) => return Ok(()),
                Ok(Wrote::Behind) => {}
                // That it was removed is forgotten by now.
                Err(FleetError::Fenced { .. }) => found = self.read(job).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a job, if `may` says so.
    pub(super) async fn remove(&self, job: Uuid, may: impl Fn(&State) -> bool) -> Result<(), FleetError> {
        loop {
            let mut found = self.read_newest(job).await?;
            let Found::Job(state) = &found else { return Ok(()) };
            if !may(state) {
                return Err(FleetError::Busy { job, state: state.record.state });
            }
            let (epoch, last, last_part) = (state.epoch, state.last, state.last_part);
            let is_final = state.record.state.is_final();
            let entry = Entry::new(epoch, What::Removed);
            let wrote = match self.write(job, &entry, &mut found).await {
                // Who wants room must get it.
                Err(FleetError::Full { .. }) if is_final => self.remove_first(job, &entry, last).await?,
                wrote => wrote?,
            };
            if wrote == Wrote::Done {
                if last_part > 0 {
                    parts::remove(self, job, last_part.saturating_add(1)).await;
                }
                return Ok(());
            }
        }
    }
}

impl Link {
    /// Removes what there is of a job that is over, up to this entry, before it is said that it was removed. Nobody writes anything
    /// more about one that is over, so nothing is lost in between.
    async fn remove_first(&self, job: Uuid, entry: &Entry, last: u64) -> Result<Wrote, FleetError> {
        let purged = self.jobs.purge().filter(self.names.job(job)).sequence(last.saturating_add(1)).await;
        purged.map_err(|error| FleetError::server(format!("removing job {job}"), error))?;
        match self.write(job, entry, &mut Found::Nothing { last: 0, epoch: entry.epoch }).await {
            Err(FleetError::Full { .. }) => {
                log::warn!(
                    "job {job} is removed, and others show it until they start anew: there is no room to tell them"
                );
                Ok(Wrote::Done)
            }
            wrote => wrote,
        }
    }
}

pub(super) fn closed() -> FleetError {
    FleetError::server("the fleet", "the connection is closed")
}
