use std::{
    num::{NonZeroU16, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Args;
use serde_json::json;
use std_host::fleet::{FleetWorker, WorkerConfig};

use super::{
    exit::Exit,
    fleet::{FleetArgs, Scratch, problem},
    logging, output,
    problem::Problem,
    serve,
    settings::FileArgs,
};

/// Jobs that a worker has at a time, unless it is told otherwise.
const SLOTS: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold worker --nats nats://127.0.0.1:4222 --trust KEY
  toehold worker --nats tls://a.example.com,tls://b.example.com --nats-credentials worker.creds --slots 500

Ctrl-C or SIGTERM stops it: its jobs go back into the queue, and others go on with them. What extensions may reach and read
stands in toehold.toml, as for `toehold serve`.")]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Jobs that it has at a time, those that sleep or wait included [default: 100]
    #[arg(long, value_name = "N", env = "TOEHOLD_SLOTS")]
    slots: Option<NonZeroUsize>,
    /// Threads that run jobs; without it as many as the machine has cores
    #[arg(long, value_name = "N", env = "TOEHOLD_WORKERS")]
    workers: Option<NonZeroU16>,
    /// What it is called; without it its process number
    #[arg(long, value_name = "NAME", env = "TOEHOLD_WORKER_NAME")]
    name: Option<String>,
    /// Run extensions that nobody has signed, too: whoever may write to the NATS servers then decides what runs here
    #[arg(long, env = "TOEHOLD_ALLOW_UNSIGNED")]
    allow_unsigned: bool,
    /// Print a line of JSON once it is ready
    #[arg(long)]
    json: bool,
}

pub(crate) fn worker(args: &WorkerArgs) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    match run(args) {
        Ok(()) => Exit::Completed,
        Err(problem) => problem.report(args.json),
    }
}

fn run(args: &WorkerArgs) -> Result<(), Problem> {
    let fleet = args.fleet.config();
    let fleet =
        fleet.ok_or_else(|| Problem::new("settings", "which fleet? Name its servers with --nats URL"))?;
    let mut settings = args.file.settings()?;
    settings.workers = args.workers.or(settings.workers);
    let scratch = Scratch::new()?;
    let mut manager = serve::config(scratch.path(), &settings)?;
    let slots = args.slots.map_or(SLOTS, NonZeroUsize::get);
    manager.running_jobs = slots;
    manager.grants.network = settings.network(&[])?;
    manager.grants.folders = settings.allow_dir.unwrap_or_default();
    manager.grants.write_folders = settings.allow_write_dir.unwrap_or_default();
    let name = args.name.clone().unwrap_or_else(|| std::process::id().to_string());
    let stop = stop_on_signal()?;
    let config = WorkerConfig { fleet, manager, name, slots };
    let worker = FleetWorker::start(config, args.allow_unsigned).map_err(|error| problem(&error))?;
    let status = worker.status();
    output::eprint(&format!("ready: worker {} with {slots} slots", status.name));
    if args.json {
        output::print(&json!({ "event": "ready", "worker": status }).to_string());
    }
    let failed = worker.wait(|| !stop.load(Ordering::Relaxed));
    worker.stop();
    match failed {
        Some(reason) => Err(Problem::new("fleet", reason)),
        None => {
            output::eprint("stopped; others go on with its jobs");
            Ok(())
        }
    }
}

/// Becomes true with the first Ctrl-C or SIGTERM; a second one ends the process at once, which harms nothing.
pub(super) fn stop_on_signal() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = stop.clone();
    let handler = move || {
        if pressed.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Cancelled as i32);
        }
        output::eprint("stopping; once more to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|error| Problem::new("failed", error))?;
    Ok(stop)
}
