use clap::Args;
use serde_json::Value;
use std_host::manager::JobStatus;
use toehold::LogLevel;

use super::{
    super::{
        client::Need,
        exit::Exit,
        logging::printable,
        output::print,
        problem::Problem,
        table::{bytes, span, time},
    },
    Common, history, id, list,
};

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The job's id, or its first digits
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Log lines that are shown with a job.
const LINES: u32 = 5;

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Problem> {
    let client = args.common.open(Need::Read)?;
    let id = id::find(&client, &args.id)?;
    let status: Value = client.get(&format!("/jobs/{id}"))?;
    if args.common.json {
        print(&status.to_string());
        return Ok(Exit::Completed);
    }
    let status: JobStatus = serde_json::from_value(status).map_err(|error| Problem::new("failed", error))?;
    let page: Value = client.get(&format!("/jobs/{id}/logs?tail={LINES}"))?;
    let lines = page["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    print(&for_people(&status, lines));
    Ok(Exit::Completed)
}

fn for_people(status: &JobStatus, log: &[Value]) -> String {
    let mut text = vec![format!("{}  {}", printable(&status.job), list::state(status))];
    let mut line = |name: &str, value: String| text.push(format!("  {name:<13} {value}"));
    line("id", status.job_id.to_string());
    if let Some(reason) = &status.reason {
        line("reason", printable(reason));
    }
    if let Some(progress) = list::progress(status) {
        line("progress", progress.trim_start().to_owned());
    }
    if let Some(rate) = list::rate(status) {
        line("rate", rate);
    }
    if let Some(left) = status.rate.and_then(|rate| rate.left_ms) {
        line("time left", span(left));
    }
    line("attempt", format!("{} of {}", status.attempt, status.attempts));
    line("priority", status.priority.clone());
    for (name, id) in [("library", status.library), ("dispatched by", status.parent)] {
        if let Some(id) = id {
            line(name, id.to_string());
        }
    }
    line("dispatched", time(status.created_at));
    let times =
        [("started", status.started_at), ("retries", status.retry_at), ("sleeps until", status.sleeps_until)];
    for (name, at) in times {
        if let Some(at) = at {
            line(name, time(at));
        }
    }
    if let Some(ended) = status.ended_at {
        let took =
            status.started_at.map(|started| format!(", after {}", span(ended.saturating_sub(started))));
        line("ended", format!("{}{}", time(ended), took.unwrap_or_default()));
    }
    let report = &status.report;
    let counts = [
        ("items", report.items),
        ("bytes", report.bytes),
        ("checkpoints", report.checkpoints),
        ("fuel", status.fuel_used),
        ("log lines", report.log_lines),
    ];
    for (name, count) in counts {
        line(name, count.to_string());
    }
    line("module", status.module.clone());
    for warning in &report.warnings {
        line("warning", printable(warning));
    }
    let dropped = [
        ("warnings were over the limit of the host and were dropped", report.warnings_dropped),
        ("log lines were over the limit of the host and were dropped", report.log_lines_dropped),
        ("values that make no sense were refused", report.refused),
    ];
    for (what, count) in dropped {
        if count > 0 {
            line("note", format!("{count} {what}"));
        }
    }
    if let Some(last) = &status.last_words {
        line("cause", printable(&last.cause));
        if let Some(error) = &last.last_error {
            line("last error", printable(error));
        }
        line("memory", bytes(last.memory_bytes as f64));
        for logged in &last.log_tail {
            let level = match logged.level {
                LogLevel::Debug => "debug",
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
                LogLevel::Error => "error",
            };
            line("last words", format!("{level:<5}  {}", printable(&logged.text)));
        }
    } else {
        for logged in log {
            line("log", history::log_line(logged));
        }
    }
    text.join("\n")
}
