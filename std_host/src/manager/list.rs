//! Lists of jobs by the state that they are in, which may be another than the store has: that a job runs is written with
//! whatever is written of it next.

use toehold::JobState;

use super::JobStatus;
use crate::store::{Cursor, JobFilter, ListOrder, Listed, StoreError, StoreReader};

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
