//! A board as a worker of a fleet.

use std::{num::NonZeroUsize, sync::atomic::Ordering};

use clap::Args;
use serde_json::json;
use std_host::fleet::{BoardWorker, BoardWorkerConfig};

use super::{
    super::{
        exit::Exit,
        fleet::{FleetArgs, problem},
        output,
        problem::Problem,
        settings::FileArgs,
        worker::stop_on_signal,
    },
    BoardArgs,
};

/// Jobs that a board has at a time, unless it is told otherwise: most have memory for one.
const SLOTS: usize = 1;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold board --port /dev/ttyACM0 work --nats nats://127.0.0.1:4222 --trust KEY
  toehold board --port unix:/tmp/board.sock work --nats nats://127.0.0.1:4222 --allow-unsigned --slots 2

The board gets jobs from the fleet's queue, with the packages that it lacks, and what it stores of them goes into the fleet. A job
that it has no room for, or whose operations it lacks, goes to another worker. Ctrl-C or SIGTERM stops it: its jobs are fetched and go
back into the queue, and the board is left without them.")]
pub(super) struct WorkArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Jobs that the board has at a time [default: 1]
    #[arg(long, value_name = "N", env = "TOEHOLD_SLOTS")]
    slots: Option<NonZeroUsize>,
    /// What it is called; without it its port
    #[arg(long, value_name = "NAME", env = "TOEHOLD_WORKER_NAME")]
    name: Option<String>,
    /// Bring extensions that nobody has signed, too: whoever may write to the NATS servers then decides what runs on the board
    #[arg(long, env = "TOEHOLD_ALLOW_UNSIGNED")]
    allow_unsigned: bool,
}

pub(super) fn work(board: &BoardArgs, args: &WorkArgs) -> Exit {
    match run(board, args) {
        Ok(()) => Exit::Completed,
        Err(problem) => problem.report(board.json),
    }
}

fn run(board: &BoardArgs, args: &WorkArgs) -> Result<(), Problem> {
    let fleet = args.fleet.config();
    let fleet =
        fleet.ok_or_else(|| Problem::new("settings", "which fleet? Name its servers with --nats URL"))?;
    let port = board.port()?.clone();
    let config = BoardWorkerConfig {
        fleet,
        trust: args.file.settings()?.trust(),
        name: args.name.clone().unwrap_or_else(|| port.to_string()),
        slots: args.slots.map_or(SLOTS, NonZeroUsize::get),
        port,
        baud: board.baud,
        answer_time: board.answer_time,
    };
    let stop = stop_on_signal()?;
    let worker = BoardWorker::start(config, args.allow_unsigned).map_err(|error| problem(&error))?;
    let status = worker.status();
    output::eprint(&format!("ready: board {} with {} slots", status.name, status.slots));
    if board.json {
        output::print(&json!({ "event": "ready", "worker": status }).to_string());
    }
    let failed = worker.wait(|| !stop.load(Ordering::Relaxed));
    let is_clean = worker.stop();
    if let Some(reason) = failed {
        return Err(Problem::new("fleet", reason));
    }
    output::eprint(if is_clean {
        "stopped; others go on with its jobs, and the board has none of them"
    } else {
        "stopped; others go on with its jobs. The board may still have copies, which count for nothing: this command removes them \
         when it is started again"
    });
    Ok(())
}
