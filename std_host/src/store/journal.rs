//! The journals of all jobs, in pieces that have a number each, from 1 up over all jobs.
//!
//! What jobs note in one transaction comes first into one row of `recent`: that is a page or two to write, where a place
//! of its own for each job would be a page for each. Once there is enough of it, what each job has there becomes one
//! piece in `journal`, by job. A long piece goes there at once, and leaves an empty one in `recent`, so that those around
//! it are not joined.
//!
//! A new run only notes the number that it starts from: earlier pieces in `recent` are of no journal any more.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, types::Type};

use super::{places::Writing, row::natural};

/// Rows and bytes in `recent` from which on it is emptied. Who loads a job reads all of it, about 0.3 ms; the more there
/// is of a job, the fewer pages its pieces take.
const RECENT_ROWS: u64 = 1_024;
const RECENT_BYTES: u64 = 1 << 20;
/// Bytes of a piece that goes into `journal` at once.
const LONG_BYTES: usize = 2_048;

/// Pieces with their numbers, by job.
type ByJob = BTreeMap<i64, Vec<(i64, Vec<u8>)>>;

/// What the thread that writes remembers of the pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    counts: Counts,
    /// What goes into `recent` when the transaction ends.
    row: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// The number of the newest piece.
    last: i64,
    /// What is in `recent`.
    rows: u64,
    bytes: u64,
    /// From so many rows on, emptying it is tried again: it needs room.
    again_at: u64,
}

impl Pieces {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let (noted, last, rows, bytes): (i64, i64, i64, i64) = connection
            .prepare_cached(
                "SELECT (SELECT value FROM meta WHERE name = 'pieces'), coalesce(max(last), 0), count(*),
                    coalesce(sum(length(pieces)), 0) FROM recent",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let counts =
            Counts { last: noted.max(last), rows: natural(rows), bytes: natural(bytes), again_at: 0 };
        Ok(Self { counts, row: Vec::new() })
    }

    /// The number of the piece that comes next.
    pub(super) fn next(&self) -> i64 {
        self.counts.last.saturating_add(1)
    }

    /// Whether there is nothing in `recent`.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.rows == 0
    }

    /// Whether there is enough in `recent` to empty it.
    pub(super) fn is_enough(&self) -> bool {
        let Counts { rows, bytes, again_at, .. } = self.counts;
        (rows >= RECENT_ROWS || bytes >= RECENT_BYTES) && rows >= again_at
    }

    /// It could not be emptied: that is tried again only once there is as much again.
    pub(super) fn put_off(&mut self) {
        self.counts.again_at = self.counts.rows.saturating_add(RECENT_ROWS);
    }

    /// What [`Pieces::undo`] goes back to.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The transaction was undone.
    pub(super) fn undo(&mut self, to: Counts) {
        self.counts = to;
        self.row.clear();
    }

    fn push(&mut self, job: i64, bytes: &[u8]) {
        self.row.extend_from_slice(&job.to_le_bytes());
        // Shorter than a long piece.
        self.row.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        self.row.extend_from_slice(bytes);
        self.counts.last = self.next();
    }
}

impl Writing<'_> {
    /// Appends to the journal of a job.
    pub(super) fn append_piece(&mut self, job: i64, bytes: &[u8]) -> rusqlite::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let number = self.pieces.next();
        let mut recent = bytes;
        if bytes.len() >= LONG_BYTES {
            self.insert_piece(number, job, bytes)?;
            recent = &[];
        }
        self.pieces.push(job, recent);
        Ok(())
    }

    /// Writes what was appended; the last thing in a transaction.
    pub(super) fn write_recent(&mut self) -> rusqlite::Result<()> {
        if self.pieces.row.is_empty() {
            return Ok(());
        }
        let row = std::mem::take(&mut self.pieces.row);
        self.execute("INSERT INTO recent VALUES (?1, ?2)", (self.pieces.counts.last, &row))?;
        let counts = &mut self.pieces.counts;
        counts.rows = counts.rows.saturating_add(1);
        counts.bytes = counts.bytes.saturating_add(row.len() as u64);
        // It is as large again soon.
        self.pieces.row = row;
        self.pieces.row.clear();
        Ok(())
    }

    /// Moves all of `recent` into `journal`.
    pub(super) fn empty_recent(&mut self) -> rusqlite::Result<()> {
        let mut moved = Vec::new();
        for (job, pieces) in self.recent_by_job()? {
            let first = self
                .connection
                .prepare_cached("SELECT first FROM jobs WHERE id = ?1")?
                .query_row([job], |row| row.get::<_, i64>(0))
                .optional()?;
            // The job may have been removed; its number is never used again.
            let Some(first) = first else { continue };
            let mut open: Option<(i64, Vec<u8>)> = None;
            for (number, bytes) in pieces.into_iter().filter(|(number, _)| *number >= first) {
                match &mut open {
                    _ if bytes.is_empty() => {
                        moved.extend(open.take().map(|(number, joined)| (job, number, joined)));
                    }
                    Some((_, joined)) => joined.extend(bytes),
                    None => open = Some((number, bytes)),
                }
            }
            moved.extend(open.map(|(number, joined)| (job, number, joined)));
        }
        // First, so that its pages can be used again for what follows.
        self.execute("DELETE FROM recent", [])?;
        for (job, number, bytes) in moved {
            self.insert_piece(number, job, &bytes)?;
        }
        let last = self.pieces.counts.last;
        self.execute("UPDATE meta SET value = ?1 WHERE name = 'pieces'", [last])?;
        self.pieces.counts = Counts { last, ..Counts::default() };
        Ok(())
    }

    fn insert_piece(&self, number: i64, job: i64, bytes: &[u8]) -> rusqlite::Result<()> {
        self.execute("INSERT INTO journal VALUES (?1, ?2, ?3)", (number, job, bytes)).map(|_| ())
    }

    fn recent_by_job(&self) -> rusqlite::Result<ByJob> {
        let mut by_job = ByJob::new();
        for_each_recent(self.connection, |job, number, bytes| {
            by_job.entry(job).or_default().push((number, bytes.to_vec()));
        })?;
        Ok(by_job)
    }
}

/// The journal of a job, whose run starts with piece `first`.
pub(super) fn load(connection: &Connection, job: i64, first: i64) -> rusqlite::Result<Vec<u8>> {
    let mut select =
        connection.prepare_cached("SELECT n, bytes FROM journal WHERE job = ?1 AND n >= ?2 ORDER BY n")?;
    let mut pieces = select
        .query_map((job, first), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()?;
    for_each_recent(connection, |of, number, bytes| {
        if of == job && number >= first && !bytes.is_empty() {
            pieces.push((number, bytes.to_vec()));
        }
    })?;
    pieces.sort_by_key(|(number, _)| *number);
    Ok(pieces.into_iter().flat_map(|(_, bytes)| bytes).collect())
}

/// All pieces in `recent`, in order: job, number, bytes.
fn for_each_recent(connection: &Connection, mut each: impl FnMut(i64, i64, &[u8])) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached("SELECT last, pieces FROM recent ORDER BY last")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let mut rest = row.get_ref(1)?.as_blob()?;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (job, bytes, left) = split(rest).ok_or_else(damaged)?;
            pieces.push((job, bytes));
            rest = left;
        }
        // The pieces of a row follow each other, and it has the number of the last.
        let last: i64 = row.get(0)?;
        let before = last.saturating_sub(i64::try_from(pieces.len()).unwrap_or(i64::MAX));
        for (number, (job, bytes)) in (before.saturating_add(1)..).zip(pieces) {
            each(job, number, bytes);
        }
    }
    Ok(())
}

fn split(pieces: &[u8]) -> Option<(i64, &[u8], &[u8])> {
    let (job, rest) = pieces.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    Some((i64::from_le_bytes(*job), bytes, rest))
}

fn damaged() -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, "pieces of journals are damaged".into())
}
