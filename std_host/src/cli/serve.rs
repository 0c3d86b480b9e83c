#[cfg(unix)]
mod server;
mod web;

use std::{
    num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use std_host::{manager::ManagerConfig, operations::NetworkRule};

use super::{
    exit::Exit,
    logging,
    problem::Problem,
    settings::{DataArgs, Settings},
};
#[cfg(unix)]
use server::run;
pub(crate) use web::Listen;
use web::Web;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold serve
  toehold serve --data /var/lib/toehold --workers 4 --allow-dir /srv/texts
  toehold serve --listen 0.0.0.0:8443 --token-file token --tls-cert cert.pem --tls-key key.pem

Ctrl-C or SIGTERM stops it; its jobs go on at the next start. The other commands, such as `toehold job dispatch`, find it
by its data folder.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    fleet: super::fleet::FleetArgs,
    /// Threads that run jobs; without it as many as the machine has cores
    #[arg(long, value_name = "N", env = "TOEHOLD_WORKERS")]
    workers: Option<NonZeroU16>,
    /// Jobs that run at a time, those that sleep or wait included [default: 10000]
    #[arg(long, value_name = "N", env = "TOEHOLD_RUNNING_JOBS")]
    running_jobs: Option<NonZeroUsize>,
    /// Fuel of a slice: smaller ones pause sooner, larger ones cost less [default: 100000]
    #[arg(long, value_name = "N", env = "TOEHOLD_SLICE")]
    slice: Option<NonZeroU64>,
    /// Attempts that a job has, unless it is dispatched with another number [default: 3]
    #[arg(long, value_name = "N", env = "TOEHOLD_ATTEMPTS")]
    attempts: Option<NonZeroU32>,
    /// Bytes that the database may have, at least 1048576; without it what the disk holds
    #[arg(long, value_name = "BYTES", env = "TOEHOLD_MAX_STORE_BYTES")]
    max_store_bytes: Option<NonZeroU64>,
    /// How many jobs that are over are kept [default: 10000]
    #[arg(long, value_name = "N", env = "TOEHOLD_KEEP_JOBS")]
    keep_jobs: Option<u64>,
    /// For how long jobs that are over are kept [default: 30days]
    #[arg(long, value_name = "TIME", env = "TOEHOLD_KEEP_FOR", value_parser = humantime::parse_duration)]
    keep_for: Option<Duration>,
    /// A folder that every extension may read by its absolute path; can be given again [env: TOEHOLD_ALLOW_DIR]
    #[arg(long, value_name = "DIR")]
    allow_dir: Vec<PathBuf>,
    /// A folder that extensions whose manifests name it, or one inside it, may read and write; can be given again [env:
    /// TOEHOLD_ALLOW_WRITE_DIR]
    #[arg(long, value_name = "DIR")]
    allow_write_dir: Vec<PathBuf>,
    /// A host that extensions may reach whose manifests ask for it, such as api.example.com, *.example.com, or
    /// http://127.0.0.1:8080; or a network of addresses that are not public, such as 10.0.0.0/8; can be given again
    #[arg(long, value_name = "HOST", env = "TOEHOLD_ALLOW_NET", value_delimiter = ',')]
    allow_net: Vec<NetworkRule>,
    #[command(flatten)]
    web: web::WebArgs,
    /// Print a line of JSON once it is ready
    #[arg(long)]
    json: bool,
}

pub(crate) fn serve(args: &ServeArgs) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    let served = args.config().and_then(|(config, web)| {
        #[cfg(all(unix, feature = "nats"))]
        if let Some(fleet) = args.fleet.config() {
            return server::run_for_fleet(&fleet, &config, web, args.json);
        }
        run(&config, web, args.json)
    });
    match served {
        Ok(()) => Exit::Completed,
        Err(problem) => problem.report(args.json),
    }
}

/// Bytes that a database may be limited to, at least.
const SMALLEST_STORE: u64 = 1 << 20;

/// How a data folder's manager is set up, by a settings file alone.
pub(crate) fn config(data: &Path, settings: &Settings) -> Result<ManagerConfig, Problem> {
    let mut config = ManagerConfig::new(data);
    config.trust = settings.trust();
    let Settings { workers, running_jobs, slice, attempts, max_store_bytes, keep_jobs, keep_for, .. } =
        settings;
    if let Some(workers) = workers {
        config.workers = workers.get().into();
    }
    if let Some(running_jobs) = running_jobs {
        config.running_jobs = running_jobs.get();
    }
    if let Some(slice) = slice {
        config.slice = slice.get();
    }
    if let Some(attempts) = attempts {
        config.attempts = attempts.get();
    }
    if let Some(bytes) = max_store_bytes {
        if bytes.get() < SMALLEST_STORE {
            let message = format!(
                "max_store_bytes is {bytes}; it must be at least {SMALLEST_STORE}, for nothing fits into less"
            );
            return Err(Problem::new("settings", message));
        }
        config.store.max_bytes = Some(bytes.get());
    }
    if let Some(count) = keep_jobs {
        config.retention.keep_count = Some(*count);
    }
    if let Some(time) = keep_for {
        config.retention.keep_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
    Ok(config)
}

impl ServeArgs {
    fn config(&self) -> Result<(ManagerConfig, Option<Web>), Problem> {
        let mut settings = self.data.settings()?;
        let data = self.data.folder(&settings)?;
        settings.workers = self.workers.or(settings.workers);
        settings.running_jobs = self.running_jobs.or(settings.running_jobs);
        settings.slice = self.slice.or(settings.slice);
        settings.attempts = self.attempts.or(settings.attempts);
        settings.max_store_bytes = self.max_store_bytes.or(settings.max_store_bytes);
        settings.keep_jobs = self.keep_jobs.or(settings.keep_jobs);
        settings.keep_for = self.keep_for.or(settings.keep_for);
        let mut config = config(&data, &settings)?;
        let web = self.web.web(&settings)?;
        // Only where jobs run. With one that is not there, no extension could be loaded.
        config.grants.network = settings.network(&self.allow_net)?;
        let read = folders(&self.allow_dir, "TOEHOLD_ALLOW_DIR")?.or(settings.allow_dir);
        config.grants.folders = usable("allow-dir, allow_dir", read)?;
        let write = folders(&self.allow_write_dir, "TOEHOLD_ALLOW_WRITE_DIR")?.or(settings.allow_write_dir);
        config.grants.write_folders = usable("allow-write-dir, allow_write_dir", write)?;
        not_ours(&config)?;
        Ok((config, web))
    }
}

/// The folders of the flags, else those of the variable, which separates them as `PATH` does.
fn folders(given: &[PathBuf], variable: &str) -> Result<Option<Vec<PathBuf>>, Problem> {
    let folders: Vec<PathBuf> = match std::env::var_os(variable) {
        Some(folders) if given.is_empty() => {
            std::env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty()).collect()
        }
        _ => given.to_vec(),
    };
    let absolute = |path: &PathBuf| {
        std::path::absolute(path)
            .map_err(|error| Problem::new("settings", format!("{}: {error}", path.display())))
    };
    let folders = folders.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(folders).filter(|folders| !folders.is_empty()))
}

/// Refuses a folder that is not there: with it, no extension could be loaded.
fn usable(setting: &str, folders: Option<Vec<PathBuf>>) -> Result<Vec<PathBuf>, Problem> {
    let folders = folders.unwrap_or_default();
    for folder in &folders {
        let found = std::fs::metadata(folder).map(|found| found.is_dir());
        let wrong = match found {
            Ok(true) => continue,
            Ok(false) => "is no folder".to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(Problem::new("settings", format!("--{setting}: {}: {wrong}", folder.display())));
    }
    Ok(folders)
}

/// Refuses to let anybody write into the data folder: who may could change extensions and jobs.
fn not_ours(config: &ManagerConfig) -> Result<(), Problem> {
    // A data folder that is not there yet is made, and protected then.
    let Ok(data) = std::fs::canonicalize(&config.data) else { return Ok(()) };
    let inside = |folder: &&PathBuf| std::fs::canonicalize(folder).is_ok_and(|real| real.starts_with(&data));
    let Some(folder) = config.grants.write_folders.iter().find(inside) else { return Ok(()) };
    let message = format!(
        "--allow-write-dir, allow_write_dir: {}: lies in the data folder, where no extension may write; name another",
        folder.display()
    );
    Err(Problem::new("settings", message))
}

#[cfg(not(unix))]
fn run(_config: &ManagerConfig, _web: Option<Web>, _json: bool) -> Result<(), Problem> {
    let message = "`toehold serve` needs Unix sockets, which it does not have on this system; jobs run with \
                   `toehold run`, or in an application that has a manager of its own (crate std_host)";
    Err(Problem::new("failed", message))
}
