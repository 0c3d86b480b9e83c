//! A worker: takes jobs from the queue and runs them, for as long as nobody else takes them.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use toehold::{Interrupt, JobState, Trust, Uuid};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
};

use super::{
    FleetConfig, FleetError,
    connect::{Link, patiently},
    extensions,
    jobs::FleetJobs,
    owned::{Ask, Told},
    presence::{Touch, WorkerStatus},
    queue::{Queues, Ticket},
    state::{Found, State},
    store::{Background, closed},
};
use crate::{
    SqliteStore,
    manager::{Manager, ManagerConfig, ManagerError, unix_now},
    store::OpenError,
};

/// How long a worker without anything to do waits for a word of the queue, which may not come: then it looks.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Messages of the queue that are taken at a time.
const TAKE: usize = 64;
/// Of so many signs of life, one comes with a look at what others have written to jobs.
const LOOK_EVERY: u32 = 3;

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The fleet.
    pub fleet: FleetConfig,
    /// How it runs jobs. Its data folder is for this process alone; nothing in it is of any use to others. Its trust says whose
    /// extensions it runs.
    pub manager: ManagerConfig,
    /// What it is called where workers are listed.
    pub name: String,
    /// Jobs that it has at a time, those that sleep or wait included.
    pub slots: usize,
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The fleet.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The job manager.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// Its folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It would run whatever anybody puts into the fleet.
    #[error(
        "a worker takes only extensions that somebody it trusts has signed: name the keys, or let it take all of them explicitly"
    )]
    NoTrust,
}

/// A worker that runs until it is stopped, or dropped: then its jobs are others' as soon as they notice.
#[derive(Debug)]
pub struct FleetWorker {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    ended: std::sync::mpsc::Receiver<()>,
    runtime: Background,
}

#[derive(Debug)]
struct Shared {
    config: Settings,
    link: Link,
    jobs: FleetJobs,
    manager: Manager,
    touch: Touch,
    slots: Arc<Semaphore>,
    held: Mutex<HashMap<Uuid, Held>>,
    /// Jobs whose messages are being looked at: a second one waits.
    claiming: Mutex<HashSet<Uuid>>,
    /// Why the worker stops by itself, once it does.
    failed: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Settings {
    name: String,
    slots: usize,
    started_at: u64,
    data: PathBuf,
}

/// A job that this worker has.
struct Held {
    epoch: u64,
    tickets: Vec<Ticket>,
    /// Its slot is free once this is dropped.
    _slot: OwnedSemaphorePermit,
}

impl FleetWorker {
    /// Connects to the fleet and takes jobs. With [`Trust::Anyone`] only where `takes_all` says so.
    ///
    /// # Errors
    /// [`WorkerError`] says why not.
    pub fn start(config: WorkerConfig, takes_all: bool) -> Result<Self, WorkerError> {
        if config.manager.trust == Trust::Anyone && !takes_all {
            return Err(WorkerError::NoTrust);
        }
        let runtime = Background::new("toehold-fleet")?;
        let handle = runtime.handle().cloned().ok_or_else(closed)?;
        let link = runtime.block_on(Link::open(&config.fleet)).ok_or_else(closed)??;
        let (tell, told) = mpsc::unbounded_channel();
        let jobs = FleetJobs::new(link.clone(), Uuid::new_v4(), handle.clone(), tell);
        let store = SqliteStore::open(&config.manager.data, config.manager.store)?;
        let data = config.manager.data.clone();
        let manager = Manager::open_on(config.manager, store, Arc::new(jobs.clone()))?;
        let settings = Settings { name: config.name, slots: config.slots, started_at: unix_now(), data };
        let shared = Arc::new(Shared {
            config: settings,
            link,
            jobs,
            manager,
            touch: Touch::new(),
            slots: Arc::new(Semaphore::new(config.slots)),
            held: Mutex::default(),
            claiming: Mutex::default(),
            failed: watch::Sender::new(None),
        });
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = std::sync::mpsc::sync_channel(1);
        let begin = patiently(async || {
            extensions::sync(&shared.link, &shared.manager, &shared.config.data).await?;
            let queues = shared.link.queues().await?;
            shared.link.show(&shared.status()).await?;
            Ok(queues)
        });
        let begin = shared.link.begin("joining the fleet", begin);
        let queues = runtime.block_on(begin).ok_or_else(closed)??;
        let running = shared.clone();
        handle.spawn(async move {
            running.run(queues, told, stopped).await;
            // Whoever waits for it may have gone.
            let _ = end.send(());
        });
        Ok(Self { shared, stop, ended, runtime })
    }

    /// What it says of itself to the fleet.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.shared.status()
    }

    /// Waits until it stops by itself, which it only does where the servers are of no use any more. Gives the reason.
    pub fn wait(&self, while_waiting: impl Fn() -> bool) -> Option<String> {
        while while_waiting() {
            if let Some(reason) = self.shared.failed.borrow().clone() {
                return Some(reason);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// Gives its jobs back, so that others go on with them at once, and stops.
    pub fn stop(self) {
        self.stop.send_replace(true);
        // It has ended, or its runtime has.
        let _ = self.ended.recv_timeout(STOP_TIME);
        drop(self.runtime);
    }
}

/// How often, and after how long each time, to look whether all jobs were given back.
const GIVE_BACK_LOOKS: u32 = 100;
const GIVE_BACK_WAIT: Duration = Duration::from_millis(50);
/// How long all of that may take.
const STOP_TIME: Duration = Duration::from_secs(10);

impl Shared {
    async fn run(
        self: Arc<Self>,
        queues: Queues,
        told: mpsc::UnboundedReceiver<Told>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().heed(told));
        tasks.spawn(self.clone().live());
        tasks.spawn(self.clone().listen());
        let (link, manager, data) = (self.link.clone(), self.manager.clone(), self.config.data.clone());
        tasks.spawn(async move { extensions::follow(&link, &manager, &data).await });
        let taking = tokio::spawn(self.clone().take_jobs(queues));
        // An error means that nobody can stop it any more, so it stops.
        let _ = stop.wait_for(|stop| *stop).await;
        taking.abort();
        self.give_back().await;
        self.link.hide(self.jobs.me).await;
        // What was said last has to get out.
        let _ = self.link.client.flush().await;
    }

    fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.jobs.me,
            name: self.config.name.clone(),
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: self.config.slots,
            jobs: self.held().len(),
            started_at: self.config.started_at,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs while there are slots.
    async fn take_jobs(self: Arc<Self>, queues: Queues) {
        let mut word = None;
        loop {
            let Ok(first) = self.slots.clone().acquire_owned().await else { return };
            let mut slots = vec![first];
            while slots.len() < TAKE
                && let Ok(slot) = self.slots.clone().try_acquire_owned()
            {
                slots.push(slot);
            }
            let tickets = queues.take(slots.len()).await;
            if tickets.is_empty() {
                drop(slots);
                // Of many idle workers, one gets the word.
                if word.is_none() {
                    let subject = self.link.names.all_queues();
                    word = self.link.client.queue_subscribe(subject, "workers".to_owned()).await.ok();
                    continue;
                }
                if let Some(word) = &mut word {
                    let _ = tokio::time::timeout(LOOK_ANYWAY, word.next()).await;
                }
                continue;
            }
            word = None;
            for (ticket, slot) in tickets.into_iter().zip(slots) {
                tokio::spawn(self.clone().consider(ticket, slot));
            }
        }
    }

    /// Looks at a message of the queue, and takes its job if that wants a worker.
    async fn consider(self: Arc<Self>, ticket: Ticket, slot: OwnedSemaphorePermit) {
        let Some(job) = ticket.job else {
            // Nobody knows what it is.
            ticket.done().await;
            return;
        };
        if !self.claiming.lock().unwrap_or_else(PoisonError::into_inner).insert(job) {
            ticket.later(self.link.lease / 3).await;
            return;
        }
        self.claim(job, ticket, slot).await;
        self.claiming.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    async fn claim(&self, job: Uuid, ticket: Ticket, slot: OwnedSemaphorePermit) {
        let me = self.jobs.me;
        let lease = self.link.lease;
        let found = match self.link.read(job).await {
            Ok(found) => found,
            Err(error) => {
                log::warn!("{error}");
                ticket.later(lease / 3).await;
                return;
            }
        };
        let Found::Job(state) = &found else { return ticket.unwanted().await };
        match (state.record.state, state.owner) {
            // One that was removed and dispatched again may have been read as it was before.
            (state, _) if state.is_final() => {
                return match self.link.read_newest(job).await {
                    Ok(Found::Job(newest)) if newest.record.state.is_final() => ticket.done().await,
                    _ => ticket.later(Duration::from_millis(100)).await,
                };
            }
            (JobState::Paused, None) => return ticket.unwanted().await,
            (_, Some(owner)) if owner.worker == me => {
                // Another message of a job that is here. It stands for the job as well as the first one.
                if let Some(held) = self.held().get_mut(&job) {
                    held.tickets.push(ticket);
                    return;
                }
                // It is about to be given up, or to come.
                return ticket.later(lease / 3).await;
            }
            (_, Some(owner)) if !self.link.is_gone(owner.worker, &self.touch).await => {
                return ticket.later(lease / 3).await;
            }
            _ => {}
        }
        let owner = state.owner.map(|owner| owner.worker);
        // Whoever has changed it meanwhile is looked at anew.
        let may = |state: &State| {
            state.owner.map(|owner| owner.worker) == owner && !super::state::gives_up(state.record.state)
        };
        let state = match self.link.claim(job, me, unix_now(), found, may).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return ticket.later(Duration::from_millis(100)).await,
            Err(error) => {
                log::warn!("{error}");
                return ticket.later(lease / 3).await;
            }
        };
        if let Some(owner) = owner {
            log::warn!("job {job} is taken over from worker {owner}, which is gone");
        }
        let mut record = state.record.clone();
        record.wanted = state.wants();
        if let Some(parent) = record.parent
            && let Ok(Found::Job(parent)) = self.link.read(parent).await
            && parent.record.state == JobState::Cancelled
        {
            record.wanted = Interrupt::Cancel;
        }
        if let Err(error) = self.bring_module(record.extension(), record.module_hash).await {
            // The manager says the same, and pauses the job.
            log::error!("job {job}: {error}");
        }
        let epoch = self.jobs.take(job, state);
        self.held().insert(job, Held { epoch, tickets: vec![ticket], _slot: slot });
        let manager = self.manager.clone();
        // It may have to ask the fleet for what the job has dispatched.
        drop(tokio::task::spawn_blocking(move || manager.adopt(job, record)).await);
    }

    /// Makes sure that the module of a job is here.
    async fn bring_module(&self, extension: &str, hash: [u8; 32]) -> Result<(), FleetError> {
        if self.manager.has_module(extension, hash).unwrap_or(false) {
            return Ok(());
        }
        let Some(module) = self.link.module(hash).await? else { return Ok(()) };
        self.manager.put_module(module).await.map_err(|error| FleetError::server("keeping a module", error))
    }

    /// Hears what becomes of jobs.
    async fn heed(self: Arc<Self>, mut told: mpsc::UnboundedReceiver<Told>) {
        while let Some(told) = told.recv().await {
            match told {
                Told::Wanted(job, wanted) => {
                    let shared = self.clone();
                    // It may have to ask the fleet for what the job has dispatched.
                    let heeded = tokio::task::spawn_blocking(move || shared.manager.heed(job, wanted));
                    drop(heeded.await);
                }
                Told::Returned(job, epoch) => {
                    for ticket in self.let_go(job, epoch) {
                        ticket.later(Duration::ZERO).await;
                    }
                }
                Told::GivenUp(job, epoch) => {
                    // Its log says that nobody needs to look at it: so its messages go.
                    for ticket in self.let_go(job, epoch) {
                        ticket.done().await;
                    }
                }
                Told::Lost(job, epoch) => {
                    log::warn!("job {job} is another worker's by now");
                    // Its messages are that one's.
                    drop(self.let_go(job, epoch));
                }
            }
        }
    }

    fn let_go(&self, job: Uuid, epoch: u64) -> Vec<Ticket> {
        let tickets = {
            let mut held = self.held();
            match held.get(&job) {
                Some(one) if one.epoch == epoch => held.remove(&job).map(|held| held.tickets),
                _ => None,
            }
        };
        self.jobs.let_go(job, epoch);
        let Some(tickets) = tickets else { return Vec::new() };
        self.manager.let_go(job);
        tickets
    }

    /// Shows signs of life: its own, and that its jobs are seen to.
    async fn live(self: Arc<Self>) {
        let mut beats = 0_u32;
        loop {
            tokio::time::sleep(self.link.lease / 3).await;
            beats = beats.wrapping_add(1);
            if let Err(error) = self.link.check() {
                self.failed.send_replace(Some(error.to_string()));
            }
            match self.link.show(&self.status()).await {
                Ok(()) => self.touch.touched(&self.link),
                Err(error) => log::warn!("{error}"),
            }
            let jobs: Vec<Uuid> = self.held().keys().copied().collect();
            for job in jobs {
                let tickets = self.held().get_mut(&job).map(|held| std::mem::take(&mut held.tickets));
                let Some(tickets) = tickets else { continue };
                for ticket in &tickets {
                    ticket.hold().await;
                }
                // It may have been given up meanwhile.
                match self.held().get_mut(&job) {
                    Some(held) => held.tickets.extend(tickets),
                    None => {
                        let shared = self.clone();
                        tokio::spawn(async move { shared.put_back(tickets).await });
                    }
                }
                if beats.is_multiple_of(LOOK_EVERY) {
                    drop(self.jobs.ask(job, Ask::Look));
                }
            }
        }
    }

    /// Messages of a job that was given up, or lost, while they were away: whoever gets them next sees what is to be done.
    async fn put_back(&self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            ticket.later(Duration::from_millis(100)).await;
        }
    }

    /// Hears that somebody wants something of a job.
    async fn listen(self: Arc<Self>) {
        let subject = self.link.names.signal(self.jobs.me);
        match self.link.client.subscribe(subject).await {
            Ok(mut signals) => {
                while let Some(signal) = signals.next().await {
                    let job =
                        std::str::from_utf8(&signal.payload).ok().and_then(|id| Uuid::parse_str(id).ok());
                    if let Some(job) = job {
                        // One that is not here any more is of no interest.
                        drop(self.jobs.ask(job, Ask::Look));
                    }
                }
            }
            Err(error) => log::error!("what is wanted of jobs comes late: {error}"),
        }
    }

    /// Gives all jobs back, so that others need not wait until the lease is over.
    async fn give_back(&self) {
        let jobs: Vec<Uuid> = self.held().keys().copied().collect();
        for job in jobs {
            self.manager.let_go(job);
            drop(self.jobs.ask(job, Ask::Release));
        }
        // Where the servers do not answer, the lease does it.
        for _ in 0..GIVE_BACK_LOOKS {
            if self.held().is_empty() {
                return;
            }
            tokio::time::sleep(GIVE_BACK_WAIT).await;
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
