//! Which fleet a command is about, if it is about one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use std_host::{
    fleet::{FleetClient, FleetConfig, WorkerError},
    manager::ManagerConfig,
};
use toehold::Uuid;

use super::{client::make_private, problem::Problem};

/// A fleet, where a command is not about a data folder.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// NATS servers of a fleet: the command is about that, and not about a data folder; several are separated by commas
    #[arg(long, value_name = "URL", env = "TOEHOLD_NATS", value_delimiter = ',')]
    pub(crate) nats: Vec<String>,
    #[command(flatten)]
    rest: RestArgs,
}

/// What else there is to say of a fleet.
#[derive(Debug, Args)]
struct RestArgs {
    /// The fleet's name, where there are several on the same servers [default: toehold]
    #[arg(long, value_name = "NAME", env = "TOEHOLD_FLEET", requires = "nats")]
    fleet: Option<String>,
    /// A file with credentials for the NATS servers, as `nsc` writes it
    #[arg(long, value_name = "FILE", env = "TOEHOLD_NATS_CREDENTIALS", requires = "nats")]
    nats_credentials: Option<PathBuf>,
    /// A file with certificates that those of the NATS servers are checked by, besides the system's
    #[arg(long, value_name = "FILE", env = "TOEHOLD_NATS_CA", requires = "nats")]
    nats_ca: Option<PathBuf>,
    /// A file with this host's certificate for the NATS servers
    #[arg(long, value_name = "FILE", env = "TOEHOLD_NATS_CERT", requires_all = ["nats", "nats_key"])]
    nats_cert: Option<PathBuf>,
    /// A file with the key of that certificate
    #[arg(long, value_name = "FILE", env = "TOEHOLD_NATS_KEY", requires_all = ["nats", "nats_cert"])]
    nats_key: Option<PathBuf>,
    /// The JetStream domain of the fleet, for a host behind a leaf node
    #[arg(long, value_name = "NAME", env = "TOEHOLD_NATS_DOMAIN", requires = "nats")]
    nats_domain: Option<String>,
    /// How many NATS servers keep each thing, where the fleet is new [default: 3 in a cluster, else 1]
    #[arg(long, value_name = "N", env = "TOEHOLD_NATS_REPLICAS", requires = "nats")]
    nats_replicas: Option<usize>,
    /// How long after the last sign of life of a worker others take its jobs, where the fleet is new [default: 30s]
    #[arg(long, value_name = "TIME", env = "TOEHOLD_LEASE", requires = "nats", value_parser = humantime::parse_duration)]
    lease: Option<std::time::Duration>,
    /// How many jobs may wait or run, where the fleet is new [default: 1000000]
    #[arg(long, value_name = "N", env = "TOEHOLD_QUEUE_LIMIT", requires = "nats")]
    queue_limit: Option<u32>,
}

impl FleetArgs {
    /// The fleet, if one was named.
    pub(crate) fn config(&self) -> Option<FleetConfig> {
        if self.nats.is_empty() {
            return None;
        }
        let rest = &self.rest;
        let default = FleetConfig::new(self.nats.iter().cloned());
        Some(FleetConfig {
            name: rest.fleet.clone().unwrap_or(default.name),
            credentials: rest.nats_credentials.clone(),
            tls_ca: rest.nats_ca.clone(),
            tls_identity: rest.nats_cert.clone().zip(rest.nats_key.clone()),
            domain: rest.nats_domain.clone(),
            replicas: rest.nats_replicas,
            queue_limit: rest.queue_limit.unwrap_or(default.queue_limit),
            lease: rest.lease.unwrap_or(default.lease),
            servers: default.servers,
        })
    }
}

/// A folder for what a process of a fleet keeps for itself, which goes with it.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self, Problem> {
        let path = std::env::temp_dir().join(format!("toehold-{}", Uuid::new_v4().simple()));
        make_private(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("{}: is left behind: {error}", self.0.display());
        }
    }
}

/// A fleet that a command asks, and the folder for that.
#[derive(Debug)]
pub(crate) struct Fleet {
    // In this order: first it lets go of the folder.
    pub(crate) client: FleetClient,
    pub(crate) scratch: Scratch,
}

impl Fleet {
    pub(crate) fn open(fleet: &FleetConfig, config: &ManagerConfig) -> Result<Self, Problem> {
        let scratch = Scratch::new()?;
        let config = ManagerConfig { data: scratch.path().to_owned(), ..config.clone() };
        let client = FleetClient::open(fleet, config).map_err(|error| problem(&error))?;
        Ok(Self { client, scratch })
    }
}

/// Why a fleet could not be asked.
pub(crate) fn problem(error: &WorkerError) -> Problem {
    match error {
        WorkerError::NoTrust => Problem::new(
            "settings",
            format!(
                "{error}. --trust KEY does the one (`toehold key show FILE` prints a key), --allow-unsigned the other"
            ),
        ),
        error => Problem::new("fleet", error),
    }
}
