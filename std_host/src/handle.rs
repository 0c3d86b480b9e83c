use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use toehold::{Interrupt, JobContext, LogLine, Outcome, Report, Uuid};

use crate::signal::Signal;

/// A job that was dispatched. Dropping the handle leaves the job running.
#[derive(Clone, Debug)]
pub struct JobHandle {
    context: Arc<JobContext>,
    shared: Arc<Shared>,
}

/// What a job does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobStatus {
    /// It runs, or waits for an operation.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// It is done.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// How a job ended, with its last words.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What it told of itself.
    pub report: Report,
    /// Fuel that it used.
    pub fuel_used: u64,
    /// The state of its newest durable checkpoint, else the one that it was dispatched with.
    pub state: Vec<u8>,
    /// Bytes of linear memory that it had.
    pub memory_bytes: usize,
    /// Its last log lines, oldest first.
    pub log_tail: Vec<LogLine>,
}

impl JobHandle {
    pub(crate) fn new(context: Arc<JobContext>, shared: Arc<Shared>) -> Self {
        Self { context, shared }
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.context.id()
    }

    /// What the job tells of itself while it runs.
    #[must_use]
    pub fn context(&self) -> &Arc<JobContext> {
        &self.context
    }

    /// What the job does now.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.shared.lock().status
    }

    /// Asks the job to stop for now. Comes back at once; [`JobHandle::wait_until_stopped`] tells when it did.
    pub fn pause(&self) {
        self.context.control().pause();
        self.shared.signal.raise();
    }

    /// Lets a paused job go on.
    pub fn resume(&self) {
        self.context.control().resume();
        self.shared.no_longer_paused(&self.context);
    }

    /// Asks the job to stop for good.
    pub fn cancel(&self) {
        self.context.control().cancel();
        self.shared.no_longer_paused(&self.context);
    }

    /// Waits until the job has ended.
    #[must_use]
    pub fn wait(&self) -> Ended {
        let mut now = self.shared.lock();
        loop {
            if let Some(ended) = &now.ended {
                return ended.clone();
            }
            now = self.shared.stopped.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the job is paused or has ended. How it ended, if it did.
    #[must_use]
    pub fn wait_until_stopped(&self) -> Option<Ended> {
        let mut now = self.shared.lock();
        while now.status == JobStatus::Running {
            now = self.shared.stopped.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        now.ended.clone()
    }
}

impl Ended {
    pub(crate) fn new(outcome: Outcome, context: &JobContext, state: Vec<u8>, memory_bytes: usize) -> Self {
        Self {
            outcome,
            report: context.report(),
            fuel_used: context.fuel_used(),
            state,
            memory_bytes,
            log_tail: context.log_tail(),
        }
    }
}

/// What a job's thread and its handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    now: Mutex<Now>,
    stopped: Condvar,
    signal: Signal,
}

#[derive(Debug)]
struct Now {
    status: JobStatus,
    ended: Option<Ended>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        let now = Mutex::new(Now { status: JobStatus::Running, ended: None });
        Arc::new(Self { now, stopped: Condvar::new(), signal: Signal::default() })
    }

    /// Wakes the job's thread where it waits for a reply or to be resumed.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Shows the job as paused, if somebody still wants that; else as running. Says which.
    pub(crate) fn show_pause(&self, context: &JobContext) -> bool {
        // Under the lock, so that a resume which comes meanwhile is not overwritten.
        let mut now = self.lock();
        let paused = context.control().interrupt() == Interrupt::Pause;
        now.status = if paused { JobStatus::Paused } else { JobStatus::Running };
        drop(now);
        self.stopped.notify_all();
        paused
    }

    /// After a resume or a cancel: who waits for the job to stop must not take the old pause for a new one.
    fn no_longer_paused(&self, context: &JobContext) {
        let mut now = self.lock();
        if now.status == JobStatus::Paused && context.control().interrupt() != Interrupt::Pause {
            now.status = JobStatus::Running;
        }
        drop(now);
        self.signal.raise();
    }

    pub(crate) fn end(&self, ended: Ended) {
        let mut now = self.lock();
        now.status = match ended.outcome {
            Outcome::Completed => JobStatus::Completed,
            Outcome::Interrupted => JobStatus::Paused,
            Outcome::Cancelled => JobStatus::Cancelled,
            Outcome::Failed(_) => JobStatus::Failed,
        };
        now.ended = Some(ended);
        drop(now);
        self.stopped.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
