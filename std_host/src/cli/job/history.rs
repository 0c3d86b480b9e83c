use std::ops::ControlFlow;

use clap::Args;
use serde_json::{Value, json};
use std_host::manager::{EventKind, JobEvent};
use toehold::Uuid;

use super::{
    super::{
        client::{ATTEMPTS, BETWEEN, Client, Need},
        exit::Exit,
        logging::printable,
        output::{eprint, print, try_print},
        problem::Problem,
        table::time,
    },
    Common, id, wait,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job events 3f2a
  toehold job events 3f2a --follow
  toehold job events --follow --json     # what happens to all jobs from now on, until Ctrl-C

With --json, --follow prints a line of JSON for each, otherwise one value.")]
pub(crate) struct EventsArgs {
    /// The job's id, or its first digits; all jobs with --follow alone
    #[arg(value_name = "ID", required_unless_present = "follow")]
    id: Option<String>,
    #[command(flatten)]
    pub(super) part: Part,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job logs 3f2a --follow
  toehold job logs 3f2a --tail 20

With --json, --follow prints a line of JSON for each, otherwise one value.")]
pub(crate) struct LogsArgs {
    /// The job's id, or its first digits
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    pub(super) part: Part,
}

/// Which part of a job's history.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Go on until the job is over
    #[arg(long)]
    follow: bool,
    /// Only those with a number above this
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// One of a job's two histories.
#[derive(Clone, Copy)]
struct History {
    /// Its route.
    route: &'static str,
    /// What an answer calls its lines.
    lines: &'static str,
    for_people: fn(&Value) -> String,
}

const EVENTS: History = History { route: "events", lines: "events", for_people: event_line };
const LOGS: History = History { route: "logs", lines: "lines", for_people: log_line };
/// Lines that are asked for at a time.
const PAGE: usize = 10_000;

pub(super) fn events(args: &EventsArgs) -> Result<Exit, Problem> {
    match &args.id {
        Some(id) => history(&args.part, id, EVENTS),
        None => all(args.part.common.json, &args.part.common.open(Need::Read)?),
    }
}

pub(super) fn logs(args: &LogsArgs) -> Result<Exit, Problem> {
    history(&args.part, &args.id, LOGS)
}

/// Prints what happens to all jobs from now on.
fn all(json: bool, client: &Client) -> Result<Exit, Problem> {
    if !client.is_served() {
        return Err(client.not_served("nothing happens to them"));
    }
    let line = |event: &Value| {
        let id = event["job_id"].as_str().and_then(|id| id.get(..8)).unwrap_or_default().to_owned();
        match event["lost"].as_u64() {
            Some(lost) => format!("{lost} events came too fast to be shown"),
            None => format!("{id}  {}", event_line(event)),
        }
    };
    loop {
        let followed = client.follow("/events", |_, event| {
            let text = if json { event.to_string() } else { line(&event) };
            if try_print(&text) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match followed {
            Ok(true) => return Ok(Exit::Completed),
            // The server is gone; what happened until the next one is there is in the jobs' own events.
            Ok(false) => {}
            Err(problem) => return Err(problem),
        }
        wait::again(client, || client.get::<Value>("/health"))?;
    }
}

fn history(args: &Part, given: &str, history: History) -> Result<Exit, Problem> {
    let json = args.common.json;
    let client = args.common.open(Need::Read)?;
    let id = id::find(&client, given)?;
    if args.follow {
        follow(&client, id, history, args.after, args.tail, json)?;
        return Ok(Exit::Completed);
    }
    let (lines, dropped) = read(&client, id, history, args)?;
    if json {
        print(&json!({ history.lines: lines, "dropped": dropped }).to_string());
        return Ok(Exit::Completed);
    }
    for line in &lines {
        if !try_print(&(history.for_people)(line)) {
            break;
        }
    }
    if dropped > 0 {
        eprint(&format!("{dropped} more are not kept"));
    }
    Ok(Exit::Completed)
}

fn read(client: &Client, id: Uuid, history: History, args: &Part) -> Result<(Vec<Value>, u64), Problem> {
    let mut lines: Vec<Value> = Vec::new();
    let mut after = args.after;
    let mut tail = args.tail.map(|tail| format!("&tail={tail}")).unwrap_or_default();
    loop {
        let path = format!("/jobs/{id}/{}?after={after}&limit={PAGE}{tail}", history.route);
        let mut page: Value = client.get(&path)?;
        let Value::Array(found) = page[history.lines].take() else {
            return Err(Problem::new("failed", "the server's answer has no lines"));
        };
        let is_last = found.len() < PAGE;
        after = found.last().and_then(|line| line["seq"].as_u64()).unwrap_or(u64::MAX);
        lines.extend(found);
        if is_last {
            return Ok((lines, page["dropped"].as_u64().unwrap_or(0)));
        }
        tail.clear();
    }
}

/// Prints what happens to a job, until it is over.
pub(super) fn follow_events(client: &Client, id: Uuid, after: u64, json: bool) -> Result<(), Problem> {
    follow(client, id, EVENTS, after, None, json)
}

fn follow(
    client: &Client,
    id: Uuid,
    history: History,
    mut after: u64,
    mut tail: Option<u64>,
    json: bool,
) -> Result<(), Problem> {
    // Where the server goes while this reads, another one may be about to take its place, and goes on from there.
    for _ in 0..ATTEMPTS {
        let last = tail.map(|tail| format!("&tail={tail}")).unwrap_or_default();
        let path = format!("/jobs/{id}/{}?follow=1&after={after}{last}", history.route);
        let followed = client.follow(&path, |number, line| {
            after = number.unwrap_or(after);
            tail = None;
            let text = if json { line.to_string() } else { (history.for_people)(&line) };
            if try_print(&text) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match followed {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(problem) if problem.code == "no_serve" || problem.code == "closing" => {}
            Err(problem) => return Err(problem),
        }
        std::thread::sleep(BETWEEN);
    }
    Err(client.gone())
}

/// A line of the log for people.
pub(super) fn log_line(line: &Value) -> String {
    let text = |name: &str| printable(line[name].as_str().unwrap_or_default());
    format!("{}  {:<5}  {}", time(line["at"].as_u64().unwrap_or(0)), text("level"), text("text"))
}

/// An event for people.
fn event_line(line: &Value) -> String {
    let at = time(line["at"].as_u64().unwrap_or(0));
    let name = printable(line["event"].as_str().unwrap_or_default());
    let more = match serde_json::from_value::<JobEvent>(line.clone()) {
        Ok(event) => told(&event.kind),
        // Of a newer version: its name says something.
        Err(_) => None,
    };
    format!("{at}  {name:<10}  {}", printable(&more.unwrap_or_default())).trim_end().to_owned()
}

fn told(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::Running { attempt } if *attempt > 1 => Some(format!("attempt {attempt}")),
        EventKind::Progress { progress, .. } => {
            Some(format!("{:.0} %  {}", progress.fraction * 100.0, progress.message))
        }
        EventKind::Checkpoint { sequence, .. } => Some(sequence.to_string()),
        EventKind::Warning { text } => Some(text.clone()),
        EventKind::Paused { reason } => reason.clone(),
        EventKind::Retry { attempt, retry_at, error } => {
            Some(format!("attempt {attempt} at {}, after: {error}", time(*retry_at)))
        }
        EventKind::Upgraded { version } => Some(format!("to version {version}")),
        EventKind::Failed { error } => Some(error.clone()),
        _ => None,
    }
}
