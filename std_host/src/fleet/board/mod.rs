//! A board that is a worker: its jobs come from the fleet's queue, and their checkpoints go into the fleet.
//!
//! ```text
//! queue ──► Holder ──orders──► Keeper ──console──► board
//!              ▲                  │
//!              └──── jobs' logs ◄─┘  what the board has stored of a job, each time a compare-and-set
//! ```
//!
//! The [`Keeper`] is a thread: the link to a board waits, and whoever speaks there does so alone. It takes the board's word for
//! how a job stands, and never for whose the job is: that is what the job's log says. So a copy on the board that is not held
//! here is removed, whatever it is, and nothing of it is written.

mod bring;
mod fetch;
mod keeper;
mod kept;
mod leftovers;
mod look;
mod merge;
mod refusals;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc as sync},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use toehold::{Interrupt, JobRecord, Trust, Uuid};
use tokio::sync::{mpsc, watch};

use self::{
    keeper::{Keeper, Order},
    refusals::Refusals,
};
use super::{
    FleetConfig, WorkerError, WorkerStatus,
    connect::{Link, patiently},
    holder::{Holder, Runner},
    jobs::FleetJobs,
    store::{Background, closed},
};
use crate::board::Port;

/// How a board is set up as a worker.
#[derive(Clone, Debug)]
pub struct BoardWorkerConfig {
    /// The fleet.
    pub fleet: FleetConfig,
    /// Whose extensions are brought to the board. The board may refuse more.
    pub trust: Trust,
    /// What it is called where workers are listed.
    pub name: String,
    /// Jobs that it has at a time. A board with little memory runs one after the other, however many it has.
    pub slots: usize,
    /// Where the board is.
    pub port: Port,
    /// Bits a second, where that is a serial device.
    pub baud: u32,
    /// How long the board may take to answer, and twelve times that where it has much to do.
    pub answer_time: Duration,
}

/// A board that takes jobs until this is stopped. Where it is dropped, the board's jobs are others' once the lease is over, and
/// the copies on the board are removed by whoever begins there next.
#[derive(Debug)]
pub struct BoardWorker {
    holder: Arc<Holder<Posted>>,
    stop: watch::Sender<bool>,
    ended: sync::Receiver<()>,
    keeper: JoinHandle<bool>,
    runtime: Background,
}

/// Jobs that a board runs, and its [`Keeper`] sees to.
#[derive(Debug)]
struct Posted {
    orders: Mutex<sync::Sender<Order>>,
    refusals: Arc<Refusals>,
    ready: watch::Receiver<bool>,
}

/// How long it may take to give all jobs back, and to leave the board without them.
const GIVE_BACK_TIME: Duration = Duration::from_secs(30);
const STOP_TIME: Duration = Duration::from_secs(40);

impl BoardWorker {
    /// Connects to the board and to the fleet, and takes jobs. With [`Trust::Anyone`] only where `takes_all` says so.
    ///
    /// # Errors
    /// [`WorkerError`] says why not.
    pub fn start(config: BoardWorkerConfig, takes_all: bool) -> Result<Self, WorkerError> {
        if config.trust == Trust::Anyone && !takes_all {
            return Err(WorkerError::NoTrust);
        }
        let board = keeper::open(&config)?;
        let runtime = Background::new("toehold-fleet")?;
        let handle = runtime.handle().cloned().ok_or_else(closed)?;
        let link = runtime.block_on(Link::open(&config.fleet)).ok_or_else(closed)??;
        let (tell, told) = mpsc::unbounded_channel();
        let jobs = FleetJobs::new(link.clone(), Uuid::new_v4(), handle.clone(), tell);
        let (orders, ordered) = sync::channel();
        let (tell_ready, ready) = watch::channel(false);
        let refusals = Arc::<Refusals>::default();
        let posted = Posted { orders: Mutex::new(orders), refusals: refusals.clone(), ready };
        let (name, slots) = (config.name.clone(), config.slots);
        let holder = Arc::new(Holder::new(posted, link.clone(), jobs.clone(), name, slots));
        let begin = patiently(async || {
            let queues = link.queues().await?;
            link.show(&holder.status()).await?;
            Ok(queues)
        });
        let begin = link.begin("joining the fleet", begin);
        let queues = runtime.block_on(begin).ok_or_else(closed)??;
        let keeper = Keeper::new(config, board, link, jobs, handle.clone(), refusals, tell_ready);
        let keeper = std::thread::Builder::new()
            .name("toehold-board".to_owned())
            .spawn(move || keeper.run(&ordered))
            .map_err(|error| super::FleetError::server("a thread for the board", error))?;
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = sync::sync_channel(1);
        let running = holder.clone();
        handle.spawn(async move {
            running.run(queues, told, stopped, std::future::pending()).await;
            // Whoever waits for it may have gone.
            let _ = end.send(());
        });
        Ok(Self { holder, stop, ended, keeper, runtime })
    }

    /// What it says of itself to the fleet.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.holder.status()
    }

    /// Waits until it stops by itself, which it only does where the servers are of no use any more. Gives the reason.
    pub fn wait(&self, while_waiting: impl Fn() -> bool) -> Option<String> {
        let failed = self.holder.wait(|| while_waiting() && !self.keeper.is_finished());
        failed.or_else(|| self.keeper.is_finished().then(|| "nobody speaks to the board any more".to_owned()))
    }

    /// Gives its jobs back, so that others go on with them at once, and leaves the board without them. Says whether it did: where
    /// the board does not answer, what it has of them stays there until somebody begins there again.
    #[must_use]
    pub fn stop(self) -> bool {
        let until = Instant::now() + STOP_TIME;
        self.stop.send_replace(true);
        // It has ended, or its runtime has.
        let _ = self.ended.recv_timeout(STOP_TIME);
        self.holder.runner.order(Order::End);
        while !self.keeper.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let is_clean = self.keeper.is_finished() && self.keeper.join().unwrap_or(false);
        drop(self.runtime);
        is_clean
    }
}

impl Posted {
    fn order(&self, order: Order) {
        // Where the keeper has ended there is no board any more.
        let _ = self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    }
}

impl Runner for Posted {
    const GIVE_BACK_TIME: Duration = GIVE_BACK_TIME;

    async fn ready(&self) {
        if self.ready.clone().wait_for(|ready| *ready).await.is_err() {
            // Where the keeper has ended, nobody could run a job.
            std::future::pending::<()>().await;
        }
    }

    fn takes(&self, job: Uuid, record: &JobRecord) -> bool {
        !self.refusals.has(job, record)
    }

    /// The keeper brings what is missing, once it has seen what the board has.
    async fn prepare(&self, _job: Uuid, _record: &JobRecord) {}

    async fn run(&self, job: Uuid, epoch: u64, record: JobRecord) {
        self.order(Order::Take(job, epoch, Box::new(record)));
    }

    async fn heed(&self, job: Uuid, wanted: Interrupt) {
        self.order(Order::Heed(job, wanted));
    }

    fn let_go(&self, job: Uuid, epoch: u64) {
        self.order(Order::LetGo(job, epoch));
    }

    fn give_back(&self, job: Uuid) {
        self.order(Order::GiveBack(job));
    }
}
