use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use serde_json::value::RawValue;
use std_host::manager::JobStatus;
use toehold::{Limits, Uuid};

use super::{
    super::{
        client::{Client, Need},
        exit::Exit,
        input,
        output::{eprint, print},
        problem::Problem,
    },
    Common, history, wait,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job dispatch test-extension:counter --state '{\"target\": 10}'
  toehold job dispatch some-extension:job --state @state.json --priority high --follow
  id=$(toehold job dispatch test-extension:counter) && toehold job wait $id

Prints the job's id. Without a `toehold serve` on the data folder the job waits there until one runs. With --wait and
--follow the exit code is that of `toehold job wait`; Ctrl-C leaves the job as it is.")]
pub(crate) struct DispatchArgs {
    /// The job: an extension's id, a colon, the job's name
    #[arg(value_name = "EXTENSION:JOB")]
    job: String,
    /// What people write who leave out the colon.
    #[arg(hide = true)]
    job_apart: Option<String>,
    /// The state that the job starts from; without it the extension's default
    #[arg(long, value_name = "JSON|@FILE")]
    state: Option<String>,
    /// The job's id; without it a random one. Two jobs never have the same
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// The library that the job works on
    #[arg(long, value_name = "UUID")]
    library: Option<Uuid>,
    /// Its share of the host, and its place in the queue
    #[arg(long, value_parser = PossibleValuesParser::new(["low", "normal", "high"]), default_value = "normal")]
    priority: String,
    /// Attempts that it has; without it as many as `toehold serve` gives
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempts: Option<u32>,
    /// Wait until it is over
    #[arg(long, conflicts_with = "follow")]
    wait: bool,
    /// Show what happens to it until it is over
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Serialize)]
struct NewJob<'a> {
    job: &'a str,
    state: Option<Box<RawValue>>,
    id: Uuid,
    library: Option<Uuid>,
    priority: &'a str,
    attempts: Option<u32>,
}

pub(super) fn dispatch(args: &DispatchArgs) -> Result<Exit, Problem> {
    let json = args.common.json;
    if let Some(apart) = &args.job_apart {
        let text = format!("a job is one word, with a colon: write {}:{apart}", args.job);
        return Err(Problem::new("bad_request", text));
    }
    let client = args.common.open(Need::Write)?;
    if (args.wait || args.follow) && !client.is_served() {
        return Err(client.not_served("this one would wait for ever"));
    }
    let state = match &args.state {
        Some(text) => Some(state(text)?),
        None => None,
    };
    // Known before it is dispatched, so that it can be asked for again.
    let id = args.id.unwrap_or_else(Uuid::new_v4);
    let new = NewJob {
        job: &args.job,
        state,
        id,
        library: args.library,
        priority: &args.priority,
        attempts: args.attempts,
    };
    let (client, status) = send(&args.common, client, &new)?;
    if args.follow {
        if !json {
            print(&id.to_string());
        }
        history::follow_events(&client, id, 0, json)?;
        return wait::end(&client, &[id], None).map(|(exit, _)| exit);
    }
    if args.wait {
        let (exit, ended) = wait::end(&client, &[id], None)?;
        for status in ended {
            print(&if json { to_json(&status) } else { wait::line(&status) });
        }
        return Ok(exit);
    }
    print(&if json { to_json(&status) } else { id.to_string() });
    if !client.is_served() {
        eprint(&format!("it is queued in {}, and runs once `toehold serve` does", client.data().display()));
    }
    Ok(Exit::Completed)
}

/// Dispatches a job. Where the server goes before it has answered, whoever has the folder then is asked for the same job: it
/// is there once.
fn send(common: &Common, client: Client, new: &NewJob<'_>) -> Result<(Client, JobStatus), Problem> {
    match client.post("/jobs", new) {
        Ok(status) => Ok((client, status)),
        Err(problem) if problem.code == "no_serve" || problem.code == "closing" => {
            let client = common.open(Need::Write)?;
            let status = match client.post("/jobs", new) {
                Err(problem) if problem.code == "job_exists" => client.get(&format!("/jobs/{}", new.id)),
                answer => answer,
            };
            status.map(|status| (client, status))
        }
        Err(problem) => {
            let extension = new.job.split_once(':').map_or(new.job, |(extension, _)| extension);
            Err(client.about_extension(extension, problem))
        }
    }
}

/// The state as it was given. One that is too large is refused here, since a server would not read it to its end.
fn state(text: &str) -> Result<Box<RawValue>, Problem> {
    let state = input::raw_json("--state", text).map_err(|message| Problem::new("bad_request", message))?;
    let (bytes, limit) = (state.get().len(), Limits::default().state_bytes);
    if bytes > limit {
        let message = format!("--state: the state has {bytes} bytes, the limit is {limit}");
        return Err(Problem::new("not_dispatched", message));
    }
    Ok(state)
}

/// How a job stands, on a line.
pub(super) fn to_json(status: &JobStatus) -> String {
    // A status has nothing that JSON can't have.
    serde_json::to_string(status).unwrap_or_default()
}
