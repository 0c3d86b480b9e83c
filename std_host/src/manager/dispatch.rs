//! Jobs that are dispatched: into the store first, then into the queue.

use std::{sync::Arc, time::Duration};

use toehold::{Change, Commit, Interrupt, JobRecord, JobStart, JobState, Report, Uuid};
use tokio::sync::oneshot;

use super::{
    Dispatch, DispatchError, EventKind, Inner,
    entry::{Entry, unix_now},
    life::{AGAIN_MS, Written},
};
use crate::store::StoreError;

impl Inner {
    /// Whether [`Inner::prepare`] may take longer than a thread can be held that others need: a schema of strangers says what
    /// there is to check.
    pub(super) fn takes_long_to_check(&self, job: &str, dispatch: &Dispatch) -> bool {
        let Some((extension, name)) = job.split_once(':') else { return false };
        self.extensions.get(extension).is_ok_and(|installed| installed.checks_slowly(name, &dispatch.state))
    }

    /// Makes a job's entry and has it written. It waits for its turn from when that is durable, whoever waits for it.
    pub(super) fn prepare(
        self: &Arc<Self>,
        job: &str,
        dispatch: Dispatch,
    ) -> Result<(Arc<Entry>, Written), DispatchError> {
        let (extension, name) = job.split_once(':').ok_or_else(|| DispatchError::Name(job.to_owned()))?;
        let installed = self.extensions.get(extension)?;
        let Dispatch { id, library, state, priority, attempts, parent } = dispatch;
        installed
            .check_state(name, &state)
            .map_err(|problems| DispatchError::State { job: job.to_owned(), problems })?;
        let id = id.unwrap_or_else(Uuid::new_v4);
        let start = JobStart { id, library, state };
        let checkpoint = installed.extension().first_checkpoint(name, &start)?;
        self.keep_module(&installed);
        let record = JobRecord {
            job: job.to_owned(),
            module_hash: checkpoint.module_hash,
            library,
            parent,
            state: JobState::Queued,
            wanted: Interrupt::None,
            priority,
            reason: None,
            attempt: 1,
            attempts: attempts.unwrap_or(self.config.attempts).max(1),
            retry_at: None,
            sleep: None,
            created_at: unix_now(),
            started_at: None,
            ended_at: None,
            report: Report::default(),
            fuel_used: 0,
            last_words: None,
        };
        let entry = self.reserve(id, record.clone())?;
        let (tell, told) = oneshot::channel();
        let change = Change { record: Some(record), commit: Some(Arc::new(Commit::first(checkpoint))) };
        self.jobs_at.change(id, &[change], Box::new(self.entering(entry.clone(), tell)));
        Ok((entry, told))
    }

    /// What becomes of a job that was given to the store for the first time, once that has answered.
    pub(super) fn entering(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        tell: oneshot::Sender<Result<(), StoreError>>,
    ) -> impl FnOnce(Result<(), StoreError>) + Send + 'static {
        let manager = Arc::downgrade(self);
        move |result| {
            if let Some(manager) = manager.upgrade() {
                match &result {
                    Ok(()) => manager.enter(&entry),
                    Err(_) => manager.withdraw(&entry),
                }
            }
            // Who dispatched it may not wait any more.
            let _ = tell.send(result);
        }
    }

    /// The job was written: it waits for its turn, unless it is over or paused.
    pub(super) fn enter(self: &Arc<Self>, entry: &Arc<Entry>) {
        let (state, parent) = {
            let mut now = entry.lock();
            let (state, parent) = (now.record.state, now.record.parent);
            match state {
                JobState::Queued => self.tell(entry, &mut now, EventKind::Queued),
                JobState::Paused => self.tell(entry, &mut now, EventKind::Paused { reason: None }),
                _ => {}
            }
            (state, parent)
        };
        if state.is_final() || self.jobs_at.is_shared() {
            // It is over; or for whichever host takes it.
            #[cfg(feature = "nats")]
            self.watch(entry);
            self.withdraw(entry);
            return;
        }
        let to_cancel = entry.lock().record.wanted == Interrupt::Cancel
            || parent.is_some_and(|parent| self.is_cancelled(parent));
        if state == JobState::Queued {
            self.enqueue(entry);
        }
        if to_cancel {
            // Its parent was cancelled while it was written.
            let _ = self.cancel(entry);
        }
        self.admit();
    }

    /// Whether a job was cancelled, or will be.
    pub(super) fn is_cancelled(&self, id: Uuid) -> bool {
        if let Some(entry) = self.live(id) {
            return entry.lock().record.wanted == Interrupt::Cancel;
        }
        self.jobs_at.state(id) == Some(JobState::Cancelled)
    }

    /// The job could not be written: there is none.
    pub(super) fn withdraw(&self, entry: &Entry) {
        self.lock().entries.remove(&entry.id);
    }

    /// Dispatches a job for another one, once: if it is there already, nothing happens. Waits for the store.
    pub(super) fn dispatch_child(
        self: &Arc<Self>,
        job: &str,
        dispatch: Dispatch,
    ) -> Result<Uuid, DispatchError> {
        loop {
            let (entry, written) = match self.prepare(job, dispatch.clone()) {
                Err(DispatchError::Exists(id)) => return Ok(id),
                prepared => prepared?,
            };
            match written.blocking_recv().unwrap_or_else(|_| Err(self.closed())) {
                Ok(()) => return Ok(entry.id),
                // On a thread that only this call has.
                Err(StoreError::Exists { .. }) => return Ok(entry.id),
                Err(StoreError::Full { .. } | StoreError::Remote { .. }) => {
                    std::thread::sleep(Duration::from_millis(AGAIN_MS));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
