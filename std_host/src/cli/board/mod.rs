//! Boards at a serial device or a socket: looked at, steered, and jobs carried there and back.

mod carry;
mod dispatch;
mod fetch;
mod files;
mod follow;
mod send;
mod show;
#[cfg(feature = "nats")]
mod work;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std_host::board::{Board, BoardError, Port, Record};
use toehold::console::Command;

use super::{exit::Exit, logging, output::print, problem::Problem, settings::DataArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold board --port /dev/ttyACM0 info
  toehold board --port unix:/tmp/board.sock install ./test-extension
  toehold board --port /dev/ttyACM0 dispatch test-extension:counter --state '{\"target\": 1000}' --follow
  toehold board --port /dev/ttyACM0 fetch 3f2a          # the job goes on here
  toehold board --port /dev/ttyACM0 send 3f2a           # the job goes on there

Exit codes are those of `toehold job`; 7 where the board refuses something or does not answer.")]
pub(crate) struct BoardArgs {
    /// Where the board is: a serial device such as /dev/ttyACM0, unix:PATH, or tcp:HOST:PORT
    #[arg(long, value_name = "PORT", env = "TOEHOLD_PORT", global = true)]
    port: Option<Port>,
    /// Bits a second of a serial device
    #[arg(long, value_name = "N", default_value_t = 115_200, global = true)]
    baud: u32,
    /// How long an answer may take; twelve times as long where the board has to load a module or to write much
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration, global = true)]
    answer_time: Duration,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: BoardCommand,
}

#[derive(Debug, Subcommand)]
enum BoardCommand {
    /// Show the firmware, and how much memory and flash there is
    Info,
    /// List extensions and jobs
    List,
    /// Install an extension: its package, or its folder, which is packed
    Install(files::InstallArgs),
    /// Remove a job that is over, or an extension that has no job
    Remove {
        /// The job's id or its first characters, or the extension's id
        #[arg(value_name = "JOB|EXTENSION")]
        name: String,
    },
    /// Dispatch a job
    Dispatch(dispatch::DispatchArgs),
    /// Show how a job stands
    #[command(visible_alias = "show")]
    Status(JobArg),
    /// Let a job stand still, until it is resumed
    Pause(JobArg),
    /// Let a paused job go on
    Resume(JobArg),
    /// Stop a job for good
    Cancel(JobArg),
    /// Wait until a job is over, and end as it did
    Wait(JobArg),
    /// Show what happens to all jobs, until Ctrl-C
    #[command(visible_alias = "events")]
    Follow,
    /// Write all there is of a job into a file
    Export(files::ExportArgs),
    /// Have the board take over a job from a file that `export` wrote
    Import(files::ImportArgs),
    /// Carry a job from the board to this machine's data folder, where it goes on
    Fetch(CarryArgs),
    /// Carry a job from this machine's data folder to the board, where it goes on
    Send(CarryArgs),
    /// Have the board run jobs of a fleet, until this is stopped
    #[cfg(feature = "nats")]
    Work(Box<work::WorkArgs>),
}

#[derive(Debug, Args)]
struct JobArg {
    /// The job's id, or the first characters of it
    #[arg(value_name = "JOB")]
    job: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The job is paused where it is, copied, removed where it was, and resumed where it is then. Whatever goes wrong in between,
it runs at one end at most, and the same command goes on from there.")]
struct CarryArgs {
    /// The job's id, or the first characters of it
    #[arg(value_name = "JOB")]
    job: String,
    /// Leave it paused
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    data: DataArgs,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    fleet: super::fleet::FleetArgs,
}

/// A board, and how to talk of it.
struct Desk {
    board: Board,
    json: bool,
}

pub(crate) fn board(args: &BoardArgs) -> Exit {
    let bar = super::progress::bar();
    logging::start(log::LevelFilter::Warn, bar.as_ref());
    #[cfg(feature = "nats")]
    if let BoardCommand::Work(work) = &args.command {
        return work::work(args, work);
    }
    let done = args.open().and_then(|mut desk| match &args.command {
        BoardCommand::Info => desk.info(),
        BoardCommand::List => desk.list(),
        BoardCommand::Install(args) => files::install(&mut desk, args),
        BoardCommand::Remove { name } => desk.remove(name),
        BoardCommand::Dispatch(args) => dispatch::dispatch(&mut desk, args, bar),
        BoardCommand::Status(JobArg { job }) => desk.status(job),
        BoardCommand::Pause(JobArg { job }) => desk.steer(job, |id| Command::Pause(id)),
        BoardCommand::Resume(JobArg { job }) => desk.steer(job, |id| Command::Resume(id)),
        BoardCommand::Cancel(JobArg { job }) => desk.steer(job, |id| Command::Cancel(id)),
        BoardCommand::Wait(JobArg { job }) => follow::wait(&mut desk, job, bar),
        BoardCommand::Follow => follow::all(&mut desk),
        BoardCommand::Export(args) => files::export(&mut desk, args),
        BoardCommand::Import(args) => files::import(&mut desk, args),
        BoardCommand::Fetch(args) => fetch::fetch(&mut desk, args),
        BoardCommand::Send(args) => send::send(&mut desk, args),
        // It opens the board by itself, and again whenever the link breaks.
        #[cfg(feature = "nats")]
        BoardCommand::Work(_) => Ok(Exit::Completed),
    });
    done.unwrap_or_else(|problem| problem.report(args.json))
}

impl BoardArgs {
    fn port(&self) -> Result<&Port, Problem> {
        let message = "name the board's port with --port, such as --port /dev/ttyACM0, or in TOEHOLD_PORT";
        self.port.as_ref().ok_or_else(|| Problem::new("bad_request", message))
    }

    fn open(&self) -> Result<Desk, Problem> {
        let port = self.port()?;
        let link = port.open(self.baud).map_err(|error| Problem::new("link", error))?;
        let board = Board::new(link, &port.to_string(), self.answer_time)?;
        Ok(Desk { board, json: self.json })
    }
}

impl Desk {
    fn print(&self, value: &Value, for_people: &str) {
        print(&if self.json { value.to_string() } else { for_people.to_owned() });
    }

    fn info(&mut self) -> Result<Exit, Problem> {
        let answer = self.board.ask(&Command::Info)?;
        self.print(&show::to_json(&answer.fields), &show::info(&answer.fields));
        Ok(Exit::Completed)
    }

    fn list(&mut self) -> Result<Exit, Problem> {
        let answer = self.board.ask(&Command::List)?;
        let of = |kind: &str| answer.items.iter().filter(|item| item.kind() == kind).collect::<Vec<_>>();
        let (extensions, jobs) = (of("extension"), of("job"));
        let value = json!({
            "extensions": extensions.iter().map(|item| show::to_json(item)).collect::<Vec<_>>(),
            "jobs": jobs.iter().map(|item| show::to_json(item)).collect::<Vec<_>>(),
        });
        self.print(&value, &show::list(&extensions, &jobs));
        Ok(Exit::Completed)
    }

    fn remove(&mut self, name: &str) -> Result<Exit, Problem> {
        self.board.remove(name)?;
        self.print(&json!({ "removed": name }), &format!("removed {}", super::logging::printable(name)));
        Ok(Exit::Completed)
    }

    fn status(&mut self, job: &str) -> Result<Exit, Problem> {
        let found = self.job(job)?;
        self.print(&show::to_json(&found), &show::job(&found));
        Ok(Exit::Completed)
    }

    /// Asks something of a job, and shows how it stands then.
    fn steer(&mut self, name: &str, command: for<'a> fn(&'a str) -> Command<'a>) -> Result<Exit, Problem> {
        let found = self.job(name)?;
        let id = found.get("id").unwrap_or(name);
        self.board.steer(&command(id))?;
        let found = self.job(id)?;
        self.print(&show::to_json(&found), &show::line(&found));
        Ok(Exit::Completed)
    }

    /// How a job stands.
    fn job(&mut self, name: &str) -> Result<Record, Problem> {
        let answer = self.board.ask(&Command::Status(name))?;
        answer.items.into_iter().find(|item| item.kind() == "job").ok_or_else(|| {
            Problem::new("failed", "the board's answer has no job; is it of another version of Toehold?")
        })
    }

    /// The same, if there is one.
    fn find(&mut self, name: &str) -> Result<Option<Record>, Problem> {
        match self.job(name) {
            Ok(job) => Ok(Some(job)),
            Err(problem) if problem.code == "unknown_job" => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

impl From<BoardError> for Problem {
    fn from(error: BoardError) -> Self {
        let code = match &error {
            BoardError::Refused { code, .. } => code.clone().into(),
            BoardError::NoAnswer { .. } => "no_answer".into(),
            BoardError::Reset { .. } => "board_reset".into(),
            BoardError::TooLong { .. } | BoardError::TooLarge { .. } => "too_large".into(),
            _ => "link".into(),
        };
        Self { code, message: error.to_string() }
    }
}
