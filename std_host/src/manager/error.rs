use std::io;

use toehold::{FormatError, JobState, StartError, Uuid};

use crate::{
    ExtensionError,
    store::{OpenError, StoreError},
};

/// Why a manager was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The data folder can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no thread.
    #[error("no thread for the job manager: {0}")]
    Thread(io::Error),
}

/// Why a job was not dispatched; there is no such job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The name is not `EXTENSION_ID:NAME`.
    #[error("{0:?} names no job; a job is named EXTENSION_ID:NAME, such as test-extension:counter")]
    Name(String),
    /// Its extension is not there.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The extension has no such job, or does not take the state.
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
    /// There is a job with this id already, which may be over.
    #[error("there is a job {0} already; dispatch it with another id")]
    Exists(Uuid),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing could be done with a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There is no such job.
    #[error("there is no job {0}; `toehold job list` shows those that there are")]
    Unknown(Uuid),
    /// It is over.
    #[error("job {id} is {state} already: nothing can be changed about it", state = state.name())]
    Over {
        /// The job.
        id: Uuid,
        /// How it ended.
        state: JobState,
    },
    /// It can't be removed while it is in this state.
    #[error("job {id} is {state}: only one that is paused or over can be removed; pause or cancel it first", state = state.name())]
    Busy {
        /// The job.
        id: Uuid,
        /// How it stands.
        state: JobState,
    },
    /// It can't be removed while the job that dispatched it is not over.
    #[error(
        "job {id} was dispatched by job {parent}, which is not over and would dispatch it anew: let that end first"
    )]
    HasParent {
        /// The job.
        id: Uuid,
        /// Which has dispatched it.
        parent: Uuid,
    },
    /// What is kept of it can't be read.
    #[error("job {id}: {source}; it is kept as it is")]
    Format {
        /// The job.
        id: Uuid,
        /// What is wrong.
        source: FormatError,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an extension was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// Jobs of it are not over.
    #[error("{jobs} jobs of extension {id} are not over; cancel them or wait for them first")]
    Jobs {
        /// The extension.
        id: String,
        /// How many.
        jobs: usize,
    },
    /// It is not there, or its files can't be removed.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
}

/// Why a bundle was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It can't be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It does not have the module that the job ran on, and none was given.
    #[error("the bundle has no module; give the extension whose module is {hash}, or export the job with it")]
    NoModule {
        /// SHA-256 of the module, in hexadecimal digits.
        hash: String,
    },
    /// The extension that it brings can't be used.
    #[error("the bundle's extension can't be used: {0}")]
    Extension(String),
    /// Its job can't be started on the module.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why a bundle was not imported; nothing of it is there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is no bundle that this version reads.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is a job with its id already.
    #[error("there is a job {0} already, from here or from an earlier import; nothing was changed about it")]
    Exists(Uuid),
    /// Its module is not here, and the bundle does not bring it.
    #[error(
        "the bundle's job runs on module {hash} of {extension}, which is not here; add that version of the extension, \
         or export the job with its module"
    )]
    NoModule {
        /// The extension.
        extension: String,
        /// SHA-256 of the module, in hexadecimal digits.
        hash: String,
    },
    /// Its module is not here, and only signed packages are taken, which a bundle is not.
    #[error(
        "the bundle brings module {hash} of {extension}, but only packages that a trusted key has signed are taken here, \
         and what comes in a bundle carries no signature; install that version's signed package first \
         (`toehold extension add PACKAGE`), then import again"
    )]
    Unsigned {
        /// The extension.
        extension: String,
        /// SHA-256 of the module, in hexadecimal digits.
        hash: String,
    },
    /// It brings a module that was never installed here, for an extension that is: the module would get the configuration,
    /// secrets, keys and values that the operator gave to that one.
    #[error(
        "the bundle brings module {hash} of {extension}, and another version of {extension} is installed here, whose \
         configuration, secrets and keys it would get; install the bundle's version first (`toehold extension add`), if you \
         trust it, then import again"
    )]
    Brought {
        /// The extension.
        extension: String,
        /// SHA-256 of the module, in hexadecimal digits.
        hash: String,
    },
    /// Its module is here, but not from somebody who is trusted.
    #[error("{0}")]
    Untrusted(String),
    /// The extension that it brings can't be used.
    #[error("the bundle's extension can't be used: {0}")]
    Extension(String),
    /// Its job can't be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
