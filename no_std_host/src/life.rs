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
    Change, Commit, FailureCause, Interrupt, Job, JobState, JournalEntry, LastWords, Outcome, Recovery,
    StartError, Stopped, Store, Uuid,
};

use crate::{
    Board, Clock, Doing, Shell, Witness,
    ending::last_words,
    entry::{Entry, Stuck},
    room::NoRoom,
};

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

/// A function of its own, since two jobs lie on its stack.
#[inline(never)]
fn next_run(job: Box<Job>) -> Result<Box<Job>, StartError> {
    job.next_run().map(Box::new)
}

impl<B: Board> Shell<B> {
    pub(crate) fn take_reset(&mut self) -> Option<Reset> {
        let (doing, message) = self.witness.take()?;
        Some(Reset { doing, message: String::from(message) })
    }

    /// A job that resets the board has failed: it is tried again, unless it did so too often.
    #[inline(never)]
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
    #[inline(never)]
    pub(crate) fn admit(&mut self) {
        let mut passed: Vec<Uuid> = Vec::new();
        loop {
            let now = self.clock.now();
            let entries = self.entries.values().map(|entry| &**entry);
            let due = entries.filter(|entry| entry.is_due(now) && !passed.contains(&entry.id));
            let order = |entry: &&Entry| {
                (core::cmp::Reverse(entry.record.priority), entry.record.created_at, entry.id)
            };
            let Some(id) = due.min_by_key(order).map(|entry| entry.id) else { return };
            match self.start(id) {
                Start::Started => {}
                Start::Wait(_) if self.drop_held(id) => {}
                // Whoever runs will end, and it is looked at again then.
                Start::Wait(_) if self.others_run(id) => passed.push(id),
                Start::Wait(reason) | Start::Refused(reason) => self.pause_for(id, reason),
            }
        }
    }

    /// Has a job go on: where it stands in memory, or from what is stored of it.
    fn start(&mut self, id: Uuid) -> Start {
        let Some(entry) = self.entries.get_mut(&id) else { return Start::Refused(String::new()) };
        entry.retry_due = None;
        if entry.alone && entry.held.is_none() && !self.is_alone() {
            return Start::Wait(String::from("it needs the memory that others have"));
        }
        let Some(entry) = self.entries.get_mut(&id) else { return Start::Refused(String::new()) };
        if let Some(mut job) = entry.held.take() {
            if !job.take_place() {
                let reason = String::from("as many jobs of its extension run as may");
                entry.held = Some(job);
                return Start::Wait(reason);
            }
            self.begin(id, job);
            return Start::Started;
        }
        self.witness.note(Doing::Job(id));
        let start = match self.recover(id) {
            Ok(job) => {
                self.begin(id, job);
                Start::Started
            }
            Err(start) => {
                self.drop_extensions();
                start
            }
        };
        self.witness.note(Doing::Idle);
        start
    }

    #[inline(never)]
    fn begin(&mut self, id: Uuid, job: Box<Job>) {
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
        self.scheduler.add(*job, priority);
        self.event("running", id, |event| event.field("attempt", attempt));
    }

    // A recovery and a job are large. Each is made by a function that has returned, so that the stack has no room for it while
    // the module is loaded and while an instance is made, which go deepest.
    #[inline(never)]
    fn recover(&mut self, id: Uuid) -> Result<Box<Job>, Start> {
        let recovery = self.recovery(id)?;
        let name = recovery.newest().extension.clone();
        let extension = self.load(&name).map_err(|error| {
            if error.may_pass { Start::Wait(error.text) } else { Start::Refused(error.text) }
        })?;
        let recovery = self.on_module(id, recovery, &extension)?;
        if self.room().for_job(extension.module()).is_err() {
            // Those that nobody needs now may be in the way.
            self.drop_extensions();
            self.room().for_job(extension.module()).map_err(|NoRoom(text)| Start::Wait(text))?;
        }
        self.make_job(&extension, recovery)
    }

    /// What the store has of a job.
    #[inline(never)]
    fn recovery(&mut self, id: Uuid) -> Result<Box<Recovery>, Start> {
        let refused = |reason: String| Start::Refused(reason);
        let saved = self.store.load(id).map_err(|error| refused(Self::store_error(&error)))?;
        let saved = saved.ok_or_else(|| refused(format!("the store has nothing of job {id}")))?;
        let (need, free) = (JournalEntry::memory(&saved.journal), self.free_memory());
        if need > free {
            return Err(Start::Wait(format!("its journal needs {need} bytes of memory, {free} are free")));
        }
        let recovery =
            Recovery::new(&saved).map_err(|error| refused(format!("{error}; it is kept as it is")))?;
        drop(saved);
        // The module needs the room.
        Ok(Box::new(recovery.without_needless_journal()))
    }

    #[inline(never)]
    fn make_job(&self, extension: &toehold::Extension, recovery: Box<Recovery>) -> Result<Box<Job>, Start> {
        extension.recover(&self.registry, *recovery).map(Box::new).map_err(|error| match error {
            StartError::Concurrency { .. } => Start::Wait(error.to_string()),
            _ => Start::Refused(error.to_string()),
        })
    }

    /// The recovery on the module that is installed, which may be another version than the job ran on.
    #[inline(never)]
    fn on_module(
        &mut self,
        id: Uuid,
        recovery: Box<Recovery>,
        extension: &toehold::Extension,
    ) -> Result<Box<Recovery>, Start> {
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
        Ok(Box::new(Recovery::from(upgraded)))
    }

    /// A job has left the scheduler.
    #[inline(never)]
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
            Stopped::Finished(Outcome::Failed(failure)) if self.was_crowded(id, &failure.cause) => {
                drop(job);
                self.put_back(id);
            }
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
    #[inline(never)]
    fn paused(&mut self, id: Uuid, mut job: Box<Job>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        job.leave_place();
        entry.held = Some(job);
        let _ = self.note_paused(id, None);
    }

    /// It has checkpointed and returned: to pause, by itself, or to be entered again with an empty journal.
    #[inline(never)]
    fn interrupted(&mut self, id: Uuid, job: Box<Job>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if job.context().control().interrupt() == Interrupt::Pause {
            let by_itself = entry.record.wanted == Interrupt::None;
            entry.forget();
            drop(job);
            self.drop_extensions();
            let reason = by_itself.then(|| String::from("the job stopped by itself, without being asked to"));
            let _ = self.note_paused(id, reason);
            return;
        }
        let priority = entry.record.priority;
        self.witness.note(Doing::Job(id));
        let next = next_run(job);
        self.witness.note(Doing::Idle);
        match next {
            Ok(job) => self.scheduler.add(*job, priority),
            Err(error) => self.pause_for(id, error.to_string()),
        }
    }

    /// It is at a commit that the store can't take.
    #[inline(never)]
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
        if entry.record.wanted == Interrupt::Cancel {
            return self.cancelled(id);
        }
        entry.forget();
        entry.retry_due = None;
        self.drop_extensions();
        let _ = self.note_paused(id, Some(reason));
    }

    /// Writes that a job is paused, and tells it.
    ///
    /// # Errors
    /// It stands still all the same, but not for sure after a power cut.
    pub(crate) fn note_paused(
        &mut self,
        id: Uuid,
        reason: Option<String>,
    ) -> Result<(), <B::Store as Store>::Error> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        entry.record.state = JobState::Paused;
        entry.record.wanted = Interrupt::Pause;
        entry.record.reason.clone_from(&reason);
        let written = self.write(id);
        if let Err(error) = &written {
            log::warn!("job {id}: that it is paused is not durable: {error}");
        }
        self.event("paused", id, |event| event.maybe("reason", reason));
        written
    }

    /// Writes a job's record.
    pub(crate) fn write(&mut self, id: Uuid) -> Result<(), <B::Store as Store>::Error> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        entry.refresh();
        let change = Change { record: Some(entry.record.clone()), commit: None };
        self.store.change(id, &change)
    }
}
