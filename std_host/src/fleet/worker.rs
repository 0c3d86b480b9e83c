//! A worker: takes jobs from the queue and runs them, for as long as nobody else takes them.

use std::{sync::Arc, time::Duration};

use toehold::{Interrupt, JobRecord, Trust, Uuid};
use tokio::sync::{mpsc, watch};

use super::{
    FleetConfig, FleetError,
    connect::{Link, patiently},
    extensions,
    holder::{Holder, Runner},
    jobs::FleetJobs,
    owned::Ask,
    presence::WorkerStatus,
    store::{Background, closed},
};
use crate::{
    SqliteStore,
    board::{BoardError, OpenPortError},
    manager::{Manager, ManagerConfig, ManagerError},
    store::OpenError,
};

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
    /// The board's port.
    #[error(transparent)]
    Port(#[from] OpenPortError),
    /// The board.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// It would run whatever anybody puts into the fleet.
    #[error(
        "a worker takes only extensions that somebody it trusts has signed: name the keys, or let it take all of them explicitly"
    )]
    NoTrust,
}

/// A worker that runs until it is stopped, or dropped: then its jobs are others' as soon as they notice.
#[derive(Debug)]
pub struct FleetWorker {
    holder: Arc<Holder<Managed>>,
    stop: watch::Sender<bool>,
    ended: std::sync::mpsc::Receiver<()>,
    runtime: Background,
}

/// Jobs that a manager runs.
#[derive(Debug)]
struct Managed {
    link: Link,
    jobs: FleetJobs,
    manager: Manager,
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
        let managed = Managed { link: link.clone(), jobs: jobs.clone(), manager: manager.clone() };
        let holder = Arc::new(Holder::new(managed, link.clone(), jobs, config.name, config.slots));
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = std::sync::mpsc::sync_channel(1);
        let begin = patiently(async || {
            extensions::sync(&link, &manager, &data).await?;
            let queues = link.queues().await?;
            link.show(&holder.status()).await?;
            Ok(queues)
        });
        let begin = link.begin("joining the fleet", begin);
        let queues = runtime.block_on(begin).ok_or_else(closed)??;
        let running = holder.clone();
        handle.spawn(async move {
            let follow = async move { extensions::follow(&link, &manager, &data).await };
            running.run(queues, told, stopped, follow).await;
            // Whoever waits for it may have gone.
            let _ = end.send(());
        });
        Ok(Self { holder, stop, ended, runtime })
    }

    /// What it says of itself to the fleet.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.holder.status()
    }

    /// Waits until it stops by itself, which it only does where the servers are of no use any more. Gives the reason.
    pub fn wait(&self, while_waiting: impl Fn() -> bool) -> Option<String> {
        self.holder.wait(while_waiting)
    }

    /// Gives its jobs back, so that others go on with them at once, and stops.
    pub fn stop(self) {
        self.stop.send_replace(true);
        // It has ended, or its runtime has.
        let _ = self.ended.recv_timeout(STOP_TIME);
        drop(self.runtime);
    }
}

/// How long it may take to give all jobs back.
const STOP_TIME: Duration = Duration::from_secs(10);

impl Managed {
    /// Makes sure that the module of a job is here.
    async fn bring_module(&self, extension: &str, hash: [u8; 32]) -> Result<(), FleetError> {
        if self.manager.has_module(extension, hash).unwrap_or(false) {
            return Ok(());
        }
        let Some(module) = self.link.module(hash).await? else { return Ok(()) };
        self.manager.put_module(module).await.map_err(|error| FleetError::server("keeping a module", error))
    }
}

impl Runner for Managed {
    async fn prepare(&self, job: Uuid, record: &JobRecord) {
        if let Err(error) = self.bring_module(record.extension(), record.module_hash).await {
            // The manager says the same, and pauses the job.
            log::error!("job {job}: {error}");
        }
    }

    async fn run(&self, job: Uuid, _epoch: u64, record: JobRecord) {
        let manager = self.manager.clone();
        // It may have to ask the fleet for what the job has dispatched.
        drop(tokio::task::spawn_blocking(move || manager.adopt(job, record)).await);
    }

    async fn heed(&self, job: Uuid, wanted: Interrupt) {
        let manager = self.manager.clone();
        // As above.
        drop(tokio::task::spawn_blocking(move || manager.heed(job, wanted)).await);
    }

    fn let_go(&self, job: Uuid, _epoch: u64) {
        self.manager.let_go(job);
    }

    fn give_back(&self, job: Uuid) {
        self.manager.let_go(job);
        // Where it is this process's no longer, it was given back already.
        drop(self.jobs.ask(job, Ask::Release));
    }
}
