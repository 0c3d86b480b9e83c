//! Jobs: their records, checkpoints and journals.

use rusqlite::types::Value;
use toehold::{Change, Saved, Store, Uuid};

use super::{
    SqliteStore, StoreError,
    places::{Place, Writing, checkpoint_row},
    row::{ChangeRow, CheckpointRow, CommitRow, RecordRow},
    task::{Applied, wait},
};

impl SqliteStore {
    /// Makes a change of a job durable, as [`Store::change`] does; the first one of a job needs a record and a checkpoint.
    ///
    /// `done` gets to know once it is durable, or has failed.
    pub fn change(
        &self,
        job: Uuid,
        change: &Change,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let row = ChangeRow::new(job, change);
        self.ask(row.bytes(), done, move |writing| writing.change(&row));
    }

    /// Makes several changes of one job durable, in order and as a whole: where the first one can be made, all can.
    pub fn change_all(
        &self,
        job: Uuid,
        changes: &[Change],
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let rows: Vec<_> = changes.iter().map(|change| ChangeRow::new(job, change)).collect();
        let bytes = rows.iter().map(ChangeRow::bytes).fold(0, usize::saturating_add);
        self.ask(bytes, done, move |writing| {
            for row in &rows {
                if let Err(error) = writing.change(row)? {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        });
    }

    /// Removes all that there is of a job: its effects, events and log lines too, but not the jobs that it dispatched. It
    /// need not be there.
    pub fn remove(&self, job: Uuid, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.ask(0, done, move |writing| {
            if let Some(place) = writing.place(job)? {
                writing.remove(job, place.id)?;
            }
            Ok(Ok(()))
        });
    }
}

/// Waits until each change is durable.
impl Store for SqliteStore {
    type Error = StoreError;

    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), StoreError> {
        wait(self, |done| SqliteStore::change(self, job, change, done))
    }

    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, StoreError> {
        self.reader().load(job)
    }

    fn jobs(&mut self) -> Result<Vec<Uuid>, StoreError> {
        self.reader().jobs()
    }

    fn remove(&mut self, job: Uuid) -> Result<(), StoreError> {
        wait(self, |done| SqliteStore::remove(self, job, done))
    }
}

impl Writing<'_> {
    /// Whether a change can be made: its job is there, or it makes one.
    pub(super) fn can_change(&mut self, row: &ChangeRow) -> Applied<(), StoreError> {
        if row.new_job().is_some() || self.place(row.job)?.is_some() {
            return Ok(Ok(()));
        }
        Ok(Err(StoreError::NoSuchJob { job: row.job }))
    }

    /// Makes a change.
    pub(super) fn change(&mut self, row: &ChangeRow) -> Applied<(), StoreError> {
        let Some(before) = self.place(row.job)? else {
            let Some((record, commit, checkpoint)) = row.new_job() else {
                return Ok(Err(StoreError::NoSuchJob { job: row.job }));
            };
            let place = self.insert(row.job, record, checkpoint)?;
            self.append_piece(place.id, &commit.commit.journal)?;
            self.note(row.job, place);
            return Ok(Ok(()));
        };
        let mut place = before;
        if let Some(row) = &row.commit {
            if row.commit.new_run {
                place = self.start_run(place)?;
            }
            self.append_piece(place.id, &row.commit.journal)?;
            if let Some(checkpoint) = &row.checkpoint {
                place = self.save_checkpoint(place, checkpoint)?;
            }
        }
        if place != before {
            self.execute(
                "UPDATE jobs SET base = ?2, newest = ?3, first = ?4 WHERE id = ?1",
                (place.id, place.base, place.newest, place.first_piece),
            )?;
            self.note(row.job, place);
        }
        if let Some(record) = &row.record {
            self.update_record(place.id, record)?;
        }
        Ok(Ok(()))
    }

    fn insert(
        &mut self,
        job: Uuid,
        record: &RecordRow,
        checkpoint: &CheckpointRow,
    ) -> rusqlite::Result<Place> {
        let first_piece = self.pieces.next();
        self.execute(
            "INSERT INTO jobs
                (uuid, state, extension, job, priority, created_at, ended_at, parent, module, base, newest, first, record)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, ?10, ?11)",
            (
                job.as_bytes().as_slice(),
                record.state,
                &record.extension,
                &record.job,
                record.priority,
                record.created_at,
                record.ended_at,
                id_value(record.parent),
                record.module.as_slice(),
                first_piece,
                &record.bytes,
            ),
        )?;
        let id = self.connection.last_insert_rowid();
        let place = Place { id, base: 0, newest: 0, first_piece, events: None, logs: None };
        self.execute(
            "INSERT INTO checkpoints VALUES (?1, ?2, ?3)",
            (place.newest_row(), checkpoint.calls, &checkpoint.bytes),
        )?;
        Ok(place)
    }

    fn update_record(&self, id: i64, record: &RecordRow) -> rusqlite::Result<()> {
        let module = record.module.as_slice();
        let parent = id_value(record.parent);
        // SQLite writes the index of each column that is set, whether it changes or not; these hardly ever do.
        let updated = self.execute(
            "UPDATE jobs SET state = ?2, priority = ?3, ended_at = ?4, module = ?5, record = ?6
                WHERE id = ?1 AND extension = ?7 AND job = ?8 AND created_at = ?9 AND parent IS ?10",
            (
                id,
                record.state,
                record.priority,
                record.ended_at,
                module,
                &record.bytes,
                &record.extension,
                &record.job,
                record.created_at,
                &parent,
            ),
        )?;
        if updated == 0 {
            self.execute(
                "UPDATE jobs SET state = ?2, priority = ?3, ended_at = ?4, module = ?5, record = ?6,
                    extension = ?7, job = ?8, created_at = ?9, parent = ?10 WHERE id = ?1",
                (
                    id,
                    record.state,
                    record.priority,
                    record.ended_at,
                    module,
                    &record.bytes,
                    &record.extension,
                    &record.job,
                    record.created_at,
                    &parent,
                ),
            )?;
        }
        Ok(())
    }

    /// The newest checkpoint becomes the base, and the journal is emptied. What the old base's place has stays until it is
    /// written over.
    fn start_run(&mut self, place: Place) -> rusqlite::Result<Place> {
        // Of the pieces that came last, the number says that they are of no run any more.
        self.execute("DELETE FROM journal WHERE job = ?1", [place.id])?;
        // No run that starts from here makes these calls again.
        self.execute(
            "DELETE FROM effects WHERE job = ?1 AND number <= (SELECT calls FROM checkpoints WHERE id = ?2)",
            (place.id, place.newest_row()),
        )?;
        Ok(Place { base: place.newest, first_piece: self.pieces.next(), ..place })
    }

    fn save_checkpoint(&mut self, place: Place, checkpoint: &CheckpointRow) -> rusqlite::Result<Place> {
        let newest = if place.newest == place.base { 1 - place.base } else { place.newest };
        let place = Place { newest, ..place };
        self.execute(
            "INSERT INTO checkpoints VALUES (?1, ?2, ?3)
                ON CONFLICT (id) DO UPDATE SET calls = excluded.calls, bytes = excluded.bytes",
            (place.newest_row(), checkpoint.calls, &checkpoint.bytes),
        )?;
        Ok(place)
    }

    /// Removes all that belongs to a job.
    pub(super) fn remove(&mut self, job: Uuid, id: i64) -> rusqlite::Result<()> {
        for sql in [
            "DELETE FROM jobs WHERE id = ?1",
            "DELETE FROM journal WHERE job = ?1",
            "DELETE FROM effects WHERE job = ?1",
            "DELETE FROM events WHERE job = ?1",
            "DELETE FROM logs WHERE job = ?1",
        ] {
            self.execute(sql, [id])?;
        }
        let rows = (checkpoint_row(id, 0), checkpoint_row(id, 1));
        self.execute("DELETE FROM checkpoints WHERE id IN (?1, ?2)", rows)?;
        self.forget(job);
        Ok(())
    }
}

impl ChangeRow {
    /// What makes a new job, if this can.
    fn new_job(&self) -> Option<(&RecordRow, &CommitRow, &CheckpointRow)> {
        let (record, commit) = (self.record.as_ref()?, self.commit.as_ref()?);
        Some((record, commit, commit.checkpoint.as_ref()?))
    }
}

fn id_value(id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, |id| Value::Blob(id.as_bytes().to_vec()))
}
