use clap::{Args, builder::PossibleValuesParser};
use indicatif::ProgressBar;
use toehold::{Priority, Uuid, console::Command};

use super::{
    super::{exit::Exit, input, output::print, problem::Problem},
    Desk, follow, show,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the job's id. With --follow the exit code is that of `toehold job wait`; Ctrl-C leaves the job as it is.")]
pub(super) struct DispatchArgs {
    /// The job: an extension's id, a colon, the job's name
    #[arg(value_name = "EXTENSION:JOB")]
    job: String,
    /// The state that the job starts from; without it the extension's default
    #[arg(long, value_name = "JSON|@FILE")]
    state: Option<String>,
    /// The job's id; without it a random one. Where the board has one with this id, nothing is dispatched
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Its share of the board, and its place in the queue
    #[arg(long, value_parser = PossibleValuesParser::new(["low", "normal", "high"]), default_value = "normal")]
    priority: String,
    /// Show what happens to it until it is over
    #[arg(long)]
    follow: bool,
}

pub(super) fn dispatch(
    desk: &mut Desk,
    args: &DispatchArgs,
    bar: Option<ProgressBar>,
) -> Result<Exit, Problem> {
    let state = match &args.state {
        // On one line, whatever it was on.
        Some(text) => {
            input::json("--state", text).map_err(|message| Problem::new("bad_request", message))?.to_string()
        }
        None => String::new(),
    };
    if !args.job.contains(':') || args.job.contains(char::is_whitespace) {
        let message =
            format!("{:?} names no job; write EXTENSION:JOB, such as test-extension:counter", args.job);
        return Err(Problem::new("bad_request", message));
    }
    // Known before it is dispatched, so that a board whose answer got lost is asked for the same job again.
    let id = args.id.unwrap_or_else(Uuid::new_v4);
    let priority = Priority::from_name(&args.priority).unwrap_or_default();
    if args.follow {
        desk.board.ask(&Command::Events(true))?;
    }
    desk.board
        .ask(&Command::Run { job: &args.job, id: Some(id), priority, state: &state })
        .map_err(|error| super::carry::about_extension(desk.board.port(), error))?;
    if args.follow {
        if !desk.json {
            print(&id.to_string());
        }
        return follow::job(desk, &id.to_string(), bar);
    }
    if desk.json {
        print(&show::to_json(&desk.job(&id.to_string())?).to_string());
    } else {
        print(&id.to_string());
    }
    Ok(Exit::Completed)
}
