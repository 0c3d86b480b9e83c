use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use std_host::manager::JobStatus;
use toehold::{JobState, Uuid};

use super::{
    super::{
        client::{ATTEMPTS, BETWEEN, Client, Need},
        exit::Exit,
        logging::printable,
        output::print,
        problem::Problem,
    },
    Common, id,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 completed, 1 failed by its own account, 3 ended by the host, 4 cancelled, 5 paused with --stopped, 6 over
--timeout, 7 not waited: there is no such job, or nobody runs it. With several jobs, that of the first one in the order given
that has not completed.")]
pub(crate) struct WaitArgs {
    /// The jobs' ids, or their first digits
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Come back for a job that is paused, too
    #[arg(long)]
    stopped: bool,
    /// Wait no longer than this, such as 500ms, 30s or 2min; the jobs go on
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How long a request lasts at most.
const REQUEST: Duration = Duration::from_secs(30);

/// Until when to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Over,
    Stopped,
}

pub(super) fn wait(args: &WaitArgs) -> Result<Exit, Problem> {
    let client = args.common.open(Need::Read)?;
    let ids = id::find_all(&client, &args.ids)?;
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let until = if args.stopped { Until::Stopped } else { Until::Over };
    let (exit, statuses) = until_then(&client, &ids, until, deadline)?;
    if args.common.json {
        print(&json!(statuses).to_string());
    } else {
        statuses.iter().for_each(|status| print(&line(status)));
    }
    Ok(exit)
}

/// Waits until jobs are over.
pub(super) fn end(
    client: &Client,
    ids: &[Uuid],
    deadline: Option<Instant>,
) -> Result<(Exit, Vec<JobStatus>), Problem> {
    until_then(client, ids, Until::Over, deadline)
}

/// Waits for jobs, or until `deadline`. Gives how they stand, and the exit code for that.
pub(crate) fn until_then(
    client: &Client,
    ids: &[Uuid],
    until: Until,
    deadline: Option<Instant>,
) -> Result<(Exit, Vec<JobStatus>), Problem> {
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(one(client, *id, until, deadline)?);
    }
    let exits = statuses.iter().map(|status| exit(status, until));
    let exit = exits.into_iter().find(|exit| *exit != Exit::Completed).unwrap_or(Exit::Completed);
    Ok((exit, statuses))
}

fn one(client: &Client, id: Uuid, until: Until, deadline: Option<Instant>) -> Result<JobStatus, Problem> {
    let name = if until == Until::Over { "over" } else { "stopped" };
    loop {
        let left = deadline.map_or(REQUEST, |deadline| deadline.saturating_duration_since(Instant::now()));
        let ms = left.min(REQUEST).as_millis();
        let path = format!("/jobs/{id}/wait?until={name}&timeout_ms={ms}");
        let status: JobStatus = again(client, || client.get(&path))?;
        if stands(&status, until) || (deadline.is_some() && left.is_zero()) {
            return Ok(status);
        }
    }
}

/// Asks again for a while where the server has gone: another one may be about to take its place.
pub(super) fn again<T>(client: &Client, ask: impl Fn() -> Result<T, Problem>) -> Result<T, Problem> {
    for _ in 0..ATTEMPTS {
        match ask() {
            Err(problem) if problem.code == "no_serve" || problem.code == "closing" => {
                std::thread::sleep(BETWEEN);
            }
            asked => return asked,
        }
    }
    Err(client.gone())
}

fn stands(status: &JobStatus, until: Until) -> bool {
    status.state.is_final() || (until == Until::Stopped && status.state == JobState::Paused)
}

/// How the command ends for a job.
fn exit(status: &JobStatus, until: Until) -> Exit {
    match status.state {
        JobState::Completed => Exit::Completed,
        JobState::Cancelled => Exit::Cancelled,
        JobState::Failed if status.last_words.as_ref().is_some_and(|last| !last.fault) => Exit::Failed,
        JobState::Failed => Exit::Fault,
        JobState::Paused if until == Until::Stopped => Exit::Paused,
        _ => Exit::TimedOut,
    }
}

/// A job in a line.
pub(crate) fn line(status: &JobStatus) -> String {
    let reason = status.reason.as_ref().map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    format!("{}  {}  {}{reason}", status.job_id, printable(&status.job), status.state)
}
