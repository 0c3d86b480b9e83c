//! Jobs that have too little memory beside each other: which of them goes, and when it goes on.

use alloc::{boxed::Box, format};

use toehold::{FailureCause, Fault, Interrupt, JobState, LastWords, Uuid};

use crate::{Board, Shell, entry::Entry};

impl<B: Board> Shell<B> {
    /// Whether there are jobs that run, or will once the store takes what they have for it.
    pub(crate) fn others_run(&self, but: Uuid) -> bool {
        let is_held_up = |entry: &Entry| entry.stuck.is_some() && entry.held.is_some() && entry.id != but;
        !self.scheduler.is_empty() || self.entries.values().any(|entry| is_held_up(entry))
    }

    /// Makes room: a job that stands still in memory goes on from its checkpoint later.
    pub(crate) fn drop_held(&mut self, but: Uuid) -> bool {
        let held = |entry: &&mut Box<Entry>| entry.held.is_some() && entry.stuck.is_none() && entry.id != but;
        let Some(entry) = self.entries.values_mut().find(held) else { return false };
        entry.forget();
        self.drop_extensions();
        true
    }

    /// A job that ran has left the board too little memory to go on with: it fails, as one that asked for too much.
    #[inline(never)]
    pub(crate) fn took_reserve(&mut self, id: Uuid) {
        self.tell_more(id, true);
        let Some(job) = self.scheduler.remove(id) else { return };
        let words = LastWords {
            cause: format!(
                "memory: the job left the board no piece of {} bytes to work with",
                self.config.reserve_bytes
            ),
            fault: true,
            memory_bytes: job.memory_bytes() as u64,
            log_tail: job.context().log_tail(),
            ..LastWords::default()
        };
        drop(job);
        self.again_or_failed(id, words, None);
    }

    /// Whether a job has failed only for the memory that others take: then it has one more try, alone.
    pub(crate) fn was_crowded(&mut self, id: Uuid, cause: &FailureCause) -> bool {
        let crowded = !self.is_alone();
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let is_crowded =
            matches!(cause, FailureCause::Fault(Fault::HostFull { .. })) && (crowded || !entry.alone);
        entry.alone |= is_crowded;
        is_crowded
    }

    /// Whether no job is in memory.
    pub(crate) fn is_alone(&self) -> bool {
        self.scheduler.is_empty() && self.entries.values().all(|entry| entry.held.is_none())
    }

    /// Takes a job out of memory, which goes on from what is stored of it once there is room.
    #[inline(never)]
    pub(crate) fn put_back(&mut self, id: Uuid) {
        drop(self.scheduler.remove(id));
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.record.wanted == Interrupt::Cancel {
            return self.cancelled(id);
        }
        entry.forget();
        entry.record.state = JobState::Queued;
        self.drop_extensions();
        self.look = true;
    }
}
