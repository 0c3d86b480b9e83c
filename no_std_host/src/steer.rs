//! What the console asks of jobs.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use toehold::{
    Change, Commit, Extension, Interrupt, JobRecord, JobStart, JobState, Priority, Report, Store, Uuid,
};

use crate::{Attention, Board, Shell, entry::Entry};

/// Why something that was asked was not done: a word for programs, and a text for people.
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, text: impl ToString) -> Self {
        Self { code, text: text.to_string() }
    }
}

impl<B: Board> Shell<B> {
    /// Dispatches a job. With the id of one that is there already it does nothing, so that it can be asked again.
    #[inline(never)]
    pub(crate) fn dispatch(
        &mut self,
        job: &str,
        id: Option<Uuid>,
        priority: Priority,
        state: &str,
    ) -> Result<Uuid, Refusal> {
        let id = match id {
            Some(id) if self.is_there(id)? => return Ok(id),
            Some(id) => id,
            None => self.new_id(),
        };
        self.check_live()?;
        let (extension, name) = job.split_once(':').unwrap_or((job, ""));
        // What is made of it is made once this has returned: loading a module goes deepest on the stack.
        let extension = self.load(extension)?;
        self.store_first(id, (job, name), extension, priority, state)
    }

    #[inline(never)]
    fn is_there(&mut self, id: Uuid) -> Result<bool, Refusal> {
        Ok(self.entries.contains_key(&id) || self.stored_record(id)?.is_some())
    }

    /// Stores a job's record and what it starts with, and has it wait for its turn.
    #[inline(never)]
    fn store_first(
        &mut self,
        id: Uuid,
        (job, name): (&str, &str),
        extension: Extension,
        priority: Priority,
        state: &str,
    ) -> Result<Uuid, Refusal> {
        let start = JobStart { id, library: None, state: state.as_bytes().to_vec() };
        let checkpoint = extension.first_checkpoint(name, &start);
        let checkpoint = checkpoint.map_err(|error| {
            drop(extension);
            self.drop_extensions();
            Refusal::new("job", error)
        })?;
        let record = JobRecord {
            job: String::from(job),
            module_hash: checkpoint.module_hash,
            library: None,
            parent: None,
            state: JobState::Queued,
            wanted: Interrupt::None,
            priority,
            reason: None,
            attempt: 1,
            attempts: self.config.attempts.max(1),
            retry_at: None,
            sleep: None,
            created_at: self.date(),
            started_at: None,
            ended_at: None,
            report: Report::default(),
            fuel_used: 0,
            last_words: None,
        };
        let change =
            Change { record: Some(record.clone()), commit: Some(Arc::new(Commit::first(checkpoint))) };
        let stored = self.store.change(id, &change);
        if let Err(error) = stored {
            self.drop_extensions();
            return Err(Self::flash(&error));
        }
        self.enter(id, record);
        Ok(id)
    }

    /// Whether there may be one more job that has not ended: each costs memory, also while it waits.
    pub(crate) fn check_live(&self) -> Result<(), Refusal> {
        let (live, limit) = (self.entries.len(), self.config.live_jobs);
        if live < limit {
            return Ok(());
        }
        let text = format!("{live} jobs have not ended, and no more may be here: let one end, or cancel it");
        Err(Refusal::new("too_many", text))
    }

    /// The job that a person names by the beginning of its id.
    pub(crate) fn find(&mut self, name: &str) -> Result<Uuid, Refusal> {
        let wanted = name.to_ascii_lowercase();
        let fits = |id: &Uuid| format!("{id}").starts_with(&wanted);
        let live: Vec<Uuid> = self.entries.keys().copied().filter(fits).collect();
        let jobs = match self.store.jobs() {
            Ok(jobs) => jobs,
            // Those that have not ended can be steered all the same.
            Err(_) if !live.is_empty() => live,
            Err(error) => return Err(Self::flash(&error)),
        };
        let mut found = jobs.into_iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(Refusal::new(
                "unknown_job",
                format!("there is no job {name}; `ls` lists those that there are"),
            )),
            (Some(_), Some(_)) => Err(Refusal::new(
                "ambiguous",
                format!("more than one job's id begins with {name}; give more of it"),
            )),
        }
    }

    /// A job's record, as it is now.
    pub(crate) fn record(&mut self, id: Uuid) -> Result<JobRecord, Refusal> {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.refresh();
            return Ok(entry.record.clone());
        }
        self.stored_record(id)?.ok_or_else(|| Refusal::new("unknown_job", format!("there is no job {id}")))
    }

    fn stored_record(&mut self, id: Uuid) -> Result<Option<JobRecord>, Refusal> {
        let Some(saved) = self.store.load(id).map_err(|error| Self::flash(&error))? else { return Ok(None) };
        JobRecord::decode(&saved.record)
            .map(Some)
            .map_err(|error| Refusal::new("format", format!("{error}; it is kept as it is")))
    }

    pub(crate) fn pause(&mut self, id: Uuid) -> Result<(), Refusal> {
        let entry = self.live(id)?;
        // A cancel stays.
        if entry.record.wanted == Interrupt::None {
            entry.want(Interrupt::Pause);
        }
        if entry.record.state == JobState::Queued {
            entry.retry_due = None;
            return self.note_paused(id, None).map_err(|error| Self::flash(&error));
        }
        self.scheduler.wake(id);
        self.write(id).map_err(|error| Self::flash(&error))
    }

    pub(crate) fn resume(&mut self, id: Uuid) -> Result<(), Refusal> {
        let entry = self.live(id)?;
        if entry.record.wanted == Interrupt::Pause {
            entry.want(Interrupt::None);
        }
        if entry.record.state == JobState::Paused && entry.stuck.is_none() {
            entry.record.state = JobState::Queued;
            entry.record.reason = None;
            (entry.record.retry_at, entry.retry_due) = (None, None);
            self.event("queued", id, |event| event);
        }
        self.look = true;
        // What the store could not take is offered at once.
        self.offer_again();
        self.scheduler.wake(id);
        self.write(id).map_err(|error| Self::flash(&error))
    }

    pub(crate) fn cancel(&mut self, id: Uuid) -> Result<(), Refusal> {
        let entry = self.live(id)?;
        entry.want(Interrupt::Cancel);
        let is_running = entry.record.state == JobState::Running;
        let is_over = matches!(entry.stuck, Some(crate::entry::Stuck::End(..)));
        if is_running || is_over {
            self.scheduler.wake(id);
            return self.write(id).map_err(|error| Self::flash(&error));
        }
        self.cancelled(id);
        match self.entries.get(&id) {
            None => Ok(()),
            Some(_) => {
                Err(Refusal::new("flash", "that it is cancelled could not be stored yet; it is tried again"))
            }
        }
    }

    /// Pauses all jobs, because an interrupt service routine wants it.
    #[inline(never)]
    pub(crate) fn heed_attention(&mut self) {
        if !self.config.attention.is_some_and(Attention::take) {
            return;
        }
        self.remark("an interrupt pauses all jobs; `resume` lets one go on");
        let ids: Vec<Uuid> = self.entries.keys().copied().collect();
        for id in ids {
            if let Err(refusal) = self.pause(id) {
                self.remark(&format!("job {id}: {}", refusal.text));
            }
        }
    }

    /// Forgets a job that has ended.
    #[inline(never)]
    pub(crate) fn remove_job(&mut self, id: Uuid) -> Result<(), Refusal> {
        if let Some(entry) = self.entries.get(&id) {
            let state = entry.record.state;
            return Err(Refusal::new("busy", format!("job {id} is {state}: cancel it first, or let it end")));
        }
        self.store.remove(id).map_err(|error| Self::flash(&error))?;
        self.offer_again();
        Ok(())
    }

    fn live(&mut self, id: Uuid) -> Result<&mut Entry, Refusal> {
        if !self.entries.contains_key(&id) {
            let record = self.record(id)?;
            if record.state.is_final() {
                return Err(Refusal::new("over", format!("job {id} is {} already", record.state)));
            }
            // It could not be read when the board was started.
            if !Self::is_half_imported(&record) {
                self.enter(id, record);
            }
        }
        self.entries
            .get_mut(&id)
            .map(|entry| &mut **entry)
            .ok_or_else(|| Refusal::new("unknown_job", format!("there is no job {id}")))
    }

    pub(crate) fn flash(error: &<B::Store as Store>::Error) -> Refusal {
        Refusal::new("flash", error)
    }

    /// Drops what `forget_old` does not: a change that nobody has to be told of.
    pub(crate) fn change(&mut self, id: Uuid, change: Change) -> Result<(), Refusal> {
        let change = Box::new(change);
        self.store.change(id, &change).map_err(|error| Self::flash(&error))
    }
}
