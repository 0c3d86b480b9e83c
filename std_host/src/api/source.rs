//! Where the API finds jobs: at a manager, or only in a store.

use toehold::{Bundle, Interrupt, JobRecord, JobState, Trust, Uuid};

use super::ApiError;
use crate::{
    manager::{self, JobError, JobHandle, JobStatus, Manager},
    store::{Cursor, JobFilter, ListOrder, Listed, StoreError, StoreReader},
};

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A manager, which may run them.
    Manager(Manager),
    /// A store that is only read.
    Store {
        reader: StoreReader,
        /// Whether another process has it, so that what is said to run may run.
        in_use: bool,
    },
}

impl Source {
    pub(super) fn reader(&self) -> &StoreReader {
        match self {
            Self::Manager(manager) => manager.reader(),
            Self::Store { reader, .. } => reader,
        }
    }

    /// How many jobs are in each state.
    pub(super) fn counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        match self {
            Self::Manager(manager) => manager.counts(),
            Self::Store { reader, .. } => reader.counts(),
        }
    }

    /// What changes something.
    pub(super) fn manager(&self) -> Result<&Manager, ApiError> {
        match self {
            Self::Manager(manager) => Ok(manager),
            Self::Store { .. } => Err(ApiError::read_only()),
        }
    }

    /// The keys whose packages alone are taken, if there are such.
    pub(super) fn trusted_keys(&self) -> Option<Vec<String>> {
        match self {
            Self::Manager(manager) => match manager.trust() {
                Trust::Anyone => None,
                Trust::Signed(keys) => Some(keys.iter().map(ToString::to_string).collect()),
            },
            Self::Store { .. } => None,
        }
    }

    /// A job of the manager.
    pub(super) fn job(&self, id: Uuid) -> Result<JobHandle, ApiError> {
        Ok(self.manager()?.job(id)?)
    }

    pub(super) fn status(&self, id: Uuid) -> Result<JobStatus, ApiError> {
        match self {
            Self::Manager(manager) => Ok(manager.job(id)?.status()),
            Self::Store { reader, in_use } => {
                let record = reader.record(id)?.ok_or(JobError::Unknown(id))?;
                let record = record.map_err(|source| JobError::Format { id, source })?;
                Ok(at_rest(id, record, *in_use))
            }
        }
    }

    /// As [`Manager::list`].
    pub(super) fn list(
        &self,
        filter: &JobFilter,
        order: ListOrder,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<JobStatus>, Option<Cursor>), ApiError> {
        let (reader, in_use) = match self {
            Self::Manager(manager) => return Ok(manager.list(filter, order, after, limit)?),
            Self::Store { reader, in_use } => (reader, *in_use),
        };
        let status = |listed: Listed| match listed.record {
            Ok(record) => Some(at_rest(listed.id, record, in_use)),
            Err(error) => {
                log::error!("job {} is not listed: {error}", listed.id);
                None
            }
        };
        Ok(manager::list(reader, filter, order, after, limit, status)?)
    }

    pub(super) fn export(&self, id: Uuid, with_extension: bool) -> Result<Bundle, ApiError> {
        Ok(match self {
            Self::Manager(manager) => manager.export(id, with_extension)?,
            Self::Store { reader, .. } => manager::export(reader, id, with_extension)?,
        })
    }
}

/// How a job stands by its record. Where nobody runs it, what ran waits to go on, as a manager will find it.
fn at_rest(id: Uuid, mut record: JobRecord, in_use: bool) -> JobStatus {
    if !in_use && record.state == JobState::Running {
        record.state = match record.wanted {
            Interrupt::Pause => JobState::Paused,
            _ => JobState::Queued,
        };
    }
    JobStatus::new(id, record, None)
}
