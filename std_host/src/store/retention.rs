//! Which of the ended jobs stay.

use rusqlite::{Connection, OptionalExtension, Row};
use toehold::{UnixMillis, Uuid};

use super::{SqliteStore, StoreError, places::Writing, row::integer, task::wait};

/// Jobs that one transaction removes, about: others wait as long.
const AT_ONCE: u64 = 32;

/// Which of the ended jobs stay: those that are within both limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many: those that ended last. `None` for all.
    pub keep_count: Option<u64>,
    /// For how long after they ended, in milliseconds. `None` for ever.
    pub keep_ms: Option<u64>,
}

impl SqliteStore {
    /// Removes ended jobs that are beyond a retention, with all that belongs to them and the jobs that they dispatched;
    /// those that ended first go first. One that has dispatched a job which has not ended stays until that has, and one that
    /// was dispatched by such a job stays as long.
    ///
    /// Waits until all of them are gone, in as many short transactions as it takes. Gives how many they were.
    ///
    /// # Errors
    /// [`StoreError`]; some may be gone already.
    pub fn prune(&self, retention: Retention, now: UnixMillis) -> Result<u64, StoreError> {
        let beyond = self.reader().read(|transaction| beyond(transaction, retention, now))?;
        let mut removed = 0_u64;
        // The last one that was looked at: those that have to stay are not looked at again.
        let mut after = START;
        while let Some(last) = beyond.filter(|last| after < *last) {
            let (some, next) = wait(self, |done| {
                self.ask(0, done, move |writing| Ok(Ok::<_, StoreError>(writing.prune(after, last)?)))
            })?;
            removed = removed.saturating_add(some);
            after = next;
        }
        Ok(removed)
    }
}

/// Jobs that have ended, in the order in which they did: when, and the job's number in the database.
type Ended = (i64, i64);

const START: Ended = (i64::MIN, i64::MIN);

/// The last of the ended jobs that are beyond a retention.
fn beyond(connection: &Connection, retention: Retention, now: UnixMillis) -> rusqlite::Result<Option<Ended>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let too_many = match retention.keep_count {
        None => None,
        Some(keep) => connection
            .prepare_cached(
                "SELECT ended_at, id FROM jobs WHERE ended_at IS NOT NULL
                    ORDER BY ended_at DESC, id DESC LIMIT 1 OFFSET ?1",
            )?
            .query_row([integer(keep)], read)
            .optional()?,
    };
    let too_old = match retention.keep_ms {
        None => None,
        Some(keep) => connection
            .prepare_cached(
                "SELECT ended_at, id FROM jobs WHERE ended_at < ?1 ORDER BY ended_at DESC, id DESC LIMIT 1",
            )?
            .query_row([integer(now.saturating_sub(keep))], read)
            .optional()?,
    };
    Ok(too_many.max(too_old))
}

impl Writing<'_> {
    /// Removes some of the jobs that ended behind `after` and up to `last`. Gives how many, and where to go on.
    fn prune(&mut self, mut after: Ended, last: Ended) -> rusqlite::Result<(u64, Ended)> {
        let mut removed = 0_u64;
        for _ in 0..AT_ONCE {
            let oldest: Option<Ended> = self
                .connection
                .prepare_cached(
                    "SELECT ended_at, id FROM jobs WHERE ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                        ORDER BY ended_at, id LIMIT 1",
                )?
                .query_row(after, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some(oldest) = oldest.filter(|oldest| *oldest <= last) else { return Ok((removed, last)) };
            after = oldest;
            for (id, job) in self.ended_tree(oldest.1)?.unwrap_or_default() {
                self.remove(job, id)?;
                removed = removed.saturating_add(1);
            }
            if removed >= AT_ONCE {
                break;
            }
        }
        Ok((removed, after))
    }

    /// A job with all that it has dispatched, if all of it has ended, and what has dispatched it: that may come to the same
    /// call again after a crash, and must find it.
    fn ended_tree(&self, id: i64) -> rusqlite::Result<Option<Vec<(i64, Uuid)>>> {
        let mut parent = self.connection.prepare_cached(
            "SELECT 1 FROM jobs JOIN jobs AS parent ON jobs.parent = parent.uuid
                WHERE jobs.id = ?1 AND parent.ended_at IS NULL",
        )?;
        if parent.exists([id])? {
            return Ok(None);
        }
        let mut select = self.connection.prepare_cached(
            "WITH RECURSIVE tree (id, uuid, ended_at) AS (
                SELECT id, uuid, ended_at FROM jobs WHERE id = ?1
                UNION
                SELECT jobs.id, jobs.uuid, jobs.ended_at FROM jobs JOIN tree ON jobs.parent = tree.uuid
            ) SELECT id, uuid, ended_at FROM tree",
        )?;
        let mut rows = select.query([id])?;
        let mut tree = Vec::new();
        while let Some(row) = rows.next()? {
            if row.get::<_, Option<i64>>(2)?.is_none() {
                return Ok(None);
            }
            tree.push((row.get(0)?, super::query::uuid(row, 1)?));
        }
        Ok(Some(tree))
    }
}
