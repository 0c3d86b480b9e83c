//! What there is of jobs: one, some, or how many.

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};
use toehold::{FormatError, JobRecord, JobState, Saved, Uuid};

use super::{StoreError, StoreReader, journal, places::checkpoint_row};

/// Which jobs to list: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In one of these states; all if there are none.
    pub states: Vec<JobState>,
    /// Of this extension.
    pub extension: Option<String>,
    /// With a full name, `EXTENSION_ID:NAME`, that starts with this.
    pub job_prefix: Option<String>,
    /// Dispatched by this job.
    pub parent: Option<Uuid>,
}

/// By when they were dispatched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// Where a list goes on. It holds for as long as the store is there, whatever comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(i64);

/// A job in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The job.
    pub id: Uuid,
    /// Its record, or why it can't be read.
    pub record: Result<JobRecord, FormatError>,
    /// Where a list goes on behind it.
    pub cursor: Cursor,
}

impl Cursor {
    /// As a number, to be passed around.
    #[must_use]
    pub const fn to_number(self) -> i64 {
        self.0
    }

    /// From [`Cursor::to_number`]. No number is a wrong one.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }
}

impl StoreReader {
    /// All that there is of a job.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn load(&self, job: Uuid) -> Result<Option<Saved>, StoreError> {
        self.read(|transaction| load(transaction, job))
    }

    /// A job's record, or why it can't be read.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn record(&self, job: Uuid) -> Result<Option<Result<JobRecord, FormatError>>, StoreError> {
        let bytes = self.read(|transaction| {
            transaction
                .prepare_cached("SELECT record FROM jobs WHERE uuid = ?1")?
                .query_row([job.as_bytes().as_slice()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })?;
        Ok(bytes.map(|bytes| JobRecord::decode(&bytes)))
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn jobs(&self) -> Result<Vec<Uuid>, StoreError> {
        self.read(|transaction| {
            transaction
                .prepare_cached("SELECT uuid FROM jobs ORDER BY id")?
                .query_map([], |row| uuid(row, 0))?
                .collect()
        })
    }

    /// Some jobs, at most `limit`, from behind `after` on.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn list(
        &self,
        filter: &JobFilter,
        order: ListOrder,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let (sql, parameters) = filter.sql(order, after, limit);
        let rows = self.read(|transaction| {
            transaction
                .prepare_cached(&sql)?
                .query_map(params_from_iter(parameters), listed)?
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(rows.into_iter().map(Listed::decode).collect())
    }

    /// How many jobs are in each state that any is in.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        let counts = self.read(|transaction| {
            transaction
                .prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state")?
                .query_map([], |row| Ok((row.get::<_, String>(0)?, super::row::natural(row.get(1)?))))?
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut counts: Vec<_> = counts
            .into_iter()
            .filter_map(|(name, count)| JobState::from_name(&name).map(|state| (state, count)))
            .collect();
        counts.sort_by_key(|(state, _)| *state);
        Ok(counts)
    }

    /// The jobs that a job has dispatched, oldest first.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn children(&self, parent: Uuid) -> Result<Vec<Listed>, StoreError> {
        let filter = JobFilter { parent: Some(parent), ..JobFilter::default() };
        self.list(&filter, ListOrder::OldestFirst, None, usize::MAX)
    }

    /// All jobs that have not ended, oldest first: where a host goes on when it starts. Only their records: all
    /// checkpoints at once may be more than fits in memory, and [`StoreReader::load`] gives one when its job's turn comes.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn resumable(&self) -> Result<Vec<Listed>, StoreError> {
        let states = JobState::ALL.into_iter().filter(|state| !state.is_final()).collect();
        let filter = JobFilter { states, ..JobFilter::default() };
        self.list(&filter, ListOrder::OldestFirst, None, usize::MAX)
    }
}

impl JobFilter {
    fn sql(&self, order: ListOrder, after: Option<Cursor>, limit: usize) -> (String, Vec<Value>) {
        let mut sql = "SELECT id, uuid, record FROM jobs WHERE 1".to_owned();
        let mut parameters = Vec::new();
        let mut and = |text: &str, value: Value| {
            sql.push_str(text);
            parameters.push(value);
        };
        if let Some((first, rest)) = self.states.split_first() {
            and(" AND state IN (?", Value::Text(first.name().to_owned()));
            for state in rest {
                and(", ?", Value::Text(state.name().to_owned()));
            }
            sql.push(')');
        }
        let mut and = |text: &str, value: Value| {
            sql.push_str(text);
            parameters.push(value);
        };
        if let Some(extension) = &self.extension {
            and(" AND extension = ?", Value::Text(extension.clone()));
        }
        if let Some(prefix) = &self.job_prefix {
            and(" AND substr(CAST(job AS BLOB), 1, octet_length(?)) = ", Value::Text(prefix.clone()));
            and("CAST(? AS BLOB)", Value::Text(prefix.clone()));
        }
        if let Some(parent) = self.parent {
            and(" AND parent = ?", Value::Blob(parent.as_bytes().to_vec()));
        }
        let (beyond, direction) = match order {
            ListOrder::NewestFirst => (" AND id < ?", "DESC"),
            ListOrder::OldestFirst => (" AND id > ?", "ASC"),
        };
        if let Some(Cursor(id)) = after {
            and(beyond, Value::Integer(id));
        }
        sql.push_str(" ORDER BY id ");
        sql.push_str(direction);
        sql.push_str(" LIMIT ?");
        parameters.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        (sql, parameters)
    }
}

impl Listed {
    fn decode((cursor, id, record): (i64, Uuid, Vec<u8>)) -> Self {
        Self { id, record: JobRecord::decode(&record), cursor: Cursor(cursor) }
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<(i64, Uuid, Vec<u8>)> {
    Ok((row.get(0)?, uuid(row, 1)?, row.get(2)?))
}

fn load(connection: &Connection, job: Uuid) -> rusqlite::Result<Option<Saved>> {
    let found: Option<(i64, i64, i64, i64, Vec<u8>)> = connection
        .prepare_cached("SELECT id, base, newest, first, record FROM jobs WHERE uuid = ?1")?
        .query_row([job.as_bytes().as_slice()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((id, base, newest, first, record)) = found else { return Ok(None) };
    let mut select = connection.prepare_cached("SELECT bytes FROM checkpoints WHERE id = ?1")?;
    let mut checkpoint =
        |place| select.query_row([checkpoint_row(id, place)], |row| row.get::<_, Vec<u8>>(0));
    let base_bytes = checkpoint(base)?;
    let newest_bytes = if newest == base { base_bytes.clone() } else { checkpoint(newest)? };
    let journal = journal::load(connection, id, first)?;
    Ok(Some(Saved { record, base: base_bytes, newest: newest_bytes, journal }))
}

/// The number that the database has for a job.
pub(super) fn id_of(connection: &Connection, job: Uuid) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM jobs WHERE uuid = ?1")?
        .query_row([job.as_bytes().as_slice()], |row| row.get(0))
        .optional()
}

pub(super) fn uuid(row: &Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(index)?.as_blob()?;
    Uuid::from_slice(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Blob, Box::new(error))
    })
}
