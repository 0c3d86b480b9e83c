use clap::Args;
use serde_json::{Value, json};
use std_host::manager::JobStatus;
use toehold::{JobState, Uuid};

use super::{
    super::{
        client::{Client, Need},
        exit::Exit,
        output::print,
        problem::Problem,
    },
    Common, id,
    wait::{self, Until},
};

#[derive(Debug, Args)]
pub(crate) struct SteerArgs {
    /// The jobs' ids, or their first digits
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(super) steer: SteerArgs,
    /// Come back once the wish is durable, before the jobs stand still
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn pause(args: &PauseArgs) -> Result<Exit, Problem> {
    let until = (!args.no_wait).then_some(Until::Stopped);
    each(&args.steer, |client, job| steer(client, job, "pause", until))
}

pub(super) fn resume(args: &SteerArgs) -> Result<Exit, Problem> {
    each(args, |client, job| steer(client, job, "resume", None))
}

pub(super) fn cancel(args: &SteerArgs) -> Result<Exit, Problem> {
    each(args, |client, job| steer(client, job, "cancel", Some(Until::Over)))
}

/// Removes all of them; one that refuses keeps the others from nothing.
pub(super) fn remove(args: &SteerArgs) -> Result<Exit, Problem> {
    let client = args.common.open(Need::Write)?;
    let mut exit = Exit::Completed;
    let mut removed = Vec::new();
    for id in id::find_all(&client, &args.ids)? {
        match client.delete(&format!("/jobs/{id}")) {
            Ok(()) => removed.push(id),
            Err(problem) if args.ids.len() == 1 => return Err(problem),
            Err(problem) => exit = problem.report(false),
        }
    }
    if args.common.json {
        print(&json!({ "removed": removed }).to_string());
    } else {
        removed.iter().for_each(|id| print(&format!("removed {id}")));
    }
    Ok(exit)
}

/// Asks a job for something, and waits until that has come about.
fn steer(client: &Client, job: Uuid, wish: &str, until: Option<Until>) -> Result<JobStatus, Problem> {
    let status: JobStatus = client.post(&format!("/jobs/{job}/{wish}"), &Value::Null)?;
    match until {
        // Where nobody runs it, it does not get any further.
        Some(until) if client.is_served() => {
            let (_, mut stands) = wait::until_then(client, &[job], until, None)?;
            Ok(stands.pop().unwrap_or(status))
        }
        _ => Ok(status),
    }
}

/// Does something with each job. One that refuses keeps the others from nothing.
fn each(
    args: &SteerArgs,
    steer: impl Fn(&Client, Uuid) -> Result<JobStatus, Problem>,
) -> Result<Exit, Problem> {
    let client = args.common.open(Need::Write)?;
    let mut exit = Exit::Completed;
    let mut statuses = Vec::new();
    for id in id::find_all(&client, &args.ids)? {
        match steer(&client, id) {
            Ok(status) => statuses.push(status),
            Err(problem) if args.ids.len() == 1 => return Err(problem),
            Err(problem) => exit = problem.report(false),
        }
    }
    if args.common.json {
        print(&json!(statuses).to_string());
    } else {
        for status in &statuses {
            let asked = status.wanted.as_ref().map(|wanted| format!(", asked to {wanted}"));
            print(&format!("{}{}", wait::line(status), asked.unwrap_or_default()));
        }
        if !client.is_served() && statuses.iter().any(|status| status.state == JobState::Queued) {
            let data = client.data().display();
            super::super::output::eprint(&format!("what is queued in {data} runs once `toehold serve` does"));
        }
    }
    Ok(exit)
}
