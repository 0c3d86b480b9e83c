use alloc::{boxed::Box, string::String, sync::Arc};

use toehold::{Change, Interrupt, Job, JobContext, JobRecord, JobState, Millis, Uuid};

/// A job that has not ended: what is stored of it, and what there is of it in memory.
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) record: JobRecord,
    /// Of a job that is in memory.
    pub(crate) context: Option<Arc<JobContext>>,
    /// The job, where it stands still in memory. Else the scheduler has it, or nobody.
    pub(crate) held: Option<Box<Job>>,
    /// What the store could not take, and why: it is offered again.
    pub(crate) stuck: Option<Stuck>,
    /// When another attempt is due.
    pub(crate) retry_due: Option<Millis>,
    /// The sleep that it is in: the call's number, and until when.
    pub(crate) sleep: Option<(u64, Millis)>,
    /// It ran out of memory beside others, so it goes on once there are none.
    pub(crate) alone: bool,
    /// When its progress was last told.
    pub(crate) told_at: Option<Millis>,
}

/// What waits for the store to have room again.
pub(crate) enum Stuck {
    /// The job stands still in memory, at a commit.
    Commit(String),
    /// The job is over, which is so for others only once it is stored.
    End(Box<Change>, String),
}

impl Entry {
    pub(crate) fn new(id: Uuid, record: JobRecord) -> Self {
        Self {
            id,
            record,
            context: None,
            held: None,
            stuck: None,
            retry_due: None,
            sleep: None,
            alone: false,
            told_at: None,
        }
    }

    /// Brings the record up to what the job has told.
    pub(crate) fn refresh(&mut self) {
        if let Some(context) = &self.context {
            self.record.report = context.report();
            self.record.fuel_used = context.fuel_used();
        }
    }

    /// The job is in memory no longer.
    pub(crate) fn forget(&mut self) {
        self.refresh();
        self.context = None;
        self.held = None;
        self.sleep = None;
    }

    /// Whether it waits for its turn to be brought into memory, or to go on.
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.record.state == JobState::Queued
            && self.stuck.is_none()
            && self.retry_due.is_none_or(|due| due <= now)
    }

    /// When another attempt is due, if it waits for that.
    pub(crate) fn next_attempt(&self) -> Option<Millis> {
        self.retry_due.filter(|_| self.record.state == JobState::Queued && self.stuck.is_none())
    }

    /// The store has taken what it could not take before, if that was so.
    pub(crate) fn goes_on(&mut self) {
        if matches!(self.stuck, Some(Stuck::Commit(_))) {
            self.stuck = None;
            self.record.reason = None;
        }
    }

    /// Notes what somebody wants of it, and tells the job.
    pub(crate) fn want(&mut self, interrupt: Interrupt) {
        self.record.wanted = interrupt;
        let Some(context) = &self.context else { return };
        match interrupt {
            Interrupt::None => context.control().resume(),
            Interrupt::Pause => context.control().pause(),
            Interrupt::Cancel => context.control().cancel(),
        }
    }
}
