use std::{collections::VecDeque, sync::Arc};

use toehold::{JobState, Uuid};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{EventKind, Inner, JobError, JobEvent, JobStatus, entry::Entry, life::Written};
use crate::store::StoreError;

/// A job, to steer it and to wait for it. Dropping the handle leaves the job as it is.
#[derive(Clone, Debug)]
pub struct JobHandle {
    inner: Arc<Inner>,
    entry: Arc<Entry>,
}

impl JobHandle {
    pub(super) fn new(inner: Arc<Inner>, entry: Arc<Entry>) -> Self {
        Self { inner, entry }
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.entry.id
    }

    /// How the job stands now.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.entry.status()
    }

    /// Waits until the job is over, and that is durable. How it ended; or how it stands, if the manager is gone first.
    pub async fn wait(&self) -> JobStatus {
        self.entry.wait_for(JobState::is_final).await;
        self.entry.status()
    }

    /// Waits until the job stands still: until it is paused, or over, or the manager is gone.
    pub async fn wait_until_stopped(&self) -> JobStatus {
        self.entry.wait_for(|state| state.is_final() || state == JobState::Paused).await;
        self.entry.status()
    }

    /// Asks the job to stop for now. Once this returns, the wish outlives a power cut; the job stops within a slice, or
    /// once it has checkpointed if it asks for interrupts.
    ///
    /// # Errors
    /// [`JobError::Over`], [`JobError::Store`].
    pub async fn pause(&self) -> Result<(), JobError> {
        self.written(self.inner.pause(&self.entry)?).await
    }

    /// Lets a paused job go on, once there is a place for it.
    ///
    /// # Errors
    /// [`JobError::Over`], [`JobError::Store`].
    pub async fn resume(&self) -> Result<(), JobError> {
        self.written(self.inner.resume(&self.entry)?).await
    }

    /// Asks the job to stop for good, and all that it has dispatched. Once this returns, the wish outlives a power cut.
    ///
    /// # Errors
    /// [`JobError::Over`], [`JobError::Store`].
    pub async fn cancel(&self) -> Result<(), JobError> {
        self.written(self.inner.cancel(&self.entry)?).await
    }

    /// What happened to the job after its event number `after`, 0 for all that is kept, and then what happens to it.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn events(&self, after: u64) -> Result<Events, StoreError> {
        // First to listen, then to read: so that nothing falls in between.
        let live = self.inner.hub.listen();
        let mut events = Events {
            inner: self.inner.clone(),
            job: self.id(),
            live,
            read: VecDeque::new(),
            seen: after,
            over: false,
        };
        events.catch_up().await?;
        events.over = events.read.is_empty() && self.status().state.is_final();
        Ok(events)
    }

    async fn written(&self, written: Written) -> Result<(), JobError> {
        Ok(written.await.unwrap_or_else(|_| Err(self.inner.closed()))?)
    }
}

/// The events of a job, one after the other.
#[derive(Debug)]
pub struct Events {
    inner: Arc<Inner>,
    job: Uuid,
    live: broadcast::Receiver<Arc<JobEvent>>,
    read: VecDeque<JobEvent>,
    /// The number of the newest event that was read or given.
    seen: u64,
    over: bool,
}

impl Events {
    /// The next event; `None` once the job is over and all was told. Can be dropped while it waits, and loses nothing.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, StoreError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.over |= event.kind.is_final();
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            match self.live.recv().await {
                Ok(event) if event.job_id == self.job && self.is_new(&event) => {
                    self.seen = event.seq;
                    self.read.push_back((*event).clone());
                }
                Ok(_) => {}
                // Too many came at once; those that are kept can be read.
                Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Err(RecvError::Closed) => self.over = true,
            }
        }
    }

    fn is_new(&self, event: &JobEvent) -> bool {
        event.seq > self.seen || event.kind.is_final() || (!event.kind.is_kept() && event.seq >= self.seen)
    }

    async fn catch_up(&mut self) -> Result<(), StoreError> {
        // Events are written without anybody waiting for it: those that were told before this one listened may not be
        // there yet.
        match self.inner.flush().await {
            // What is there can still be read.
            Err(StoreError::Closed { .. } | StoreError::Full { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        loop {
            let history = self.inner.store.reader().events(self.job, self.seen, PAGE)?;
            let count = history.lines.len();
            // The last events before a crash may be lost, and their numbers are given again.
            self.seen = self.seen.min(history.last);
            for line in history.lines {
                self.seen = line.seq;
                let kind: EventKind = match serde_json::from_str(&line.data) {
                    Ok(kind) => kind,
                    // Of a newer version, say: not for us.
                    Err(_) => continue,
                };
                self.read.push_back(JobEvent { job_id: self.job, seq: line.seq, at: line.at, kind });
            }
            if count < PAGE {
                return Ok(());
            }
        }
    }
}

/// Events that are read at a time.
const PAGE: usize = 500;
