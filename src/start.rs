use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};
use core::fmt;

use uuid::Uuid;

use crate::{Checkpoint, Extension, Fault, Job, NoticedLimits, Report, journal::Journal, registry::Registry};

/// What a job is started with.
#[derive(Clone, Debug, Default)]
pub struct JobStart {
    /// Its id, which no running job may have.
    pub id: Uuid,
    /// The library that it works on, if any.
    pub library: Option<Uuid>,
    /// Its state; empty for the guest's default. JSON for guests that use Toehold's SDK.
    pub state: Vec<u8>,
}

/// Why a job was not started.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StartError {
    /// The extension has no such job.
    UnknownJob {
        /// The extension's id.
        extension: String,
        /// The name that was asked for.
        job: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A job with this id runs already.
    Running(Uuid),
    /// As many jobs of the extension run as may run at a time.
    Concurrency {
        /// Jobs that may run at a time.
        limit: u32,
    },
    /// The state is over its limit.
    StateTooLarge {
        /// Its bytes.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The instance could not be made, or its `start` function did not end well.
    Instance(Fault),
    /// The checkpoint is of another extension or module.
    OtherModule {
        /// The extension of the checkpoint, and its version.
        checkpoint: String,
        /// The extension that is loaded, and its version.
        loaded: String,
    },
    /// The job of this name was registered as one that can't go on from a checkpoint.
    NotResumable(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownJob { extension, job, known } if known.is_empty() => {
                write!(f, "extension {extension} has no job {job:?}, nor any other")
            }
            Self::UnknownJob { extension, job, known } => {
                write!(f, "extension {extension} has no job {job:?}; its jobs are {}", known.join(", "))
            }
            Self::Running(id) => write!(f, "a job with id {id} runs already"),
            Self::Concurrency { limit } => {
                write!(f, "{limit} jobs of the extension run already, its limit; wait for one to end")
            }
            Self::StateTooLarge { bytes, limit } => {
                write!(f, "the state has {bytes} bytes, the limit is {limit}")
            }
            Self::Instance(fault) => write!(f, "the instance could not be made: {fault}"),
            Self::OtherModule { checkpoint, loaded } => write!(
                f,
                "the checkpoint is of {checkpoint}, but {loaded} is loaded, whose module is another"
            ),
            Self::NotResumable(job) => {
                write!(f, "the job {job:?} was registered as not resumable: start it from the beginning")
            }
        }
    }
}

impl core::error::Error for StartError {}

/// Where a run starts from: a fresh job's dispatch, or a checkpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    pub(crate) start: JobStart,
    pub(crate) sequence: u64,
    pub(crate) calls: u64,
    pub(crate) fuel_used: u64,
    pub(crate) report: Report,
    /// Those that it brings along; those of this host if it starts here.
    pub(crate) limits: Option<NoticedLimits>,
}

impl Extension {
    /// Starts a job: makes its instance and enters it in `registry`. It runs when it is stepped.
    ///
    /// # Errors
    /// [`StartError`] says why not; then nothing is left of it.
    pub fn start(&self, registry: &Registry, job: &str, start: JobStart) -> Result<Job, StartError> {
        self.find_job(job)?;
        Job::enter(self, registry, job, Base { start, ..Base::default() }, Journal::default())
    }

    /// What a job is started with, as the checkpoint of sequence 0 that a store keeps of one that has not run yet.
    ///
    /// # Errors
    /// [`StartError::UnknownJob`] and [`StartError::StateTooLarge`].
    pub fn first_checkpoint(&self, job: &str, start: &JobStart) -> Result<Checkpoint, StartError> {
        self.find_job(job)?;
        self.check_state(&start.state)?;
        let manifest = self.manifest();
        Ok(Checkpoint {
            job_id: start.id,
            library: start.library,
            extension: manifest.id().to_owned(),
            extension_version: manifest.version().to_owned(),
            state_version: manifest.state_version(),
            module_hash: self.module().hash,
            job: job.to_owned(),
            sequence: 0,
            calls: 0,
            fuel_used: 0,
            limits: self.limits().noticed(),
            report: Report::default(),
            state: start.state.clone(),
        })
    }

    /// Goes on with a job from its checkpoint, made on this host or on another.
    ///
    /// # Errors
    /// [`StartError`] says why not; the checkpoint is as good as before.
    pub fn resume(&self, registry: &Registry, checkpoint: &Checkpoint) -> Result<Job, StartError> {
        if checkpoint.sequence > 0 && !self.find_job(&checkpoint.job)?.resumable {
            return Err(StartError::NotResumable(checkpoint.job.clone()));
        }
        self.enter(registry, checkpoint, Journal::default())
    }

    /// Enters a job with a checkpoint of this very module.
    pub(crate) fn enter(
        &self,
        registry: &Registry,
        checkpoint: &Checkpoint,
        journal: Journal,
    ) -> Result<Job, StartError> {
        if checkpoint.extension != self.id() || checkpoint.module_hash != self.module().hash {
            return Err(StartError::OtherModule {
                checkpoint: alloc::format!("{} {}", checkpoint.extension, checkpoint.extension_version),
                loaded: alloc::format!("{} {}", self.id(), self.manifest().version()),
            });
        }
        self.find_job(&checkpoint.job)?;
        let base = Base {
            start: JobStart {
                id: checkpoint.job_id,
                library: checkpoint.library,
                state: checkpoint.state.clone(),
            },
            sequence: checkpoint.sequence,
            calls: checkpoint.calls,
            fuel_used: checkpoint.fuel_used,
            report: checkpoint.report.bounded(self.limits()),
            limits: Some(checkpoint.limits),
        };
        Job::enter(self, registry, &checkpoint.job, base, journal)
    }

    pub(crate) fn check_state(&self, state: &[u8]) -> Result<(), StartError> {
        let (bytes, limit) = (state.len(), self.limits().state_bytes);
        if bytes > limit { Err(StartError::StateTooLarge { bytes, limit }) } else { Ok(()) }
    }

    pub(crate) fn find_job(&self, name: &str) -> Result<&crate::JobInfo, StartError> {
        self.job(name).ok_or_else(|| StartError::UnknownJob {
            extension: String::from(self.id()),
            job: String::from(name),
            known: self.jobs().iter().map(|job| job.name.clone()).collect(),
        })
    }
}

/// The `ctx` of the ABI: JSON with the job's ids as text.
pub(crate) fn context_json(id: Uuid, library: Option<Uuid>) -> Arc<str> {
    // Old guests read `library_id` as a UUID that is always there, so none is the nil UUID.
    let library = library.unwrap_or_default();
    alloc::format!("{{\"job_id\":\"{id}\",\"library_id\":\"{library}\"}}").into()
}
