use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use clap::{Args, builder::PossibleValuesParser};
use serde_json::json;
use std_host::manager::JobStatus;
use toehold::JobState;

use super::{
    super::{
        client::{Client, Need, escaped},
        exit::Exit,
        logging::printable,
        output::{eprint, print, try_print},
        problem::Problem,
        table::{bytes, span, table},
    },
    Common,
    id::{Jobs, short},
    wait,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job list
  toehold job list --state running --state paused
  toehold job list --extension test-extension --limit 1000 --json
  toehold job list --follow

With --follow the list is shown anew whenever it has changed, until Ctrl-C; with --json as a line each time.")]
pub(crate) struct ListArgs {
    /// Only jobs in this state: queued, running, paused, completed, failed or cancelled; can be given again
    #[arg(long, value_parser = PossibleValuesParser::new(JobState::ALL.map(JobState::name)), hide_possible_values = true)]
    state: Vec<String>,
    /// Only jobs of this extension
    #[arg(long, value_name = "ID")]
    extension: Option<String>,
    /// Jobs to list, at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show the list again whenever it has changed
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Jobs that are asked for at a time.
const PAGE: u64 = 1_000;
/// Characters of a progress message.
const MESSAGE: usize = 32;

/// How often a list that is followed is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn list(args: &ListArgs) -> Result<Exit, Problem> {
    let client = match args.common.open(Need::Read) {
        Ok(client) => client,
        // A folder that nothing was ever stored in has no jobs.
        Err(problem) if problem.code == "no_data" && !args.follow => {
            show(args, &[]);
            return Ok(Exit::Completed);
        }
        Err(problem) => return Err(problem),
    };
    if args.follow {
        return follow(args, &client);
    }
    let (jobs, more) = read(&client, args)?;
    show(args, &jobs);
    if more && !args.common.json {
        eprint(&format!("there are more; --limit is {}", args.limit));
    }
    Ok(Exit::Completed)
}

/// Shows the list again and again, until nobody reads it.
fn follow(args: &ListArgs, client: &Client) -> Result<Exit, Problem> {
    if !client.is_served() {
        return Err(client.not_served("nothing would change"));
    }
    let mut shown = None;
    loop {
        let (jobs, _) = wait::again(client, || read(client, args))?;
        if shown.as_ref() != Some(&jobs) {
            if stdout().is_terminal() && !args.common.json {
                // The screen is emptied.
                print("\x1b[H\x1b[2J");
            } else if shown.is_some() && !args.common.json {
                print("");
            }
            if !show(args, &jobs) {
                return Ok(Exit::Completed);
            }
            shown = Some(jobs);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Shows jobs. Says whether anybody may read on.
fn show(args: &ListArgs, jobs: &[JobStatus]) -> bool {
    if args.common.json {
        return try_print(&json!(jobs).to_string());
    }
    if jobs.is_empty() {
        let which = if args.state.is_empty() && args.extension.is_none() { "" } else { " such" };
        return try_print(&format!("no{which} jobs in {}", args.common.place()));
    }
    let head = ["ID", "JOB", "STATE", "PROGRESS", "RATE", "LEFT"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(jobs.iter().map(row)).collect();
    try_print(&table(&rows))
}

fn read(client: &Client, args: &ListArgs) -> Result<(Vec<JobStatus>, bool), Problem> {
    let mut query = format!("/jobs?state={}", args.state.join(","));
    if let Some(extension) = &args.extension {
        query.push_str(&format!("&extension={}", escaped(extension)));
    }
    let mut jobs = Vec::new();
    let mut after = None;
    loop {
        let left = args.limit.saturating_sub(jobs.len() as u64);
        let next = after.map_or(String::new(), |after: i64| format!("&after={after}"));
        let page: Jobs = client.get(&format!("{query}&limit={}{next}", left.min(PAGE)))?;
        let is_all = page.next.is_none();
        jobs.extend(page.jobs);
        after = page.next;
        if is_all || jobs.len() as u64 >= args.limit {
            return Ok((jobs, !is_all));
        }
    }
}

fn row(job: &JobStatus) -> Vec<String> {
    vec![
        short(job.job_id),
        printable(&job.job),
        state(job),
        progress(job).map(|text| cut(&text)).unwrap_or_default(),
        rate(job).unwrap_or_default(),
        job.rate.and_then(|rate| rate.left_ms).map(span).unwrap_or_default(),
    ]
}

/// How a job stands, with what it is asked for.
pub(super) fn state(job: &JobStatus) -> String {
    match (&job.wanted, job.retry_at) {
        (Some(wanted), _) => format!("{}, to {}", job.state, printable(wanted)),
        (None, Some(_)) => format!("{}, to retry", job.state),
        (None, None) => job.state.to_string(),
    }
}

/// How far a job is, if it says so.
pub(super) fn progress(job: &JobStatus) -> Option<String> {
    let progress = job.report.progress.as_ref()?;
    let mut text = format!("{:>3.0} %", progress.fraction * 100.0);
    if let Some(phase) = &progress.phase {
        text.push_str(&format!("  {}", printable(phase)));
    }
    if let Some((done, total)) = progress.steps {
        text.push_str(&format!("  {done}/{total}"));
    }
    text.push_str(&format!("  {}", printable(&progress.message)));
    Some(text.trim_end().to_owned())
}

/// How fast a job is: by what it counts.
pub(super) fn rate(job: &JobStatus) -> Option<String> {
    let rate = job.rate?;
    let items = (rate.items_per_second > 0.0).then(|| format!("{:.1} items/s", rate.items_per_second));
    let volume = (rate.bytes_per_second > 0.0).then(|| format!("{}/s", bytes(rate.bytes_per_second)));
    let parts: Vec<String> = [items, volume].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_progress_is_cut() {
        assert_eq!(cut("short "), "short");
        assert_eq!(cut(&"ü".repeat(40)), format!("{}…", "ü".repeat(32)));
    }
}
