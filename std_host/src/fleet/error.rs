use std::{io, path::PathBuf};

use toehold::{FormatError, JobState, Uuid};

/// Why something could not be done with a fleet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The name can't be a part of a subject.
    #[error("{0:?} can't be a fleet's name; it has 1 to 32 small letters, digits and -")]
    Name(String),
    /// No server took the connection.
    #[error(
        "no connection to NATS at {servers}: {source}; a server has to be there that knows this host's user and certificate"
    )]
    Connect {
        /// The addresses.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// A file could not be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server is older than those that this was tested with.
    #[error(
        "the NATS server {server} has version {found}; a fleet needs {oldest} or newer: older ones let two workers win the same job"
    )]
    OldServer {
        /// Its name.
        server: String,
        /// Its version.
        found: String,
        /// The oldest that will do.
        oldest: &'static str,
    },
    /// The server has no JetStream.
    #[error(
        "the NATS server {server} has no JetStream for this account; start it with -js, or with a jetstream block in its configuration; where it is a leaf node, name the JetStream domain of the servers behind it (--nats-domain): {reason}"
    )]
    NoJetStream {
        /// Its name.
        server: String,
        /// What it said.
        reason: String,
    },
    /// The servers could not do it, or did not answer.
    #[error("{what}: {reason}")]
    Server {
        /// What was asked of them.
        what: String,
        /// What they said.
        reason: String,
    },
    /// The servers do not let this process's user do it.
    #[error(
        "{what}: the NATS servers do not let this user {refused}; give the user what \"Who may do what\" in docs/fleet.md lists, or take another one"
    )]
    Refused {
        /// What was to be done.
        what: String,
        /// What of it they refused: `publish to SUBJECT` or `subscribe to SUBJECT`.
        refused: String,
    },
    /// The servers have no room.
    #[error(
        "{what}: the fleet has no room: {reason}; remove jobs that are over, or raise the limit of the stream"
    )]
    Full {
        /// What was to be written.
        what: String,
        /// What they said.
        reason: String,
    },
    /// Another worker owns the job by now.
    #[error("job {job} is another worker's by now; nothing was written")]
    Fenced {
        /// The job.
        job: Uuid,
    },
    /// There is such a job already.
    #[error("there is a job {job} in the fleet already")]
    Exists {
        /// The job.
        job: Uuid,
    },
    /// There is no such job.
    #[error("there is no job {job} in the fleet")]
    Unknown {
        /// The job.
        job: Uuid,
    },
    /// It can't be removed while it is in this state.
    #[error("job {job} is {state}: only one that is paused or over can be removed; pause or cancel it first")]
    Busy {
        /// The job.
        job: Uuid,
        /// How it stands.
        state: JobState,
    },
    /// What the fleet has of a job can't be read.
    #[error("job {job}: {source}; it is kept as it is")]
    Format {
        /// The job.
        job: Uuid,
        /// What is wrong.
        source: FormatError,
    },
}

impl FleetError {
    pub(super) fn server(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Server { what: what.into(), reason: reason.to_string() }
    }
}

/// Whether servers say that a bucket is not there; else it may be, and they can't tell.
pub(super) fn is_missing(error: &(dyn std::error::Error + 'static)) -> bool {
    use async_nats::jetstream::{
        ErrorCode,
        context::{GetStreamError, GetStreamErrorKind},
    };
    let source = error.source().and_then(|source| source.downcast_ref::<GetStreamError>());
    source.is_some_and(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    })
}
