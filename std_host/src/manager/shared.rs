//! Jobs out of a store that managers share: they come, and go, while the manager runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use toehold::{Interrupt, JobRecord, JobState, Trust, UnixMillis, Uuid};

use super::{EventKind, Inner, JobError, JobEvent, Manager, entry::Entry, platform::Message};
use crate::store::{StoreError, StoredModule};

/// Jobs of other managers that somebody here has a handle of, for as long as somebody has.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<HashMap<Uuid, Weak<Entry>>>);

/// Handles from which on those that are gone are looked for.
const MANY: usize = 1_024;

impl Watched {
    fn get(&self, id: Uuid) -> Option<Arc<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id)?.upgrade()
    }

    /// The entry that is known of this job; else this one is from now on.
    fn put(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(&entry.id).and_then(Weak::upgrade) {
            return entry;
        }
        if known.len() >= MANY && known.len().is_power_of_two() {
            known.retain(|_, entry| entry.strong_count() > 0);
        }
        known.insert(entry.id, Arc::downgrade(entry));
        entry.clone()
    }
}

impl Inner {
    /// Has a handle's entry of another manager's job kept up to date.
    pub(super) fn watch(&self, entry: &Arc<Entry>) {
        self.watched.put(entry);
    }

    /// A job that another manager has, or nobody.
    pub(super) fn find_of_others(&self, id: Uuid) -> Result<Arc<Entry>, JobError> {
        if let Some(entry) = self.watched.get(id) {
            return Ok(entry);
        }
        let entry = self.watched.put(&Entry::new(id, self.record(id)?, 0));
        // What came while nobody watched it. Under the lock, so that nothing newer comes in between.
        let mut now = entry.lock();
        let record = self.record(id)?;
        entry.show(record.state);
        now.record = record;
        drop(now);
        Ok(entry)
    }
}

impl Manager {
    /// Runs a job that the shared store says is this manager's now, and of which this is the record.
    pub(crate) fn adopt(&self, id: Uuid, mut record: JobRecord) {
        let inner = &self.inner;
        // What an earlier time here has left behind.
        self.let_go(id);
        let cancels = record.wanted == Interrupt::Cancel;
        record.state = match record.wanted {
            Interrupt::Pause => JobState::Paused,
            _ => JobState::Queued,
        };
        let (state, retry_at) = (record.state, record.retry_at);
        let entry = Entry::new(id, record, 0);
        inner.lock().entries.insert(id, entry.clone());
        match (state, retry_at) {
            (JobState::Paused, _) => {
                // That it is paused is written, which gives it up.
                let mut now = entry.lock();
                inner.write(id, &mut now);
            }
            (_, Some(at)) if !cancels => {
                let wait = at.saturating_sub(super::unix_now());
                inner.retry_after(&entry, at, wait.min(inner.config.backoff_ms.saturating_mul(1 << 9)));
            }
            _ => inner.enqueue(&entry),
        }
        if cancels && let Err(error) = inner.cancel(&entry) {
            log::error!("{error}");
        }
        inner.admit();
    }

    /// Lets go of a job that is this manager's no longer: what it still does here counts for nothing.
    pub(crate) fn let_go(&self, id: Uuid) {
        let inner = &self.inner;
        let Some(entry) = inner.live(id) else { return };
        let mut now = entry.lock();
        let (place, extension) = (now.place(id), now.record.extension().to_owned());
        let was_ending = now.ending.is_some();
        {
            let mut jobs = inner.lock();
            jobs.entries.remove(&id);
            // One that was taken off the queue a moment ago is seen to by who took it.
            jobs.queue.remove(&extension, place);
        }
        if now.record.state == JobState::Running && !was_ending {
            inner.free(&now);
        }
        now.is_gone = true;
        now.record.retry_at = None;
        if let Some(worker) = now.worker.and_then(|worker| inner.workers.get(worker)) {
            // A worker that has ended has ended with the manager.
            let _ = worker.send(Message::Forget(id));
        }
        now.forget();
        drop(now);
        inner.admit();
    }

    /// Tells a job of this manager what somebody has asked of it in the shared store.
    pub(crate) fn heed(&self, id: Uuid, wanted: Interrupt) {
        let inner: &Arc<Inner> = &self.inner;
        let Some(entry) = inner.live(id) else { return };
        let heeded = match wanted {
            Interrupt::None => inner.resume(&entry),
            Interrupt::Pause => inner.pause(&entry),
            Interrupt::Cancel => inner.cancel(&entry),
        };
        if let Err(error) = heeded {
            log::info!("{error}");
        }
    }

    /// Lets those who have a handle of another manager's job see how that stands now. `None` where it was removed.
    pub(crate) fn show(&self, id: Uuid, record: Option<JobRecord>) {
        let Some(entry) = self.inner.watched.get(id) else { return };
        let mut now = entry.lock();
        match record {
            Some(record) => now.record = record,
            None if now.record.state.is_final() => {}
            None => now.record.state = JobState::Cancelled,
        }
        entry.show(now.record.state);
    }

    /// Tells those who listen here of an event of a job that another manager has.
    pub(crate) fn relay(&self, job_id: Uuid, seq: u64, at: UnixMillis, kind: EventKind) {
        self.inner.hub.tell(JobEvent { job_id, seq, at, kind });
    }

    /// Whether it can go on with a job of this module.
    pub(crate) fn has_module(&self, id: &str, hash: [u8; 32]) -> Result<bool, StoreError> {
        let installed = self.inner.extensions.get(id);
        if installed.is_ok_and(|installed| installed.extension().module().hash == hash) {
            return Ok(true);
        }
        let stored = self.inner.store.reader().module(&hash)?;
        // One without a signed package is of no use where only such are taken.
        Ok(stored.is_some_and(|module| *self.trust() == Trust::Anyone || module.package.is_some()))
    }

    /// Keeps a module here, so that jobs can go on with it.
    pub(crate) async fn put_module(&self, module: StoredModule) -> Result<(), StoreError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.inner.store.put_module(module, move |result| {
            // Who asked may have gone.
            let _ = tell.send(result);
        });
        told.await.unwrap_or_else(|_| Err(self.inner.closed())).map(drop)
    }
}
