use std::{io, path::PathBuf, sync::Arc, thread, time::Instant};

use toehold::{Checkpoint, JobStart, Limits, Registry, StartError, Trust, Uuid};

use crate::{
    CheckpointFolder, ExtensionError, ExtensionManager, GrantOptions, JobHandle, Operations,
    handle::Shared,
    operations::LazyRuntime,
    worker::{StdPlatform, work},
};

/// Stack of a job's thread: enough for 512 MiB of memory, as `Job::step` says, and then some. It is taken as it is used.
const STACK_BYTES: usize = 16 << 20;

/// How a [`Host`] is set up.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The folder that holds the extensions' folders.
    pub extensions: PathBuf,
    /// The folder for what must outlive the process.
    pub data: PathBuf,
    /// Whose extensions it takes.
    pub trust: Trust,
    /// What extensions and jobs may use at most.
    pub limits: Limits,
    /// What extensions get beyond their own folders.
    pub grants: GrantOptions,
    /// What guests may call.
    pub operations: Operations,
    /// Fuel of a slice. Larger ones cost less, smaller ones stop sooner: 100,000 are about 0.1 ms.
    pub slice: u64,
}

/// Runs the jobs of extensions, each on a thread of its own.
///
/// Dropping the host leaves its jobs running. The checkpoint of a job that has ended stays until
/// [`CheckpointFolder::remove`].
#[derive(Debug)]
pub struct Host {
    extensions: ExtensionManager,
    checkpoints: CheckpointFolder,
    operations: Operations,
    registry: Registry,
    slice: u64,
    started: Instant,
    /// For operations that are futures.
    runtime: Arc<LazyRuntime>,
}

/// A job to be dispatched, by its full name `EXTENSION_ID:NAME`.
#[derive(Clone, Debug, Default)]
pub struct Dispatch {
    /// The job's id; a random one if there is none.
    pub id: Option<Uuid>,
    /// The library that it works on, if any.
    pub library: Option<Uuid>,
    /// The state that it starts from; empty for the guest's default. JSON for guests that use Toehold's SDK.
    pub state: Vec<u8>,
}

/// Why a job was not dispatched; nothing of it runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The name is not `EXTENSION_ID:NAME`.
    #[error("{0:?} names no job; a job is named EXTENSION_ID:NAME, such as test-extension:counter")]
    Name(String),
    /// Its extension is not there.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The extension did not start it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The state does not fit the manifest's schema of it.
    #[error("the state is not what {job} takes: {problems}; mend it and dispatch again", problems = problems.join("; "))]
    State {
        /// The job.
        job: String,
        /// Each place, and what was expected there.
        problems: Vec<String>,
    },
    /// A checkpoint of a job with this id is there already, which a fresh start would overwrite.
    #[error("{path}: job {id} has a checkpoint; go on from it, or remove it", path = path.display())]
    Checkpoint {
        /// The job.
        id: Uuid,
        /// The checkpoint's file.
        path: PathBuf,
    },
    /// The operating system gave no thread.
    #[error("no thread for the job: {0}")]
    Thread(io::Error),
}

impl HostConfig {
    /// The extensions in one folder, what must last in another, and defaults for the rest.
    #[must_use]
    pub fn new(extensions: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self {
            extensions: extensions.into(),
            data: data.into(),
            trust: Trust::Anyone,
            limits: Limits::default(),
            grants: GrantOptions::default(),
            operations: Operations::built_in(),
            slice: 100_000,
        }
    }
}

impl Host {
    /// A host, which has loaded no extension yet: [`Host::extensions`] does that.
    #[must_use]
    pub fn new(config: HostConfig) -> Self {
        let HostConfig { extensions, data, trust, limits, grants, operations, slice } = config;
        Self {
            extensions: ExtensionManager::new(extensions, limits, grants).with_trust(trust),
            checkpoints: CheckpointFolder::new(data.join("checkpoints")),
            operations,
            registry: Registry::default(),
            slice,
            started: Instant::now(),
            runtime: Arc::default(),
        }
    }

    /// The extensions.
    #[must_use]
    pub fn extensions(&self) -> &ExtensionManager {
        &self.extensions
    }

    /// The checkpoints of the jobs.
    #[must_use]
    pub fn checkpoints(&self) -> &CheckpointFolder {
        &self.checkpoints
    }

    /// The jobs that run.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Starts a job, named `EXTENSION_ID:NAME`, on a thread of its own.
    ///
    /// The module's `start` function, if it has one, runs on the calling thread, for at most
    /// [`Limits::init_fuel`](toehold::Limits::init_fuel).
    ///
    /// # Errors
    /// [`DispatchError`] says why not; then nothing of it runs.
    pub fn dispatch(&self, job: &str, dispatch: Dispatch) -> Result<JobHandle, DispatchError> {
        let (extension, name) = job.split_once(':').ok_or_else(|| DispatchError::Name(job.to_owned()))?;
        let installed = self.extensions.get(extension)?;
        let Dispatch { id, library, state } = dispatch;
        installed
            .check_state(name, &state)
            .map_err(|problems| DispatchError::State { job: job.to_owned(), problems })?;
        let id = id.unwrap_or_else(Uuid::new_v4);
        let path = self.checkpoints.path(id);
        if path.exists() {
            return Err(DispatchError::Checkpoint { id, path });
        }
        let start = JobStart { id, library, state };
        let job = installed.extension().start(&self.registry, name, start)?;
        self.spawn(job, installed.grants())
    }

    /// Goes on with a job from its checkpoint.
    ///
    /// # Errors
    /// [`DispatchError`] says why not; then nothing of it runs, and the checkpoint is as good as before.
    pub fn resume(&self, checkpoint: &Checkpoint) -> Result<JobHandle, DispatchError> {
        let installed = self.extensions.get(&checkpoint.extension)?;
        let job = installed.extension().resume(&self.registry, checkpoint)?;
        self.spawn(job, installed.grants())
    }

    fn spawn(&self, job: toehold::Job, grants: &Arc<crate::Grants>) -> Result<JobHandle, DispatchError> {
        let context = job.context().clone();
        let shared = Shared::new();
        let platform = StdPlatform::new(
            self.started,
            shared.clone(),
            self.checkpoints.clone(),
            self.operations.clone(),
            grants.clone(),
            context.clone(),
            self.runtime.clone(),
        );
        let slice = self.slice;
        thread::Builder::new()
            .name(format!("{} {}", context.job(), context.id()))
            .stack_size(STACK_BYTES)
            .spawn(move || work(job, platform, slice))
            .map_err(DispatchError::Thread)?;
        Ok(JobHandle::new(context, shared))
    }
}
