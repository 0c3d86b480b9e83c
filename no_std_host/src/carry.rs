//! Jobs that are carried to another host, or come from one.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use toehold::{
    Bundle, Change, Commit, Interrupt, JobRecord, JobState, JournalEntry, Recovery, Saved, Store, UnixMillis,
    Uuid,
    console::{Data, LineWriter},
};

use crate::{Board, Shell, steer::Refusal};

/// What the record of a job says whose import is under way. Found after a reset, the job was never taken over.
const UNDER_WAY: &str = "an import that is under way";
/// Bytes of a bundle besides its parts, at most.
const BUNDLE_BESIDES: usize = 64;
/// The last millisecond of the year 9999.
const LATEST: UnixMillis = 253_402_300_799_999;

impl<B: Board> Shell<B> {
    /// Sends all that there is of a job.
    #[inline(never)]
    pub(crate) fn export(&mut self, id: Uuid) -> Result<LineWriter, Refusal> {
        let saved = self.store.load(id).map_err(|error| Self::flash(&error))?;
        let mut saved = saved.ok_or_else(|| Refusal::new("unknown_job", format!("there is no job {id}")))?;
        if self.entries.contains_key(&id) {
            // What was written of it last may be older.
            saved.record = self.record(id)?.encode();
        }
        let parts = [&saved.record, &saved.base, &saved.newest, &saved.journal];
        let size = parts.iter().map(|part| part.len()).sum::<usize>() + BUNDLE_BESIDES;
        self.room().for_bundle(size)?;
        let bytes = Bundle::new(id, saved, None).encode();
        let mut offset = 0;
        while let Some(data) = Data::of(&bytes, offset) {
            self.port.write_line(&format!("{data}"));
            offset = offset.saturating_add(data.bytes.len() as u32);
        }
        let checksum = format!("{:08x}", toehold::Crc32::of(&bytes));
        Ok(LineWriter::new("ok").field("id", id).field("bytes", bytes.len()).field("crc32", checksum))
    }

    /// Takes over a job from another host: it goes on from where it stood there. To import the same bundle again does nothing,
    /// so that a desk whose answer got lost can ask again.
    #[inline(never)]
    pub(crate) fn import(&mut self, bytes: Vec<u8>, paused: bool) -> Result<LineWriter, Refusal> {
        let bundle = Bundle::decode(&bytes).map_err(|error| Refusal::new("format", error))?;
        drop(bytes);
        let Bundle { job_id: id, record, base, newest, journal, .. } = bundle;
        let mut saved = Saved { record, base, newest, journal };
        let done = LineWriter::new("ok").field("id", id);
        if let Some(there) = self.store.load(id).map_err(|error| Self::flash(&error))? {
            let half = JobRecord::decode(&there.record).is_ok_and(|record| Self::is_half_imported(&record));
            if half && !self.entries.contains_key(&id) {
                self.store.remove(id).map_err(|error| Self::flash(&error))?;
            } else if (&there.newest, &there.base, &there.journal)
                == (&saved.newest, &saved.base, &saved.journal)
            {
                return Ok(done.field("state", self.record(id)?.state));
            } else {
                let text = format!(
                    "job {id} is here already, and stands elsewhere: remove it first, if it is the older one"
                );
                return Err(Refusal::new("exists", text));
            }
        }
        let (need, free) = (JournalEntry::memory(&saved.journal), self.free_memory());
        if need > free {
            let text = format!("the bundle's journal needs {need} bytes of memory, {free} are free");
            return Err(Refusal::new("memory", text));
        }
        let recovery = Recovery::new(&saved).map_err(|error| Refusal::new("format", error))?;
        // The module needs the room.
        let recovery = recovery.without_needless_journal();
        let (base, newest) = (recovery.base().clone(), recovery.newest().clone());
        let has_more = newest.sequence > base.sequence;
        if !has_more && newest != base {
            let text = "the bundle has two different checkpoints of one number: export it again";
            return Err(Refusal::new("format", text));
        }
        let record = JobRecord::decode(&saved.record).map_err(|error| Refusal::new("format", error))?;
        if !record.state.is_final() {
            self.check_live()?;
        }
        self.check_module(&recovery)?;
        drop(recovery);
        let journal = core::mem::take(&mut saved.journal);
        drop(saved);
        let record = JobRecord { module_hash: newest.module_hash, ..self.taken_over(record, paused) };
        // A store takes one checkpoint at a time. In one change where that is enough, else the job is marked until it is whole.
        let marked = JobRecord {
            state: JobState::Paused,
            wanted: Interrupt::Pause,
            reason: Some(String::from(UNDER_WAY)),
            ..record.clone()
        };
        let first = Change {
            record: Some(if has_more { marked } else { record.clone() }),
            commit: Some(Arc::new(Commit::new(journal, Some(base)))),
        };
        self.change(id, first)?;
        if has_more {
            let commit = Commit::new(Vec::new(), Some(newest));
            let rest = Change { record: Some(record.clone()), commit: Some(Arc::new(commit)) };
            if let Err(refusal) = self.change(id, rest) {
                // If it can't be removed it is after the next start.
                let _ = self.store.remove(id);
                return Err(refusal);
            }
        }
        self.enter(id, record);
        self.forget_old();
        Ok(done.field("state", self.record(id)?.state))
    }

    /// What a record of elsewhere says here.
    fn taken_over(&self, mut record: JobRecord, paused: bool) -> JobRecord {
        if !record.state.is_final() {
            let pauses = paused || record.state == JobState::Paused || record.wanted == Interrupt::Pause;
            record.wanted = match record.wanted {
                Interrupt::Cancel => Interrupt::Cancel,
                _ if pauses => Interrupt::Pause,
                _ => Interrupt::None,
            };
            record.state = if pauses { JobState::Paused } else { JobState::Queued };
            record.retry_at = None;
            // As often as one that was dispatched here: no more, whatever it brings along.
            let attempts = record.attempt.saturating_add(self.config.attempts.saturating_sub(1));
            record.attempts = record.attempts.min(attempts);
        }
        // Another one's clock may be wrong, but not so far that no date can come after it.
        let times = [Some(&mut record.created_at), record.started_at.as_mut(), record.ended_at.as_mut()];
        times.into_iter().flatten().for_each(|time| *time = LATEST.min(*time));
        // What dispatched it is not here.
        record.parent = None;
        record.reason = record.reason.filter(|reason| reason != UNDER_WAY);
        record
    }

    /// Whether the module that a job needs is here.
    fn check_module(&mut self, recovery: &Recovery) -> Result<(), Refusal> {
        let newest = recovery.newest();
        let extension = self.load(&newest.extension)?;
        let result = if newest.module_hash == extension.module().hash {
            extension.job(&newest.job).map(|_| ()).ok_or_else(|| format!("it has no job {:?}", newest.job))
        } else if recovery.is_replay() {
            Err(String::from("its module is another, and the job has had effects since its checkpoint"))
        } else {
            extension
                .upgrade(newest)
                .map(|_| ())
                .map_err(|error| format!("its module is another, and {error}"))
        };
        self.drop_extensions();
        result.map_err(|reason| {
            let text = format!(
                "the job can't go on with the {} that is installed: {reason}; install version {} of it, which the job ran on",
                newest.extension, newest.extension_version
            );
            Refusal::new("other_module", text)
        })
    }

    /// Whether a job that is stored was being imported when the board was cut off: nobody was told that it is here.
    pub(crate) fn is_half_imported(record: &JobRecord) -> bool {
        record.reason.as_deref() == Some(UNDER_WAY)
    }
}
