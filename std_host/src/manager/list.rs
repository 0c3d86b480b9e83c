//! Lists of jobs by the state that they are in, which may be another than the store has: that a job runs is written with
//! whatever is written of it next.

use std::collections::BTreeMap;

use toehold::JobState;

use super::{JobStatus, Manager};
use crate::store::{Cursor, JobFilter, ListOrder, Listed, StoreError, StoreReader};

impl Manager {
    /// How many jobs are in each state that any is in. Those that are not over are counted as they stand here.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        if self.inner.jobs_at.is_shared() {
            // What others have is only known from there.
            return self.reader().counts();
        }
        let mut counts: BTreeMap<JobState, u64> = self.reader().counts()?.into_iter().collect();
        counts.retain(|state, _| state.is_final());
        for entry in self.inner.lock().entries.values() {
            let state = entry.state();
            // One that has just ended is in the store as well, or about to be.
            if !state.is_final() {
                *counts.entry(state).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }
}

/// Jobs that are looked at together where some of them may not be wanted.
const AT_ONCE: usize = 256;

/// At most `limit` jobs, as `status` knows them, and where the list goes on. Those that it gives none of are left out.
pub(crate) fn list(
    reader: &StoreReader,
    filter: &JobFilter,
    order: ListOrder,
    mut after: Option<Cursor>,
    limit: usize,
    status: impl Fn(Listed) -> Option<JobStatus>,
) -> Result<(Vec<JobStatus>, Option<Cursor>), StoreError> {
    let wanted = |status: &JobStatus| filter.states.is_empty() || filter.states.contains(&status.state);
    let mut wide = filter.clone();
    if filter.states.iter().any(|state| !state.is_final()) {
        wide.states = JobState::ALL
            .into_iter()
            .filter(|state| !state.is_final() || filter.states.contains(state))
            .collect();
    }
    let mut found = Vec::new();
    loop {
        let left = limit.saturating_sub(found.len());
        let count = if wide.states == filter.states { left } else { left.max(AT_ONCE) };
        let listed = reader.list(&wide, order, after, count)?;
        let is_last = listed.len() < count;
        for one in listed {
            if found.len() == limit {
                return Ok((found, after));
            }
            after = Some(one.cursor);
            found.extend(status(one).filter(wanted));
        }
        if is_last || found.len() == limit {
            return Ok((found, after.filter(|_| !is_last)));
        }
    }
}
