//! The ways of a job from state to state, as in the manager of the std shell.
//!
//! ```text
//! dispatch ─► queued ─► running ─► completed, failed, cancelled
//!               ▲  ▲       │ │
//!        resume │  └ retry ┘ │
//!               └─ paused ◄──┘
//! ```

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use toehold::{
    Change, Commit, Failure, FailureCause, Interrupt, Job, JobRecord, JobState, LastWords, Millis, Outcome,
    Recovery, StartError, Stopped, Store, UnixMillis, Uuid,
};

use crate::{
    Board, Clock, Doing, Shell, Witness,
    entry::{Entry, Stuck},
};

/// How long until something is offered again to a store that could not take it.
const AGAIN: Millis = 5_000;
/// Milliseconds until another attempt, at most.
const LONGEST_BACKOFF: Millis = 300_000;
/// Bytes of log lines that are kept for the console between two slices.
const LOG_BYTES: usize = 1_024;

/// The board was reset by its own firmware.
pub(crate) struct Reset {
    doing: Doing,
    message: String,
}

/// What came of bringing a job into memory.
enum Start {
    Started,
    /// There is no room for it now.
    Wait(String),
    /// It can't go on, for this reason.
    Refused(String),
}

impl<B: Board> Shell<B> {
    pub(crate) fn take_reset(&mut self) -> Option<Reset> {
        let (doing, message) = self.witness.take()?;
        Some(Reset { doing, message: String::from(message) })
    }

    /// A job that resets the board has failed: it is tried again, unless it did so too often.
    pub(crate) fn blame(&mut self, reset: &Reset) {
        let message = &reset.message;
        match reset.doing {
            Doing::Idle => self.remark(&format!("the board was reset: {message}")),
            Doing::Install => {
                self.remark(&format!(
                    "the board was reset while it tried a package, which is dropped: {message}"
                ));
            }
            Doing::Job(id) => {
                self.remark(&format!("the board was reset while it ran job {id}: {message}"));
                if self.entries.get(&id).is_some_and(|entry| entry.record.state == JobState::Queued) {
                    let words = LastWords {
                        cause: format!("the board was reset while the job ran: {message}"),
                        fault: true,
                        ..LastWords::default()
                    };
                    self.again_or_failed(id, words, None);
                }
            }
        }
    }

    /// Brings those into memory that wait for it, as far as there is room.
    pub(crate) fn admit(&mut self) {
        let mut passed: Vec<Uuid> = Vec::new();
        loop {
            let now = self.clock.now();
            let due = self.entries.values().filter(|entry| entry.is_due(now) && !passed.contains(&entry.id));
            let order = |entry: &&Entry| {
                (core::cmp::Reverse(entry.record.priority), entry.record.created_at, entry.id)
            };
            let Some(id) = due.min_by_key(order).map(|entry| entry.id) else { return };
            match self.start(id) {
                Start::Started => {}
                Start::Wait(_) if self.drop_held(id) => {}
                // Whoever runs will end, and it is looked at again then.
                Start::Wait(_) if !self.scheduler.is_empty() => passed.push(id),
                Start::Wait(reason) | Start::Refused(reason) => self.pause_for(id, reason),
            }
        }
    }

    /// Makes room: a job that stands still in memory goes on from its checkpoint later.
    fn drop_held(&mut self, but: Uuid) -> bool {
        let held = |entry: &&mut Entry| entry.held.is_some() && entry.stuck.is_none() && entry.id != but;
        let Some(entry) = self.entries.values_mut().find(held) else { return false };
        entry.forget();
        self.drop_extensions();
        true
    }

    /// Has a job go on: where it stands in memory, or from what is stored of it.
    fn start(&mut self, id: Uuid) -> Start {
        let Some(entry) = self.entries.get_mut(&id) else { return Start::Refused(String::new()) };
        entry.retry_due = None;
        if let Some(mut job) = entry.held.take() {
            if !job.take_place() {
                let reason = String::from("as many jobs of its extension run as may");
                entry.held = Some(job);
                return Start::Wait(reason);
            }
            self.begin(id, *job);
            return Start::Started;
        }
        self.witness.note(Doing::Job(id));
        let recovered = self.recover(id);
        self.witness.note(Doing::Idle);
        match recovered {
            Ok(job) => {
                self.begin(id, job);
                Start::Started
            }
            Err(start) => {
                self.drop_extensions();
                start
            }
        }
    }

    fn begin(&mut self, id: Uuid, job: Job) {
        let date = self.date();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let context = job.context().clone();
        context.follow_log(LOG_BYTES);
        entry.context = Some(context);
        // What was asked of it before it was in memory.
        entry.want(entry.record.wanted);
        entry.record.state = JobState::Running;
        entry.record.reason = None;
        entry.record.retry_at = None;
        // Written with whatever is written of it next: that it runs need not outlive a reset.
        entry.record.started_at.get_or_insert(date);
        let (priority, attempt) = (entry.record.priority, entry.record.attempt);
        self.scheduler.add(job, priority);
        self.event("running", id, |event| event.field("attempt", attempt));
    }

    fn recover(&mut self, id: Uuid) -> Result<Job, Start> {
        let refused = |reason: String| Start::Refused(reason);
        let saved = self.store.load(id).map_err(|error| refused(Self::store_error(&error)))?;
        let saved = saved.ok_or_else(|| refused(format!("the store has nothing of job {id}")))?;
        let recovery =
            Recovery::new(&saved).map_err(|error| refused(format!("{error}; it is kept as it is")))?;
        drop(saved);
        let name = recovery.newest().extension.clone();
        let extension = self.load(&name).map_err(|error| {
            if error.may_pass { Start::Wait(error.text) } else { Start::Refused(error.text) }
        })?;
        let recovery = self.on_module(id, recovery, &extension)?;
        let need = extension.module().memory_bytes as usize + recovery.newest().state.len() + INSTANCE_BYTES;
        let free = self.free_memory();
        if need > free {
            return Err(Start::Wait(format!("it needs about {need} bytes of memory, {free} are free")));
        }
        extension.recover(&self.registry, recovery).map_err(|error| match error {
            StartError::Concurrency { .. } => Start::Wait(error.to_string()),
            _ => Start::Refused(error.to_string()),
        })
    }

    /// The recovery on the module that is installed, which may be another version than the job ran on.
    fn on_module(
        &mut self,
        id: Uuid,
        recovery: Recovery,
        extension: &toehold::Extension,
    ) -> Result<Recovery, Start> {
        let newest = recovery.newest();
        if newest.module_hash == extension.module().hash {
            return Ok(recovery);
        }
        let no = |reason: &str| {
            Start::Refused(format!(
                "it ran on another module than the one of {} that is installed, and {reason}; install the one that it ran on",
                extension.id()
            ))
        };
        if recovery.is_replay() {
            return Err(no("has had effects since its checkpoint"));
        }
        let upgraded = extension.upgrade(newest).map_err(|error| no(&error.to_string()))?;
        // Once more, so that it is the base as well.
        for commit in [Commit::upgrade(upgraded.clone()), Commit::next_run()] {
            let record = self.entries.get_mut(&id).map(|entry| {
                entry.record.module_hash = upgraded.module_hash;
                entry.record.clone()
            });
            let change = Change { record, commit: Some(Arc::new(commit)) };
            self.store.change(id, &change).map_err(|error| Start::Refused(Self::store_error(&error)))?;
        }
        Ok(Recovery::from(upgraded))
    }

    /// A job has left the scheduler.
    pub(crate) fn stopped(&mut self, job: Box<Job>, stopped: Stopped) {
        let id = job.context().id();
        self.tell_more(id, true);
        self.look = true;
        // An interrupt service routine may be behind it.
        self.heed_attention();
        match stopped {
            Stopped::Paused => self.paused(id, job),
            Stopped::Held(reason) => self.hold(id, job, reason),
            Stopped::Finished(Outcome::Interrupted) => self.interrupted(id, job),
            Stopped::Finished(Outcome::Failed(failure)) => {
                let words = last_words(&failure, &job);
                let commit = job.last_commit();
                drop(job);
                self.again_or_failed(
                    id,
                    words,
                    commit.filter(|_| !matches!(failure.cause, FailureCause::Fault(_))),
                );
            }
            Stopped::Finished(Outcome::Completed) => self.ended(id, job, JobState::Completed),
            // A cancel, and what later versions of the core may add: it is over.
            _ => self.ended(id, job, JobState::Cancelled),
        }
    }

    /// It stands still in memory, because it was asked to.
    fn paused(&mut self, id: Uuid, mut job: Box<Job>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        job.leave_place();
        entry.held = Some(job);
        self.note_paused(id, None);
    }

    /// It has checkpointed and returned: to pause, by itself, or to be entered again with an empty journal.
    fn interrupted(&mut self, id: Uuid, job: Box<Job>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if job.context().control().interrupt() == Interrupt::Pause {
            let by_itself = entry.record.wanted == Interrupt::None;
            entry.forget();
            drop(job);
            self.drop_extensions();
            let reason = by_itself.then(|| String::from("the job stopped by itself, without being asked to"));
            self.note_paused(id, reason);
            return;
        }
        let priority = entry.record.priority;
        self.witness.note(Doing::Job(id));
        let next = job.next_run();
        self.witness.note(Doing::Idle);
        match next {
            Ok(job) => self.scheduler.add(job, priority),
            Err(error) => self.pause_for(id, error.to_string()),
        }
    }

    /// It is at a commit that the store can't take.
    fn hold(&mut self, id: Uuid, job: Box<Job>, reason: String) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.held = Some(job);
        entry.record.state = JobState::Paused;
        let told = matches!(&entry.stuck, Some(Stuck::Commit(before)) if *before == reason);
        entry.stuck = Some(Stuck::Commit(reason.clone()));
        entry.record.reason = Some(reason.clone());
        self.offer_later();
        if !told {
            self.event("paused", id, |event| event.field("reason", reason));
        }
    }

    /// It can't go on for now.
    pub(crate) fn pause_for(&mut self, id: Uuid, reason: String) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.forget();
        entry.retry_due = None;
        self.drop_extensions();
        self.note_paused(id, Some(reason));
    }

    /// Writes that a job is paused, and tells it.
    pub(crate) fn note_paused(&mut self, id: Uuid, reason: Option<String>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.record.state = JobState::Paused;
        entry.record.wanted = Interrupt::Pause;
        entry.record.reason.clone_from(&reason);
        if let Err(error) = self.write(id) {
            log::warn!("job {id}: that it is paused is not durable: {error}");
        }
        self.event("paused", id, |event| event.maybe("reason", reason));
    }

    /// Writes a job's record.
    pub(crate) fn write(&mut self, id: Uuid) -> Result<(), <B::Store as Store>::Error> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        entry.refresh();
        let change = Change { record: Some(entry.record.clone()), commit: None };
        self.store.change(id, &change)
    }

    /// A job has failed: it is tried again, or has failed for good.
    pub(crate) fn again_or_failed(&mut self, id: Uuid, words: LastWords, commit: Option<Commit>) {
        let (now, longest) = (self.clock.now(), self.config.backoff_ms);
        let date = self.date();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.forget();
        let reason = match &words.last_error {
            Some(error) => format!("{}; the guest's last error: {error}", words.cause),
            None => words.cause.clone(),
        };
        let again = words.fault
            && entry.record.attempt < entry.record.attempts
            && entry.record.wanted != Interrupt::Cancel;
        entry.record.last_words = Some(words);
        entry.record.reason = Some(reason.clone());
        if !again {
            self.end(id, JobState::Failed, commit);
            return;
        }
        let doublings = entry.record.attempt.saturating_sub(1).min(20);
        let wait = longest.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        entry.record.attempt += 1;
        entry.record.retry_at = Some(date.saturating_add(wait));
        entry.retry_due = Some(now.saturating_add(wait));
        let attempt = entry.record.attempt;
        if entry.record.wanted == Interrupt::Pause {
            entry.retry_due = None;
            entry.record.state = JobState::Paused;
        } else {
            entry.record.state = JobState::Queued;
        }
        if let Err(error) = self.write(id) {
            log::warn!("job {id}: its next attempt is not durable: {error}");
        }
        self.drop_extensions();
        self.event("retry", id, |event| event.field("attempt", attempt).field("reason", reason));
    }

    fn ended(&mut self, id: Uuid, job: Box<Job>, state: JobState) {
        let commit = job.last_commit();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.forget();
            entry.record.reason = None;
        }
        drop(job);
        self.end(id, state, commit);
    }

    /// Writes how a job ended. Only once that is durable it is over for others.
    pub(crate) fn end(&mut self, id: Uuid, state: JobState, commit: Option<Commit>) {
        self.drop_extensions();
        let date: UnixMillis = self.date();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let record =
            JobRecord { state, ended_at: Some(date), sleep: None, retry_at: None, ..entry.record.clone() };
        let change = Change { record: Some(record), commit: commit.map(Arc::new) };
        self.offer_end(id, Box::new(change));
    }

    pub(crate) fn offer_end(&mut self, id: Uuid, change: Box<Change>) {
        match self.store.change(id, &change) {
            Ok(()) => {
                self.entries.remove(&id);
                if let Some(record) = change.record {
                    self.event(record.state.name(), id, |event| event.maybe("reason", record.reason));
                }
                self.forget_old();
                self.look = true;
            }
            Err(error) => {
                let reason = Self::store_error(&error);
                let Some(entry) = self.entries.get_mut(&id) else { return };
                let told = entry.stuck.is_some();
                entry.record.state = JobState::Paused;
                entry.stuck = Some(Stuck::End(change, reason.clone()));
                self.offer_later();
                if !told {
                    self.event("paused", id, |event| event.field("reason", reason));
                }
            }
        }
    }

    fn offer_later(&mut self) {
        let at = self.clock.now().saturating_add(AGAIN);
        self.offer_at = Some(at);
    }

    /// Offers the store again what it could not take: there may be room by now.
    pub(crate) fn offer_again(&mut self) {
        self.offer_at = None;
        let stuck: Vec<Uuid> =
            self.entries.values().filter(|entry| entry.stuck.is_some()).map(|entry| entry.id).collect();
        for id in stuck {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match entry.stuck.take() {
                Some(Stuck::End(change, reason)) => {
                    entry.stuck = Some(Stuck::End(Box::default(), reason));
                    self.offer_end(id, change);
                }
                Some(Stuck::Commit(reason)) => {
                    let Some(job) = entry.held.take() else { continue };
                    // Kept, so that the same reason is not told again.
                    entry.stuck = Some(Stuck::Commit(reason));
                    entry.record.state = JobState::Running;
                    let priority = entry.record.priority;
                    self.scheduler.add(*job, priority);
                }
                None => {}
            }
        }
    }

    /// Forgets those that ended first, of more than are kept.
    fn forget_old(&mut self) {
        let Ok(jobs) = self.store.jobs() else { return };
        let ended = jobs.iter().filter(|id| !self.entries.contains_key(id)).count();
        if ended <= self.config.ended_jobs {
            return;
        }
        let mut oldest: Option<(UnixMillis, Uuid)> = None;
        for id in jobs.into_iter().filter(|id| !self.entries.contains_key(id)) {
            let Ok(Some(saved)) = self.store.load(id) else { continue };
            // One that can't be read is kept.
            let Ok(record) = JobRecord::decode(&saved.record) else { continue };
            let ended_at = record.ended_at.unwrap_or_default();
            oldest = Some(oldest.map_or((ended_at, id), |oldest| oldest.min((ended_at, id))));
        }
        if let Some((_, id)) = oldest
            && let Err(error) = self.store.remove(id)
        {
            log::warn!("job {id}, which has ended, can't be removed: {error}");
        }
    }
}

/// What an instance needs besides its linear memory, about.
const INSTANCE_BYTES: usize = 6 << 10;

fn last_words(failure: &Failure, job: &Job) -> LastWords {
    LastWords {
        cause: match &failure.cause {
            FailureCause::Returned => String::from("the job returned 2 (failed)"),
            FailureCause::Fault(fault) => fault.to_string(),
        },
        fault: matches!(failure.cause, FailureCause::Fault(_)),
        last_error: failure.last_error.clone(),
        memory_bytes: job.memory_bytes() as u64,
        log_tail: job.context().log_tail(),
    }
}
