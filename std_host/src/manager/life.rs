//! The ways of a job from state to state.
//!
//! ```text
//! dispatch ─► queued ─► running ─► completed, failed, cancelled
//!               ▲  ▲       │ │
//!        resume │  └ retry ┘ │
//!               └─ paused ◄──┘
//! ```

use std::{collections::HashSet, sync::Arc};

use toehold::{
    Change, Commit, Failure, FailureCause, Interrupt, Job, JobRecord, JobStart, JobState, LastWords, Outcome,
    Report, UnixMillis, Uuid,
};
use tokio::sync::oneshot;

use super::{
    Dispatch, DispatchError, EventKind, Inner, JobError, PRUNE_EVERY,
    entry::{Entry, Now, unix_now},
    platform::Message,
};
use crate::store::StoreError;

/// Milliseconds until another attempt, at most.
const LONGEST_BACKOFF: u64 = 300_000;
/// How long until something that must be written is offered again to a store that could not take it.
const AGAIN_MS: u64 = 500;

pub(super) type Written = oneshot::Receiver<Result<(), StoreError>>;

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
    /// Makes a job's entry and has it written. It waits for its turn from when that is durable, whoever waits for it.
    pub(super) fn prepare(
        self: &Arc<Self>,
        job: &str,
        dispatch: Dispatch,
    ) -> Result<(Arc<Entry>, Written), DispatchError> {
        let (extension, name) = job.split_once(':').ok_or_else(|| DispatchError::Name(job.to_owned()))?;
        let installed = self.extensions.get(extension)?;
        let Dispatch { id, library, state, priority, attempts, parent } = dispatch;
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
        self.store.change(id, &change, self.entering(entry.clone(), tell));
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
    fn enter(self: &Arc<Self>, entry: &Arc<Entry>) {
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
        if state.is_final() {
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
        let record = self.store.reader().record(id);
        matches!(record, Ok(Some(Ok(record))) if record.state == JobState::Cancelled)
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
                Err(StoreError::Full { .. }) => {
                    std::thread::sleep(std::time::Duration::from_millis(AGAIN_MS));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

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
        self.store.change(id, &change, move |result| {
            if let Err(error) = result {
                log::warn!("job {id}: its record is not durable: {error}");
            }
        });
    }

    /// As [`Inner::write`], and says when it is durable.
    fn write_and_tell(&self, id: Uuid, now: &mut Now) -> Written {
        now.refresh();
        let (tell, told) = oneshot::channel();
        let change = Change { record: Some(now.record.clone()), commit: None };
        self.store.change(id, &change, move |result| {
            let _ = tell.send(result);
        });
        told
    }

    /// A job runs no longer: its place is free.
    fn free(&self, now: &Now) {
        let mut jobs = self.lock();
        jobs.queue.stopped(now.record.extension());
        if let Some(load) = now.worker.and_then(|worker| jobs.loads.get_mut(worker)) {
            *load = load.saturating_sub(1);
        }
    }

    /// Asks a job to stop for now.
    pub(super) fn pause(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let mut now = entry.lock();
        let mut stopped = false;
        match now.state() {
            JobState::Queued => {
                let place = now.place(entry.id);
                stopped = self.lock().queue.remove(now.record.extension(), place)
                    || now.record.retry_at.take().is_some();
                if stopped {
                    now.record.state = JobState::Paused;
                }
                // A cancel stays.
                if now.record.wanted == Interrupt::None {
                    now.want(Interrupt::Pause);
                }
            }
            JobState::Running if now.record.wanted == Interrupt::None => now.want(Interrupt::Pause),
            JobState::Running | JobState::Paused => {}
            state => return Err(JobError::Over { id: entry.id, state }),
        }
        let written = self.write_and_tell(entry.id, &mut now);
        let worker = now.worker;
        if stopped {
            self.tell(entry, &mut now, EventKind::Paused { reason: None });
        }
        drop(now);
        self.wake(entry.id, worker);
        Ok(written)
    }

    /// Lets a paused job go on.
    pub(super) fn resume(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let mut now = entry.lock();
        let queued = match now.state() {
            JobState::Paused => {
                now.record.state = JobState::Queued;
                now.record.reason = None;
                now.record.retry_at = None;
                true
            }
            JobState::Running | JobState::Queued => false,
            state => return Err(JobError::Over { id: entry.id, state }),
        };
        if now.record.wanted == Interrupt::Pause {
            now.want(Interrupt::None);
        }
        let written = self.write_and_tell(entry.id, &mut now);
        let (worker, place, extension) = (now.worker, now.place(entry.id), now.record.extension().to_owned());
        if queued {
            self.tell(entry, &mut now, EventKind::Queued);
            self.lock().queue.push(&extension, place);
        }
        drop(now);
        self.wake(entry.id, worker);
        if queued {
            self.admit();
        }
        Ok(written)
    }

    /// Asks a job to stop for good, and all that it has dispatched.
    pub(super) fn cancel(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let written = self.cancel_one(entry)?;
        self.cancel_children(entry.id);
        Ok(written)
    }

    fn cancel_one(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let mut now = entry.lock();
        let ended = match now.state() {
            JobState::Queued => {
                let place = now.place(entry.id);
                self.lock().queue.remove(now.record.extension(), place) || now.record.retry_at.is_some()
            }
            JobState::Paused => true,
            JobState::Running => false,
            state => return Err(JobError::Over { id: entry.id, state }),
        };
        now.want(Interrupt::Cancel);
        let written = if ended {
            if let Some(worker) = now.worker.and_then(|worker| self.workers.get(worker)) {
                let _ = worker.send(Message::Forget(entry.id));
            }
            now.forget();
            now.record.reason = None;
            let (tell, told) = oneshot::channel();
            self.offer_end(entry, &mut now, JobState::Cancelled, EventKind::Cancelled, None, Some(tell));
            drop(now);
            told
        } else {
            let written = self.write_and_tell(entry.id, &mut now);
            let worker = now.worker;
            drop(now);
            self.wake(entry.id, worker);
            written
        };
        Ok(written)
    }

    /// Cancels all that a job has dispatched, and what those have: one after the other, however deep that goes.
    fn cancel_children(self: &Arc<Self>, parent: Uuid) {
        let (mut parents, mut seen) = (vec![parent], HashSet::from([parent]));
        while let Some(parent) = parents.pop() {
            let children = self.store.reader().children(parent).unwrap_or_else(|error| {
                log::error!(
                    "the jobs that {parent} dispatched can't be found, and are not cancelled: {error}"
                );
                Vec::new()
            });
            for child in children.into_iter().filter(|child| seen.insert(child.id)) {
                if let Some(entry) = self.live(child.id) {
                    // One that is over needs no cancelling.
                    let _ = self.cancel_one(&entry);
                }
                parents.push(child.id);
            }
        }
    }

    fn wake(&self, id: Uuid, worker: Option<usize>) {
        if let Some(worker) = worker.and_then(|worker| self.workers.get(worker)) {
            let _ = worker.send(Message::Wake(id));
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
        self.tell(entry, &mut now, EventKind::Retry { attempt, at, error });
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
            let Some(manager) = manager.upgrade() else { return };
            let mut now = entry.lock();
            // It may be waiting for a later one by now.
            if now.record.state != JobState::Queued || now.record.retry_at != Some(at) {
                return;
            }
            now.record.retry_at = None;
            let (place, extension) = (now.place(entry.id), now.record.extension().to_owned());
            manager.lock().queue.push(&extension, place);
            drop(now);
            manager.admit();
        });
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

    /// Writes how a job ended. Only once that is durable is it over for others.
    fn end(self: &Arc<Self>, entry: &Arc<Entry>, state: JobState, kind: EventKind, commit: Option<Commit>) {
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
    fn offer_end(
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
        self.store.change(id, &change, move |result| {
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
                Err(StoreError::Closed { .. }) => {}
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
        });
    }

    /// A job is over, and that is durable.
    fn over(&self, entry: &Arc<Entry>, record: JobRecord, kind: EventKind) {
        let mut now = entry.lock();
        (now.record, now.stuck) = (record, None);
        self.tell(entry, &mut now, kind);
        drop(now);
        let prune = {
            let mut jobs = self.lock();
            jobs.entries.remove(&entry.id);
            jobs.ended += 1;
            jobs.ended.is_multiple_of(PRUNE_EVERY)
        };
        if prune {
            let (store, retention) = (self.store.clone(), self.config.retention);
            self.spawn_blocking(move || {
                if let Err(error) = store.prune(retention, unix_now()) {
                    log::warn!("old jobs could not be removed: {error}");
                }
            });
        }
    }
}
