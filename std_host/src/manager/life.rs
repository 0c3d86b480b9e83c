//! The ways of a job from state to state.
//!
//! ```text
//! dispatch ─► queued ─► running ─► completed, failed, cancelled
//!               ▲  ▲       │ │
//!        resume │  └ retry ┘ │
//!               └─ paused ◄──┘
//! ```

use std::sync::Arc;

use toehold::{
    Change, Commit, Failure, FailureCause, Interrupt, Job, JobState, LastWords, Outcome, UnixMillis, Uuid,
};
use tokio::sync::oneshot;

use super::{
    EventKind, Inner,
    entry::{Entry, Now, unix_now},
    platform::Message,
};
use crate::store::StoreError;

/// Milliseconds until another attempt, at most.
const LONGEST_BACKOFF: u64 = 300_000;
/// How long until something that must be written is offered again to a store that could not take it.
pub(super) const AGAIN_MS: u64 = 500;

pub(super) type Written = oneshot::Receiver<Result<(), StoreError>>;

impl Inner {
    /// Puts a job into the queue.
    pub(super) fn enqueue(&self, entry: &Entry) {
        let (extension, place) = {
            let now = entry.lock();
            (now.record.extension().to_owned(), now.place(entry.id))
        };
        self.lock().queue.push(&extension, place);
    }

    /// Starts what may run.
    pub(super) fn admit(self: &Arc<Self>) {
        if self.workers.is_empty() {
            return;
        }
        loop {
            let entry = {
                let mut jobs = self.lock();
                let Some(id) = jobs.queue.pop() else { return };
                jobs.entries.get(&id).cloned()
            };
            let Some(entry) = entry else { continue };
            let mut now = entry.lock();
            if now.is_gone {
                self.lock().queue.stopped(now.record.extension());
                continue;
            }
            // One that is held stays where it is.
            let worker = self.lock().place(now.worker);
            now.worker = Some(worker);
            now.record.state = JobState::Running;
            now.record.reason = None;
            now.record.retry_at = None;
            // Written with whatever is written of it next: that it runs need not outlive a crash.
            now.record.started_at.get_or_insert_with(unix_now);
            let attempt = now.record.attempt;
            self.tell(&entry, &mut now, EventKind::Running { attempt });
            drop(now);
            if let Some(worker) = self.workers.get(worker) {
                // A worker that has ended has ended with the manager.
                let _ = worker.send(Message::Start(entry));
            }
        }
    }

    /// Gives a job's record to the store, without waiting. Under the entry's lock, so that records come in order.
    pub(super) fn write(&self, id: Uuid, now: &mut Now) {
        now.refresh();
        let change = Change { record: Some(now.record.clone()), commit: None };
        let done = move |result: Result<(), StoreError>| match result {
            // Another host writes it now.
            Ok(()) | Err(StoreError::Lost { .. }) => {}
            Err(error) => log::warn!("job {id}: its record is not durable: {error}"),
        };
        self.jobs_at.change(id, &[change], Box::new(done));
    }

    /// As [`Inner::write`], and says when it is durable.
    pub(super) fn write_and_tell(&self, id: Uuid, now: &mut Now) -> Written {
        now.refresh();
        let (tell, told) = oneshot::channel();
        let change = Change { record: Some(now.record.clone()), commit: None };
        let done = move |result| {
            let _ = tell.send(result);
        };
        self.jobs_at.change(id, &[change], Box::new(done));
        told
    }

    /// A job runs no longer: its place is free.
    pub(super) fn free(&self, now: &Now) {
        if now.is_gone {
            return;
        }
        let mut jobs = self.lock();
        jobs.queue.stopped(now.record.extension());
        if let Some(load) = now.worker.and_then(|worker| jobs.loads.get_mut(worker)) {
            *load = load.saturating_sub(1);
        }
    }

    /// A worker's job stands still because it was asked to. False if that was taken back meanwhile.
    pub(super) fn paused(self: &Arc<Self>, entry: &Arc<Entry>, job: &mut Job) -> bool {
        let mut now = entry.lock();
        if now.record.wanted != Interrupt::Pause {
            return false;
        }
        job.leave_place();
        self.free(&now);
        now.record.state = JobState::Paused;
        self.write(entry.id, &mut now);
        self.tell(entry, &mut now, EventKind::Paused { reason: None });
        drop(now);
        self.admit();
        true
    }

    /// A worker's job has checkpointed and returned. If it was to pause, it is in memory no longer; else it is given back.
    pub(super) fn interrupted(self: &Arc<Self>, entry: &Arc<Entry>, job: Job) -> Option<Job> {
        let mut now = entry.lock();
        let by_itself =
            now.record.wanted == Interrupt::None && job.context().control().interrupt() == Interrupt::Pause;
        if by_itself {
            now.record.wanted = Interrupt::Pause;
            now.record.reason = Some("the job stopped by itself, without being asked to".to_owned());
        }
        if now.record.wanted != Interrupt::Pause {
            return Some(job);
        }
        // Under the lock: whoever resumes it has another worker bring it back, which must not find this one.
        drop(job);
        self.free(&now);
        now.forget();
        now.record.state = JobState::Paused;
        self.write(entry.id, &mut now);
        let reason = now.record.reason.clone();
        self.tell(entry, &mut now, EventKind::Paused { reason });
        drop(now);
        self.admit();
        None
    }

    /// A worker can't take a job because as many of its extension run as may: it waits for its turn again.
    pub(super) fn too_many(self: &Arc<Self>, entry: &Arc<Entry>, is_held: bool) {
        let mut now = entry.lock();
        self.free(&now);
        if !is_held {
            now.forget();
        }
        now.record.state = JobState::Queued;
        let (place, extension) = (now.place(entry.id), now.record.extension().to_owned());
        self.tell(entry, &mut now, EventKind::Queued);
        self.lock().queue.push(&extension, place);
        drop(now);
        // Not at once: were the two of different minds about how many may run, this would never end.
        let manager = Arc::downgrade(self);
        self.after(AGAIN_MS, move || {
            if let Some(manager) = manager.upgrade() {
                manager.admit();
            }
        });
    }

    /// A worker can't go on with a job: it is paused for this reason, and the store keeps what it has.
    pub(super) fn pause_now(self: &Arc<Self>, entry: &Arc<Entry>, reason: Option<String>) {
        let mut now = entry.lock();
        if now.record.wanted == Interrupt::Cancel {
            drop(now);
            self.end(entry, JobState::Cancelled, EventKind::Cancelled, None);
            return;
        }
        self.free(&now);
        now.forget();
        log::error!("job {} is paused: {}", entry.id, reason.as_deref().unwrap_or_default());
        now.record.state = JobState::Paused;
        now.record.wanted = Interrupt::Pause;
        now.record.reason.clone_from(&reason);
        self.write(entry.id, &mut now);
        self.tell(entry, &mut now, EventKind::Paused { reason });
        drop(now);
        self.admit();
    }

    /// A job waits for the store, which can't take what it has, for this reason; or it does no longer.
    pub(super) fn stuck(&self, entry: &Arc<Entry>, reason: Option<String>) {
        let mut now = entry.lock();
        if now.stuck == reason {
            return;
        }
        now.stuck.clone_from(&reason);
        let attempt = now.record.attempt;
        let kind = match reason {
            Some(reason) => {
                log::error!("job {} is paused: {reason}", entry.id);
                EventKind::Paused { reason: Some(reason) }
            }
            None if now.record.state == JobState::Running => EventKind::Running { attempt },
            // It was asked to stand still meanwhile, and was told so.
            None => return,
        };
        self.tell(entry, &mut now, kind);
    }

    /// A worker's job has failed: it is tried again, or has failed for good.
    pub(super) fn failed(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        failure: &Failure,
        memory_bytes: usize,
        commit: Option<Commit>,
    ) {
        let fault = matches!(failure.cause, FailureCause::Fault(_));
        let mut now = entry.lock();
        let log_tail = now.context.as_ref().map(|context| context.log_tail()).unwrap_or_default();
        let last_words = LastWords {
            cause: match &failure.cause {
                FailureCause::Returned => "the job returned 2 (failed)".to_owned(),
                FailureCause::Fault(fault) => fault.to_string(),
            },
            fault,
            last_error: failure.last_error.clone(),
            memory_bytes: memory_bytes as u64,
            log_tail,
        };
        now.record.last_words = Some(last_words);
        let error = failure.to_string();
        let again =
            fault && now.record.attempt < now.record.attempts && now.record.wanted != Interrupt::Cancel;
        if !again {
            drop(now);
            self.end(entry, JobState::Failed, EventKind::Failed { error }, commit);
            return;
        }
        let doublings = now.record.attempt.saturating_sub(1).min(20);
        let wait = self.config.backoff_ms.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        let at = unix_now().saturating_add(wait);
        self.free(&now);
        now.forget();
        now.record.attempt += 1;
        now.record.retry_at = Some(at);
        now.record.reason = Some(error.clone());
        // The journal of the attempt ends with its last effect: what came after may come out another way.
        if now.record.wanted == Interrupt::Pause {
            now.record.state = JobState::Paused;
            now.record.retry_at = None;
        } else {
            now.record.state = JobState::Queued;
        }
        self.write(entry.id, &mut now);
        let (attempt, state) = (now.record.attempt, now.record.state);
        self.tell(entry, &mut now, EventKind::Retry { attempt, retry_at: at, error });
        drop(now);
        if state == JobState::Queued {
            self.retry_after(entry, at, wait);
        }
        self.admit();
    }

    /// Has a job that waits for another attempt queued when that is due.
    pub(super) fn retry_after(self: &Arc<Self>, entry: &Arc<Entry>, at: UnixMillis, wait_ms: u64) {
        let (manager, entry) = (Arc::downgrade(self), entry.clone());
        self.after(wait_ms, move || {
            if let Some(manager) = manager.upgrade() {
                manager.retry(&entry, at);
            }
        });
    }

    /// The attempt that was to come at this time is due.
    fn retry(self: &Arc<Self>, entry: &Entry, at: UnixMillis) {
        let mut now = entry.lock();
        // It may wait for a later one by now, or be cancelled, which need not be durable yet.
        if now.state() != JobState::Queued || now.record.retry_at != Some(at) {
            return;
        }
        now.record.retry_at = None;
        let (place, extension) = (now.place(entry.id), now.record.extension().to_owned());
        self.lock().queue.push(&extension, place);
        drop(now);
        self.admit();
    }

    /// A worker's job is over.
    pub(super) fn finish(self: &Arc<Self>, entry: &Arc<Entry>, outcome: &Outcome, commit: Option<Commit>) {
        match outcome {
            Outcome::Completed => self.end(entry, JobState::Completed, EventKind::Completed, commit),
            _ => {
                self.end(entry, JobState::Cancelled, EventKind::Cancelled, commit);
                self.cancel_children(entry.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::manager::{Dispatch, Manager, ManagerConfig};

    #[test]
    fn a_job_that_is_cancelled_while_it_waits_for_another_attempt_has_none() {
        let data = tempfile::tempdir().unwrap();
        let manager = Manager::open(ManagerConfig { workers: 0, ..ManagerConfig::new(data.path()) }).unwrap();
        let extension = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension");
        manager.add_extension(&extension).unwrap();
        let inner = &manager.inner;
        for is_cancelled in [false, true] {
            let (entry, written) = inner.prepare("test-extension:counter", Dispatch::default()).unwrap();
            written.blocking_recv().unwrap().unwrap();
            assert_eq!(inner.lock().queue.pop(), Some(entry.id));
            entry.lock().record.retry_at = Some(7);
            // The thread that writes is kept here, so that nothing gets durable.
            let (go_on, wait) = mpsc::channel::<()>();
            inner.store.flush(move |_| assert!(wait.recv().is_err()));
            let cancelled = is_cancelled.then(|| inner.cancel(&entry).unwrap());
            inner.retry(&entry, 7);
            assert_eq!(inner.lock().queue.pop(), (!is_cancelled).then_some(entry.id));
            drop(go_on);
            if let Some(cancelled) = cancelled {
                cancelled.blocking_recv().unwrap().unwrap();
                assert_eq!(entry.status().state, JobState::Cancelled);
            }
        }
    }
}
