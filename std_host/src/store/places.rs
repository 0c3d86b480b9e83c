//! Where the database has what belongs to a job, remembered by the thread that writes: nobody else moves it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use toehold::Uuid;

use super::{StoreOptions, journal::Pieces};

/// Jobs that are remembered; beyond, all are forgotten and looked up again.
const REMEMBERED: usize = 16_384;

/// Where a job's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the database.
    pub(super) id: i64,
    /// Which of its two places for checkpoints has the base: 0 or 1.
    pub(super) base: i64,
    /// Which has the newest checkpoint.
    pub(super) newest: i64,
    /// The number of the first piece of its journal.
    pub(super) first_piece: i64,
    /// What there is of its events, once somebody has looked.
    pub(super) events: Option<Tail>,
    /// What there is of its log lines, once somebody has looked.
    pub(super) logs: Option<Tail>,
}

/// What is kept of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The number of the last row, 0 if there never was one.
    pub(super) last: i64,
    pub(super) rows: i64,
    pub(super) bytes: i64,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    known: HashMap<Uuid, Place>,
}

/// A transaction, and what is needed to write in it.
pub(super) struct Writing<'a> {
    pub(super) connection: &'a Connection,
    pub(super) places: &'a mut Places,
    pub(super) pieces: &'a mut Pieces,
    pub(super) options: &'a StoreOptions,
}

impl Place {
    /// The row of `checkpoints` that has the newest.
    pub(super) fn newest_row(&self) -> i64 {
        checkpoint_row(self.id, self.newest)
    }
}

/// The row of `checkpoints` that is a job's first (0) or second (1) place. So the newest checkpoints of jobs that run lie
/// next to each other, and a page that is written has some of them.
pub(super) fn checkpoint_row(id: i64, place: i64) -> i64 {
    if place == 0 { id } else { id.saturating_add(SECOND_PLACES) }
}

/// Numbers of jobs are far below: they are counted up from 1.
const SECOND_PLACES: i64 = 1 << 62;

impl Places {
    /// Forgets everything: what was changed has been undone, or may have been.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Keeps memory bounded.
    pub(super) fn tidy(&mut self) {
        if self.known.len() > REMEMBERED {
            self.clear();
        }
    }
}

impl Writing<'_> {
    /// Where a job is, if it is in the store.
    pub(super) fn place(&mut self, job: Uuid) -> rusqlite::Result<Option<Place>> {
        if let Some(place) = self.places.known.get(&job) {
            return Ok(Some(*place));
        }
        let found = self
            .connection
            .prepare_cached("SELECT id, base, newest, first FROM jobs WHERE uuid = ?1")?
            .query_row([job.as_bytes().as_slice()], |row| {
                Ok(Place {
                    id: row.get(0)?,
                    base: row.get(1)?,
                    newest: row.get(2)?,
                    first_piece: row.get(3)?,
                    events: None,
                    logs: None,
                })
            })
            .optional()?;
        if let Some(place) = found {
            self.note(job, place);
        }
        Ok(found)
    }

    /// Notes where a job is now.
    pub(super) fn note(&mut self, job: Uuid, place: Place) {
        self.places.known.insert(job, place);
    }

    /// Notes that a job is not there any more.
    pub(super) fn forget(&mut self, job: Uuid) {
        self.places.known.remove(&job);
    }

    /// Runs a statement that gives no rows.
    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(parameters)
    }
}
