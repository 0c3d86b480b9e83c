//! Jobs that are carried to another host, or come from one.

use alloc::{format, string::String, sync::Arc};

use toehold::{
    Bundle, Change, Commit, Interrupt, JobRecord, JobState, Recovery, Store, Uuid,
    console::{Data, LineWriter},
};

use crate::{Board, Shell, steer::Refusal};

/// What the record of a job says whose import is under way. Found after a reset, the job was never taken over.
const UNDER_WAY: &str = "an import that is under way";

impl<B: Board> Shell<B> {
    /// Sends all that there is of a job.
    pub(crate) fn export(&mut self, id: Uuid) -> Result<LineWriter, Refusal> {
        let saved = self.store.load(id).map_err(|error| Self::flash(&error))?;
        let mut saved = saved.ok_or_else(|| Refusal::new("unknown_job", format!("there is no job {id}")))?;
        if self.entries.contains_key(&id) {
            // What was written of it last may be older.
            saved.record = self.record(id)?.encode();
        }
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
    pub(crate) fn import(&mut self, bytes: &[u8], paused: bool) -> Result<LineWriter, Refusal> {
        let bundle = Bundle::decode(bytes).map_err(|error| Refusal::new("format", error))?;
        let id = bundle.job_id;
        let done = LineWriter::new("ok").field("id", id);
        if let Some(there) = self.store.load(id).map_err(|error| Self::flash(&error))? {
            if (&there.newest, &there.base, &there.journal) == (&bundle.newest, &bundle.base, &bundle.journal)
            {
                return Ok(done.field("state", self.record(id)?.state));
            }
            let text = format!(
                "job {id} is here already, and stands elsewhere: remove it first, if it is the older one"
            );
            return Err(Refusal::new("exists", text));
        }
        let recovery = Recovery::new(&bundle.saved()).map_err(|error| Refusal::new("format", error))?;
        let mut record = JobRecord::decode(&bundle.record).map_err(|error| Refusal::new("format", error))?;
        self.check_module(&recovery)?;
        let newest = recovery.newest().clone();
        record.module_hash = newest.module_hash;
        if !record.state.is_final() {
            let pauses = paused || record.state == JobState::Paused || record.wanted == Interrupt::Pause;
            record.state = if pauses { JobState::Paused } else { JobState::Queued };
            record.wanted = if pauses { Interrupt::Pause } else { Interrupt::None };
            record.retry_at = None;
        }
        // What dispatched it is not here.
        record.parent = None;
        let base = recovery.base().clone();
        let has_more = newest.sequence > base.sequence;
        // A store takes one checkpoint at a time. In one change where that is enough, else the job is marked until it is whole.
        let marked = JobRecord {
            state: JobState::Paused,
            wanted: Interrupt::Pause,
            reason: Some(String::from(UNDER_WAY)),
            ..record.clone()
        };
        let first = Change {
            record: Some(if has_more { marked } else { record.clone() }),
            commit: Some(Arc::new(Commit::new(bundle.journal.clone(), Some(base)))),
        };
        self.change(id, first)?;
        if has_more {
            let commit = Commit::new(alloc::vec::Vec::new(), Some(newest));
            let rest = Change { record: Some(record.clone()), commit: Some(Arc::new(commit)) };
            if let Err(refusal) = self.change(id, rest) {
                // If it can't be removed it is after the next start.
                let _ = self.store.remove(id);
                return Err(refusal);
            }
        }
        let state = record.state;
        self.enter(id, record);
        Ok(done.field("state", state))
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
