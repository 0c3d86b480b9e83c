use std::{path::PathBuf, time::Duration};

/// How a process finds its fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetConfig {
    /// Addresses of NATS servers, such as `nats://127.0.0.1:4222` or `tls://user:password@host`; one that answers is enough. User and password are the same for
    /// all; one without a password is a token.
    pub servers: Vec<String>,
    /// The fleet's name: small letters, digits and `-`, at most 32. Several fleets can be on the same servers.
    pub name: String,
    /// A file with credentials (JWT and seed), as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// A file with the certificates that servers' are checked by, besides the system's.
    pub tls_ca: Option<PathBuf>,
    /// Files with this process's own certificate and its key, where servers ask for one.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
    /// The JetStream domain of the fleet, where this process is behind a leaf node.
    pub domain: Option<String>,
    /// How many servers keep each thing, where the fleet's streams are not there yet; `None` for 3 in a cluster, else 1.
    pub replicas: Option<usize>,
    /// How many jobs may wait or run, where the fleet's streams are not there yet: further ones are refused.
    pub queue_limit: u32,
    /// How long after the last sign of life of a worker others take its jobs, where the fleet's streams are not there yet.
    /// It must be longer than servers take to choose a new leader, which is 4 to 9 s.
    pub lease: Duration,
}

impl FleetConfig {
    /// The fleet `toehold` on these servers.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            name: "toehold".to_owned(),
            credentials: None,
            tls_ca: None,
            tls_identity: None,
            domain: None,
            replicas: None,
            queue_limit: 1_000_000,
            lease: Duration::from_secs(30),
        }
    }
}
