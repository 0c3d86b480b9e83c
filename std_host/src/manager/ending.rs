//! Jobs that are over, which they are for others only once that is durable.

use std::sync::Arc;

use toehold::{Change, Commit, JobRecord, JobState};
use tokio::sync::oneshot;

use super::{
    EventKind, Inner,
    entry::{Entry, Now, unix_now},
    life::AGAIN_MS,
};
use crate::store::StoreError;

/// A job that is over, once that is durable.
struct Ending {
    entry: Arc<Entry>,
    /// Its last record, and what is left of its journal.
    change: Change,
    kind: EventKind,
    /// Who waits for it.
    tell: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Inner {
    /// Writes how a job ended. Only once that is durable is it over for others.
    pub(super) fn end(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        state: JobState,
        kind: EventKind,
        commit: Option<Commit>,
    ) {
        let mut now = entry.lock();
        self.free(&now);
        now.forget();
        now.record.reason = match &kind {
            EventKind::Failed { error } => Some(error.clone()),
            _ => None,
        };
        now.record.sleep = None;
        self.offer_end(entry, &mut now, state, kind, commit, None);
        drop(now);
        self.admit();
    }

    /// Gives a job's last record to the store. Under the entry's lock, so that no other record comes after it.
    pub(super) fn offer_end(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        now: &mut Now,
        state: JobState,
        kind: EventKind,
        commit: Option<Commit>,
        tell: Option<oneshot::Sender<Result<(), StoreError>>>,
    ) {
        now.ending = Some(state);
        let record = JobRecord { state, ended_at: Some(unix_now()), ..now.record.clone() };
        let change = Change { record: Some(record), commit: commit.map(Arc::new) };
        self.offer(Ending { entry: entry.clone(), change, kind, tell });
    }

    /// Gives it to the store until that takes it.
    fn offer(self: &Arc<Self>, ending: Ending) {
        let manager = Arc::downgrade(self);
        let (id, change) = (ending.entry.id, ending.change.clone());
        let done = move |result| {
            let Some(manager) = manager.upgrade() else { return };
            let Ending { entry, change, kind, tell } = ending;
            match result {
                Ok(()) => {
                    let Some(record) = change.record else { return };
                    manager.over(&entry, record, kind);
                    if let Some(tell) = tell {
                        let _ = tell.send(Ok(()));
                    }
                }
                Err(StoreError::Closed { .. } | StoreError::Lost { .. }) => {}
                Err(error) => {
                    manager.stuck(&entry, Some(error.to_string()));
                    if let Some(tell) = tell {
                        let _ = tell.send(Err(error));
                    }
                    let later = manager.clone();
                    let ending = Ending { entry, change, kind, tell: None };
                    manager.after(AGAIN_MS, move || later.offer(ending));
                }
            }
        };
        self.jobs_at.change(id, &[change], Box::new(done));
    }

    /// A job is over, and that is durable.
    pub(super) fn over(&self, entry: &Arc<Entry>, record: JobRecord, kind: EventKind) {
        let mut now = entry.lock();
        (now.record, now.stuck) = (record, None);
        self.tell(entry, &mut now, kind);
        drop(now);
        self.lock().entries.remove(&entry.id);
        self.count_ended();
    }
}
