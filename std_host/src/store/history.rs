//! What happened to a job, and what it logged: bounded, and written without anybody waiting for it.

use std::collections::HashMap;

use rusqlite::{Row, types::ToSql};
use toehold::{LogLevel, UnixMillis, Uuid};

use super::{
    SqliteStore, StoreError, StoreReader,
    places::{Tail, Writing},
    row::{integer, natural},
};

/// What is kept of a job's events or log lines. The oldest go first; the newest is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub rows: u64,
    /// Bytes of their texts.
    pub bytes: u64,
}

/// Some of a job's events or log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<T> {
    /// Those that were asked for, oldest first.
    pub lines: Vec<T>,
    /// The number of the newest that there is; 0 if there never was one.
    pub last: u64,
    /// How many there were and are not kept, for their number, for a full disk, or because they came faster than they
    /// could be written. Their numbers are missing.
    pub dropped: u64,
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The how many-th event of the job it is, from 1 up.
    pub seq: u64,
    /// When.
    pub at: UnixMillis,
    /// What kind of event.
    pub kind: String,
    /// What there is to say of it, as JSON.
    pub data: String,
}

/// A line that a job logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// The how many-th line of the job it is, from 1 up.
    pub seq: u64,
    /// When.
    pub at: UnixMillis,
    /// How bad it is.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}

/// One of a job's two histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    Events,
    Logs,
}

/// A line of history that waits to be written.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) job: Uuid,
    pub(super) at: UnixMillis,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Event { kind: String, data: String },
    Log { level: LogLevel, text: String },
}

/// Lines that were dropped and leave a gap in the numbers, which the next line of the job makes.
#[derive(Debug, Default)]
pub(super) struct Lost {
    counts: HashMap<(Uuid, Stream), u64>,
    /// Those that the transaction under way takes account of.
    taken: HashMap<(Uuid, Stream), u64>,
}

impl SqliteStore {
    /// Notes that something happened to a job. It is durable after the next change of any job, or after
    /// [`SqliteStore::flush`], and can be read after about 50 ms at the latest. Of a job that is not in the store,
    /// nothing is kept.
    ///
    /// `data` is JSON, which nobody checks.
    pub fn append_event(&self, job: Uuid, at: UnixMillis, kind: &str, data: &str) {
        let what = What::Event { kind: kind.to_owned(), data: data.to_owned() };
        self.append(Line { job, at, what });
    }

    /// Notes what a job has logged, as [`SqliteStore::append_event`] does.
    pub fn append_log(&self, job: Uuid, at: UnixMillis, level: LogLevel, text: &str) {
        self.append(Line { job, at, what: What::Log { level, text: text.to_owned() } });
    }

    /// Makes all lines that were appended before durable.
    pub fn flush(&self, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.ask(0, done, |writing| {
            // A transaction without a change is not synced, and with it what came before.
            writing.execute("UPDATE meta SET value = value + 1 WHERE name = 'flushes'", [])?;
            Ok(Ok(()))
        });
    }
}

impl StoreReader {
    /// A job's events with a number above `after`, oldest first, at most `limit`. None for a job that is not there.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn events(&self, job: Uuid, after: u64, limit: usize) -> Result<History<Event>, StoreError> {
        self.history(job, Stream::Events, after, limit, |row| {
            let (seq, at) = (natural(row.get(0)?), natural(row.get(1)?));
            Ok(Event { seq, at, kind: row.get(2)?, data: row.get(3)? })
        })
    }

    /// A job's log lines with a number above `after`, oldest first, at most `limit`. None for a job that is not there.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn logs(&self, job: Uuid, after: u64, limit: usize) -> Result<History<StoredLine>, StoreError> {
        self.history(job, Stream::Logs, after, limit, |row| {
            let (seq, at) = (natural(row.get(0)?), natural(row.get(1)?));
            // A level that a newer version has is shown as the worst that there is.
            let level = LogLevel::from_code(row.get(2)?).unwrap_or(LogLevel::Error);
            Ok(StoredLine { seq, at, level, text: row.get(3)? })
        })
    }

    fn history<T>(
        &self,
        job: Uuid,
        stream: Stream,
        after: u64,
        limit: usize,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<History<T>, StoreError> {
        let sql = stream.sql();
        self.read(|transaction| {
            let Some(id) = super::query::id_of(transaction, job)? else {
                return Ok(History { lines: Vec::new(), last: 0, dropped: 0 });
            };
            let tail = transaction.prepare_cached(sql.tail)?.query_row([id], Tail::read)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut select = transaction.prepare_cached(sql.select)?;
            let lines =
                select.query_map((id, integer(after), limit), |row| read(row))?.collect::<Result<_, _>>()?;
            Ok(History { lines, last: natural(tail.last), dropped: natural(tail.last - tail.rows) })
        })
    }
}

impl Writing<'_> {
    /// Appends a line, and removes the oldest that are too many.
    pub(super) fn append(&mut self, line: &Line, lost: &mut Lost) -> rusqlite::Result<()> {
        let Some(mut place) = self.place(line.job)? else { return Ok(()) };
        let stream = line.stream();
        let sql = stream.sql();
        let (known, cap) = match stream {
            Stream::Events => (&mut place.events, self.options.events),
            Stream::Logs => (&mut place.logs, self.options.logs),
        };
        let mut tail = match *known {
            Some(tail) => tail,
            None => self.connection.prepare_cached(sql.tail)?.query_row([place.id], Tail::read)?,
        };
        tail.last = tail.last.saturating_add(1).saturating_add(integer(lost.take(line)));
        tail.rows = tail.rows.saturating_add(1);
        tail.bytes = tail.bytes.saturating_add(i64::try_from(line.text_bytes()).unwrap_or(i64::MAX));
        let (first, second): (&dyn ToSql, &dyn ToSql) = match &line.what {
            What::Event { kind, data } => (kind, data),
            What::Log { level, text } => (&level.code(), text),
        };
        self.execute(sql.insert, (place.id, tail.last, integer(line.at), first, second))?;
        while (tail.rows > integer(cap.rows) || tail.bytes > integer(cap.bytes)) && tail.rows > 1 {
            let bytes: i64 =
                self.connection.prepare_cached(sql.delete_first)?.query_row([place.id], |row| row.get(0))?;
            tail.rows -= 1;
            tail.bytes = tail.bytes.saturating_sub(bytes);
        }
        *known = Some(tail);
        self.note(line.job, place);
        Ok(())
    }
}

impl Line {
    pub(super) fn stream(&self) -> Stream {
        match self.what {
            What::Event { .. } => Stream::Events,
            What::Log { .. } => Stream::Logs,
        }
    }

    fn text_bytes(&self) -> usize {
        match &self.what {
            What::Event { kind, data } => kind.len().saturating_add(data.len()),
            What::Log { text, .. } => text.len(),
        }
    }

    /// Bytes that it takes while it waits, about.
    pub(super) fn bytes(&self) -> usize {
        self.text_bytes().saturating_add(size_of::<Self>())
    }
}

impl Lost {
    /// Counts a line that was dropped.
    pub(super) fn count(&mut self, line: &Line) {
        self.add_one((line.job, line.stream()), 1);
    }

    /// Adds what another has counted.
    pub(super) fn add(&mut self, other: Self) {
        other.counts.into_iter().for_each(|(what, count)| self.add_one(what, count));
    }

    /// How many were dropped before this line, to be counted with it.
    fn take(&mut self, line: &Line) -> u64 {
        let what = (line.job, line.stream());
        let Some(count) = self.counts.remove(&what) else { return 0 };
        self.taken.insert(what, count);
        count
    }

    /// The transaction is done, and has counted what was taken.
    pub(super) fn counted(&mut self) {
        self.taken.clear();
    }

    /// The transaction was undone.
    pub(super) fn undo(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        taken.into_iter().for_each(|(what, count)| self.add_one(what, count));
    }

    fn add_one(&mut self, what: (Uuid, Stream), count: u64) {
        let lost = self.counts.entry(what).or_default();
        *lost = lost.saturating_add(count);
    }
}

impl Tail {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { last: row.get(0)?, rows: row.get(1)?, bytes: row.get(2)? })
    }
}

/// The statements of a stream.
struct Sql {
    insert: &'static str,
    delete_first: &'static str,
    tail: &'static str,
    select: &'static str,
}

impl Stream {
    fn sql(self) -> Sql {
        match self {
            Self::Events => Sql {
                insert: "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5)",
                delete_first: "DELETE FROM events WHERE job = ?1 AND seq = (SELECT min(seq) FROM events WHERE job = ?1)
                    RETURNING octet_length(kind) + octet_length(data)",
                tail: "SELECT coalesce(max(seq), 0), count(*), coalesce(sum(octet_length(kind) + octet_length(data)), 0)
                    FROM events WHERE job = ?1",
                select: "SELECT seq, at, kind, data FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            },
            Self::Logs => Sql {
                insert: "INSERT INTO logs VALUES (?1, ?2, ?3, ?4, ?5)",
                delete_first: "DELETE FROM logs WHERE job = ?1 AND seq = (SELECT min(seq) FROM logs WHERE job = ?1)
                    RETURNING octet_length(text)",
                tail: "SELECT coalesce(max(seq), 0), count(*), coalesce(sum(octet_length(text)), 0)
                    FROM logs WHERE job = ?1",
                select: "SELECT seq, at, level, text FROM logs WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            },
        }
    }
}
