//! Which of the ended jobs stay.

use rusqlite::OptionalExtension;
use toehold::{UnixMillis, Uuid};

use super::{SqliteStore, StoreError, places::Writing, row::integer, task::wait};

/// Jobs that one transaction removes, about: others wait as long.
const AT_ONCE: u64 = 32;

/// Which of the ended jobs stay: those that are within both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many: those that ended last. `None` for all.
    pub keep_count: Option<u64>,
    /// For how long after they ended, in milliseconds. `None` for ever.
    pub keep_ms: Option<u64>,
}

impl SqliteStore {
    /// Removes ended jobs that are beyond a retention, with all that belongs to them and the jobs that they dispatched;
    /// those that ended first go first. One that has dispatched a job which has not ended stays until that has.
    ///
    /// Waits until all of them are gone, in as many short transactions as it takes. Gives how many they were.
    ///
    /// # Errors
    /// [`StoreError`]; some may be gone already.
    pub fn prune(&self, retention: Retention, now: UnixMillis) -> Result<u64, StoreError> {
        let mut removed = 0_u64;
        // Where the last one ended that had to stay, so that it is not looked at again.
        let mut after = (i64::MIN, 0);
        loop {
            let (some, next): (u64, Option<(i64, i64)>) = wait(self, |done| {
                self.ask(0, done, move |writing| Ok(Ok(writing.prune(retention, now, after)?)))
            })?;
            removed = removed.saturating_add(some);
            match next {
                Some(next) => after = next,
                None => return Ok(removed),
            }
        }
    }
}

impl Writing<'_> {
    /// Removes some. Gives how many, and where to go on, if there may be more.
    fn prune(
        &mut self,
        retention: Retention,
        now: UnixMillis,
        mut after: (i64, i64),
    ) -> rusqlite::Result<(u64, Option<(i64, i64)>)> {
        let count: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM jobs WHERE ended_at IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let keep = retention.keep_count.map_or(i64::MAX, integer);
        let mut too_many = count.saturating_sub(keep);
        let too_old = retention.keep_ms.map_or(i64::MIN, |ms| integer(now.saturating_sub(ms)));
        let mut removed = 0_u64;
        for _ in 0..AT_ONCE {
            let oldest: Option<(i64, i64)> = self
                .connection
                .prepare_cached(
                    "SELECT ended_at, id FROM jobs WHERE ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                        ORDER BY ended_at, id LIMIT 1",
                )?
                .query_row(after, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((ended_at, id)) = oldest else { return Ok((removed, None)) };
            if too_many <= 0 && ended_at >= too_old {
                return Ok((removed, None));
            }
            after = (ended_at, id);
            too_many -= 1;
            let Some(tree) = self.ended_tree(id)? else { continue };
            // Those below count as well, and come no more.
            too_many -= i64::try_from(tree.len()).unwrap_or(i64::MAX).saturating_sub(1);
            for (id, job) in tree {
                self.remove(job, id)?;
                removed = removed.saturating_add(1);
            }
            if removed >= AT_ONCE {
                break;
            }
        }
        Ok((removed, Some(after)))
    }

    /// A job with all that it has dispatched, if all of it has ended.
    fn ended_tree(&self, id: i64) -> rusqlite::Result<Option<Vec<(i64, Uuid)>>> {
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
