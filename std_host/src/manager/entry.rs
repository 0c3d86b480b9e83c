use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use toehold::{Interrupt, JobContext, JobRecord, JobState, UnixMillis, Uuid};
use tokio::sync::watch;

use super::{JobStatus, queue::Place, rate::RateMeter};

/// A job that is not over yet, or was not when somebody took a handle of it: the one place where its record changes.
///
/// Whoever changes the record does it under the lock and gives it to the store before the lock is released, so that the
/// store gets all records of a job in order.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Uuid,
    now: Mutex<Now>,
    /// Changes whenever the job's state does, and when the manager goes.
    shown: watch::Sender<Shown>,
}

/// What those who wait for a job get to see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) state: JobState,
    /// The manager is gone: nothing will change any more.
    pub(super) is_closed: bool,
}

/// How a job stands now.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) record: JobRecord,
    /// What is known of it while it is in memory.
    pub(super) context: Option<Arc<JobContext>>,
    /// The worker that has it in memory, or is about to.
    pub(super) worker: Option<usize>,
    pub(super) meter: RateMeter,
    /// Why the store can't take what the job has, while it can't.
    pub(super) stuck: Option<String>,
    /// How it has ended, while that is not durable yet. From then on its record changes no more.
    pub(super) ending: Option<JobState>,
    /// The number of its last event.
    pub(super) events: u64,
    /// It is another host's by now, or nobody's: nothing that is done here counts any more.
    pub(super) is_gone: bool,
}

impl Entry {
    pub(super) fn new(id: Uuid, record: JobRecord, events: u64) -> Arc<Self> {
        let (shown, _) = watch::channel(Shown { state: record.state, is_closed: false });
        let now = Now {
            record,
            context: None,
            worker: None,
            meter: RateMeter::default(),
            stuck: None,
            ending: None,
            events,
            is_gone: false,
        };
        Arc::new(Self { id, now: Mutex::new(now), shown })
    }

    /// The state that is shown to those who wait for the job.
    pub(super) fn state(&self) -> JobState {
        self.shown.borrow().state
    }

    /// A thread that panicked while it held the lock left a whole record behind: each change is made in one go.
    pub(super) fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that the state has changed.
    pub(super) fn show(&self, state: JobState) {
        self.shown.send_modify(|shown| shown.state = state);
    }

    /// Tells those who wait that the manager is gone.
    pub(super) fn close(&self) {
        self.shown.send_modify(|shown| shown.is_closed = true);
    }

    /// Waits for a state, or until the manager is gone.
    pub(super) async fn wait_for(&self, is_it: impl Fn(JobState) -> bool) {
        // The sender is in the entry, which is here.
        let _ = self.shown.subscribe().wait_for(|shown| shown.is_closed || is_it(shown.state)).await;
    }

    pub(super) fn status(&self) -> JobStatus {
        let mut now = self.lock();
        now.refresh();
        let mut record = now.record.clone();
        if let Some(reason) = now.stuck.clone() {
            (record.state, record.reason) = (JobState::Paused, Some(reason));
        }
        JobStatus::new(self.id, record, now.meter.rate())
    }
}

impl Now {
    /// Brings the record up to what the job has told of itself.
    pub(super) fn refresh(&mut self) {
        if let Some(context) = &self.context {
            self.record.report = context.report();
            self.record.fuel_used = context.fuel_used();
        }
    }

    /// How it stands for those who want to change something about it.
    pub(super) fn state(&self) -> JobState {
        self.ending.unwrap_or(self.record.state)
    }

    /// Its place in the queue.
    pub(super) fn place(&self, id: Uuid) -> Place {
        Place::new(id, self.record.priority, self.record.created_at)
    }

    /// Asks the job for something, or takes it back.
    pub(super) fn want(&mut self, wanted: Interrupt) {
        self.record.wanted = wanted;
        self.steer();
    }

    /// Lets the running job know what it is asked for.
    pub(super) fn steer(&self) {
        let Some(context) = &self.context else { return };
        match self.record.wanted {
            Interrupt::None => context.control().resume(),
            Interrupt::Pause => context.control().pause(),
            Interrupt::Cancel => context.control().cancel(),
        }
    }

    /// The job is in memory no longer.
    pub(super) fn forget(&mut self) {
        self.refresh();
        (self.context, self.worker, self.meter) = (None, None, RateMeter::default());
    }
}

/// The time of the system's clock. It may jump, and be wrong.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
