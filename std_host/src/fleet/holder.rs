//! What a worker holds: jobs that it has claimed, since the queue said that they want one, for as long as nobody else claims them.
//!
//! What runs them is a [`Runner`]. The holder sees to the messages of the queue, hears what becomes of the jobs, and shows signs of
//! life for all of them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use toehold::{Interrupt, JobRecord, JobState, Uuid};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
};

use super::{
    connect::Link,
    jobs::FleetJobs,
    owned::{Ask, Told},
    presence::{Touch, WorkerStatus},
    queue::{Queues, Ticket},
    state::{Found, State, gives_up},
};
use crate::manager::unix_now;

/// How long a worker without anything to do waits for a word of the queue, which may not come: then it looks.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Messages of the queue that are taken at a time.
const TAKE: usize = 64;
/// Of so many signs of life, one comes with a look at what others have written to jobs.
const LOOK_EVERY: u32 = 3;
/// After how long each time to look whether all jobs were given back.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(50);
/// How long a slot does not look for another job once its runner would not take one: others shall have the time to.
const DECLINED: Duration = Duration::from_millis(500);

/// What runs the jobs that a worker holds.
pub(super) trait Runner: Send + Sync + 'static {
    /// How long to wait, when the worker stops, until all jobs were given back. What is not by then, others take after the lease.
    const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

    /// Waits until jobs can be taken.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Whether it would take a job, as far as is known without trying.
    fn takes(&self, job: Uuid, record: &JobRecord) -> bool {
        let _ = (job, record);
        true
    }

    /// Brings what a job needs that was just claimed, before it is this process's. Says itself what is wrong.
    fn prepare(&self, job: Uuid, record: &JobRecord) -> impl Future<Output = ()> + Send;

    /// Has a job go on that is this process's in this epoch.
    fn run(&self, job: Uuid, epoch: u64, record: JobRecord) -> impl Future<Output = ()> + Send;

    /// Tells a job what somebody wants of it.
    fn heed(&self, job: Uuid, wanted: Interrupt) -> impl Future<Output = ()> + Send;

    /// Lets go of a job that was this process's in this epoch: nothing that it still does here counts.
    fn let_go(&self, job: Uuid, epoch: u64);

    /// Begins to give a job back, so that others can go on with it at once: [`Ask::Release`] is the last of it.
    fn give_back(&self, job: Uuid);
}

/// The jobs of a worker.
#[derive(Debug)]
pub(super) struct Holder<R> {
    pub(super) runner: R,
    link: Link,
    jobs: FleetJobs,
    name: String,
    slot_count: usize,
    started_at: u64,
    touch: Touch,
    slots: Arc<Semaphore>,
    held: Mutex<HashMap<Uuid, Held>>,
    /// Jobs whose messages are being looked at: a second one waits.
    claiming: Mutex<HashSet<Uuid>>,
    /// Why the worker stops by itself, once it does.
    failed: watch::Sender<Option<String>>,
}

/// A job that this worker has.
struct Held {
    epoch: u64,
    tickets: Vec<Ticket>,
    /// Its slot is free once this is dropped.
    _slot: OwnedSemaphorePermit,
}

impl<R: Runner> Holder<R> {
    /// A worker of this name that holds so many jobs at a time, and none at first.
    pub(super) fn new(runner: R, link: Link, jobs: FleetJobs, name: String, slots: usize) -> Self {
        Self {
            runner,
            link,
            jobs,
            name,
            slot_count: slots,
            started_at: unix_now(),
            touch: Touch::new(),
            slots: Arc::new(Semaphore::new(slots)),
            held: Mutex::default(),
            claiming: Mutex::default(),
            failed: watch::Sender::new(None),
        }
    }

    /// Takes jobs until it is to stop, and gives all of them back then. `more` is what else is to be done meanwhile.
    pub(super) async fn run(
        self: Arc<Self>,
        queues: Queues,
        told: mpsc::UnboundedReceiver<Told>,
        mut stop: watch::Receiver<bool>,
        more: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().hear(told));
        tasks.spawn(self.clone().live());
        tasks.spawn(self.clone().listen());
        tasks.spawn(more);
        let taking = tokio::spawn(self.clone().take_jobs(queues));
        // An error means that nobody can stop it any more, so it stops.
        let _ = stop.wait_for(|stop| *stop).await;
        taking.abort();
        self.give_back().await;
        self.link.hide(self.jobs.me).await;
        // What was said last has to get out.
        let _ = self.link.client.flush().await;
    }

    /// What the worker says of itself to the fleet.
    pub(super) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.jobs.me,
            name: self.name.clone(),
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: self.slot_count,
            jobs: self.held().len(),
            started_at: self.started_at,
        }
    }

    /// Waits until it stops by itself, which it only does where the servers are of no use any more. Gives the reason.
    pub(super) fn wait(&self, while_waiting: impl Fn() -> bool) -> Option<String> {
        while while_waiting() {
            if let Some(reason) = self.failed.borrow().clone() {
                return Some(reason);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs while there are slots.
    async fn take_jobs(self: Arc<Self>, queues: Queues) {
        let mut word = None;
        loop {
            self.runner.ready().await;
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
        if !self.runner.takes(job, &state.record) {
            ticket.declined(lease / 3).await;
            tokio::time::sleep(DECLINED).await;
            return;
        }
        let owner = state.owner.map(|owner| owner.worker);
        // Whoever has changed it meanwhile is looked at anew.
        let may =
            |state: &State| state.owner.map(|owner| owner.worker) == owner && !gives_up(state.record.state);
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
        self.runner.prepare(job, &record).await;
        let epoch = self.jobs.take(job, state);
        self.held().insert(job, Held { epoch, tickets: vec![ticket], _slot: slot });
        self.runner.run(job, epoch, record).await;
    }

    /// Hears what becomes of jobs.
    async fn hear(self: Arc<Self>, mut told: mpsc::UnboundedReceiver<Told>) {
        while let Some(told) = told.recv().await {
            match told {
                Told::Wanted(job, wanted) => {
                    self.runner.heed(job, wanted).await;
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
        self.runner.let_go(job, epoch);
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
        let mut told = HashSet::new();
        // Where the servers do not answer, the lease does it.
        let until = Instant::now() + R::GIVE_BACK_TIME;
        loop {
            // One that was being claimed comes later.
            let jobs: Vec<Uuid> = self.held().keys().copied().collect();
            if jobs.is_empty() || Instant::now() >= until {
                return;
            }
            for job in jobs {
                if told.insert(job) {
                    self.runner.give_back(job);
                }
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
