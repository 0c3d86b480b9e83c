//! A change in the form that is written: encoded on the thread of who asks, so that the one that writes has less to do.

use std::sync::Arc;

use toehold::{Change, Commit, JobRecord, Uuid};

/// A [`Change`], ready to be written as often as it takes.
#[derive(Debug)]
pub(super) struct ChangeRow {
    pub(super) job: Uuid,
    pub(super) record: Option<RecordRow>,
    pub(super) commit: Option<CommitRow>,
}

/// A record's bytes, and what lists are filtered and sorted by, copied from it.
#[derive(Debug)]
pub(super) struct RecordRow {
    pub(super) bytes: Vec<u8>,
    pub(super) job: String,
    pub(super) extension: String,
    pub(super) state: &'static str,
    pub(super) priority: &'static str,
    pub(super) created_at: i64,
    /// There for the final states, and only for them.
    pub(super) ended_at: Option<i64>,
    pub(super) parent: Option<Uuid>,
    pub(super) module: [u8; 32],
}

#[derive(Debug)]
pub(super) struct CommitRow {
    pub(super) commit: Arc<Commit>,
    pub(super) checkpoint: Option<CheckpointRow>,
}

#[derive(Debug)]
pub(super) struct CheckpointRow {
    pub(super) bytes: Vec<u8>,
    /// Calls that the job had made.
    pub(super) calls: i64,
}

impl ChangeRow {
    pub(super) fn new(job: Uuid, change: &Change) -> Self {
        let commit = change.commit.as_ref().map(|commit| CommitRow {
            commit: commit.clone(),
            checkpoint: commit.checkpoint.as_ref().map(|checkpoint| CheckpointRow {
                bytes: checkpoint.encode(),
                calls: integer(checkpoint.calls),
            }),
        });
        Self { job, record: change.record.as_ref().map(RecordRow::new), commit }
    }

    /// Bytes that it writes, about.
    pub(super) fn bytes(&self) -> usize {
        let record = self.record.as_ref().map_or(0, |record| record.bytes.len());
        let commit = self.commit.as_ref().map_or(0, |row| {
            row.commit.journal.len() + row.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.bytes.len())
        });
        record + commit
    }
}

impl RecordRow {
    fn new(record: &JobRecord) -> Self {
        let ended_at = record.state.is_final().then(|| record.ended_at.unwrap_or(record.created_at));
        Self {
            bytes: record.encode(),
            job: record.job.clone(),
            extension: record.extension().to_owned(),
            state: record.state.name(),
            priority: record.priority.name(),
            created_at: integer(record.created_at),
            ended_at: ended_at.map(integer),
            parent: record.parent,
            module: record.module_hash,
        }
    }
}

/// As SQLite has it. What is over the end of its range is a count or a time that no honest job reaches.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An integer of the store, which are never negative.
pub(super) fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
