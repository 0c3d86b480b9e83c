//! Jobs of which nothing is to be kept.

use std::sync::Arc;

use toehold::{JobState, Uuid};
use tokio::sync::oneshot;

use super::{
    EventKind, Inner, JobError, Manager,
    entry::{Entry, Now},
    life::Written,
    platform::Message,
};
use crate::store::StoreError;

impl Manager {
    /// Removes a job, and all that is kept of it: one that is over, or one that is paused and goes on elsewhere. Jobs that it
    /// has dispatched stay. Once this returns, another job may have its id, or it may come back by [`Manager::import`].
    ///
    /// # Errors
    /// [`JobError::Busy`] if it is neither; [`JobError::HasParent`] if the job that dispatched it is not over, and would
    /// dispatch it anew; [`JobError::Unknown`], [`JobError::Format`], [`JobError::Store`]. Then it is still there.
    pub async fn remove(&self, id: Uuid) -> Result<(), JobError> {
        let entry = self.inner.find(id)?;
        let written = self.inner.remove(&entry)?;
        Ok(written.await.unwrap_or_else(|_| Err(self.inner.closed()))?)
    }
}

impl Inner {
    fn remove(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let id = entry.id;
        let mut now = entry.lock();
        let is_live = self.live(id).is_some();
        match now.state() {
            JobState::Paused if now.stuck.is_none() => {}
            state if state.is_final() && !is_live => {}
            state => return Err(JobError::Busy { id, state }),
        }
        if let Some(parent) = now.record.parent.filter(|parent| self.live(*parent).is_some()) {
            return Err(JobError::HasParent { id, parent });
        }
        self.take_out(id, &mut now);
        // From here on nobody changes it.
        now.ending = Some(now.record.state).filter(|state| state.is_final()).or(Some(JobState::Cancelled));
        let (tell, told) = oneshot::channel();
        let (manager, entry) = (Arc::downgrade(self), entry.clone());
        let done = move |result: Result<(), StoreError>| {
            if let Some(manager) = manager.upgrade() {
                match &result {
                    Ok(()) => manager.removed(&entry),
                    Err(_) => entry.lock().ending = None,
                }
            }
            // Who asked may have gone.
            let _ = tell.send(result);
        };
        self.jobs_at.remove(id, Box::new(done));
        Ok(told)
    }

    /// A job that stands still may do so in a worker's memory.
    fn take_out(&self, id: Uuid, now: &mut Now) {
        if let Some(worker) = now.worker.and_then(|worker| self.workers.get(worker)) {
            let _ = worker.send(Message::Forget(id));
        }
        now.forget();
    }

    fn removed(&self, entry: &Entry) {
        let mut now = entry.lock();
        if !now.record.state.is_final() {
            // For those who wait for it.
            now.record.state = JobState::Cancelled;
            now.record.reason = Some("it was removed".to_owned());
        }
        self.tell(entry, &mut now, EventKind::Removed);
        drop(now);
        self.lock().entries.remove(&entry.id);
    }
}
