//! What a board says, for people and for programs.

use serde_json::{Map, Value, json};
use std_host::board::Record;
use toehold::Progress;

use super::super::{
    logging::printable,
    table::{bytes, span, table},
};

/// What a line says as JSON. A job looks as `toehold job` shows it, as far as a board tells.
pub(super) fn to_json(record: &Record) -> Value {
    if record.kind() == "job" { job_json(record) } else { Value::Object(flat(record)) }
}

fn flat(record: &Record) -> Map<String, Value> {
    record.fields().map(|(key, text)| (key.to_owned(), value(key, text))).collect()
}

/// A field's value, which the line itself has as text.
fn value(key: &str, text: &str) -> Value {
    match key {
        "bytes" | "uptime_ms" | "memory_free" | "memory_total" | "memory_never_used" | "flash_used"
        | "flash_total" | "items" | "fuel" | "checkpoints" | "warnings" | "attempt" | "dropped" => {
            text.parse::<u64>().map_or_else(|_| text.into(), Value::from)
        }
        "signed" => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        "fraction" => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        "jobs" => text.split(',').filter(|name| !name.is_empty()).collect(),
        _ => text.into(),
    }
}

fn job_json(record: &Record) -> Value {
    let number = |key: &str| record.number(key);
    let mut value = json!({
        "job_id": record.get("id"),
        "job": record.get("job"),
        "state": record.get("state"),
        "reason": record.get("reason"),
        "priority": record.get("priority"),
        "attempt": number("attempt"),
        "fuel_used": number("fuel"),
        "report": {
            "progress": progress(record),
            "items": number("items"),
            "bytes": number("bytes"),
            "checkpoints": number("checkpoints"),
        },
        "warnings": number("warnings"),
    });
    // One whose record the board can't read says only that.
    if let (Some(reason), Value::Object(fields)) = (record.get("unreadable"), &mut value) {
        fields.insert("unreadable".to_owned(), reason.into());
    }
    value
}

/// An event as JSON, as `toehold job events` has it.
pub(super) fn event_json(event: &Record) -> Value {
    let mut fields = Map::new();
    fields.insert("job_id".to_owned(), event.get("id").into());
    fields.insert("event".to_owned(), event.kind().into());
    if event.kind() == "progress" {
        fields.insert("progress".to_owned(), json!(progress(event)));
    }
    let of_progress = ["id", "fraction", "phase", "steps", "message"];
    fields.extend(flat(event).into_iter().filter(|(key, _)| !of_progress.contains(&key.as_str())));
    Value::Object(fields)
}

/// How far a job is, if the line says so.
pub(super) fn progress(record: &Record) -> Option<Progress> {
    let steps = record.get("steps").and_then(|steps| {
        let (done, total) = steps.split_once('/')?;
        Some((done.parse().ok()?, total.parse().ok()?))
    });
    Some(Progress {
        fraction: record.get("fraction")?.parse().ok()?,
        phase: record.get("phase").map(str::to_owned),
        steps,
        message: record.get("message").unwrap_or_default().to_owned(),
    })
}

/// A text that came from the board.
fn text(record: &Record, key: &str) -> String {
    printable(record.get(key).unwrap_or_default())
}

fn of(record: &Record, used: &str, total: &str) -> Option<String> {
    let (used, total) = (record.number(used)?, record.number(total)?);
    Some(format!("{} of {}", bytes(used as f64), bytes(total as f64)))
}

pub(super) fn info(record: &Record) -> String {
    let rows = [
        ("firmware", Some(text(record, "version"))),
        ("runs for", record.number("uptime_ms").map(span)),
        ("memory free", of(record, "memory_free", "memory_total")),
        ("never used", record.number("memory_never_used").map(|count| bytes(count as f64))),
        ("flash used", of(record, "flash_used", "flash_total")),
        (
            "packages",
            record.get("signed").map(|signed| match signed {
                "true" => "only signed ones".to_owned(),
                _ => "anyone's".to_owned(),
            }),
        ),
    ];
    let row = |(name, value): (&str, Option<String>)| value.map(|value| format!("{name:<12} {value}"));
    rows.into_iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

pub(super) fn list(extensions: &[&Record], jobs: &[&Record]) -> String {
    let head = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut parts = Vec::new();
    if extensions.is_empty() {
        parts.push("no extensions; `toehold board install PATH` installs one".to_owned());
    } else {
        let row = |item: &&Record| {
            let refused = item.get("refused").map(|reason| format!("refused: {}", printable(reason)));
            let size = item.number("bytes").map(|count| bytes(count as f64)).unwrap_or_default();
            vec![
                text(item, "id"),
                text(item, "version"),
                size,
                refused.unwrap_or_else(|| text(item, "signer")),
            ]
        };
        let rows: Vec<_> = std::iter::once(head(&["EXTENSION", "VERSION", "SIZE", "SIGNED BY"]))
            .chain(extensions.iter().map(row))
            .collect();
        parts.push(table(&rows));
    }
    if jobs.is_empty() {
        parts.push("no jobs".to_owned());
    } else {
        let row = |item: &&Record| {
            let progress = progress(item).map(|progress| for_people(&progress)).unwrap_or_default();
            let state = item.get("unreadable").map(|_| "unreadable".to_owned());
            vec![short(item), text(item, "job"), state.unwrap_or_else(|| text(item, "state")), progress]
        };
        let rows: Vec<_> =
            std::iter::once(head(&["ID", "JOB", "STATE", "PROGRESS"])).chain(jobs.iter().map(row)).collect();
        parts.push(table(&rows));
    }
    parts.join("\n\n")
}

/// The first characters of a job's id, as people see it.
pub(super) fn short(record: &Record) -> String {
    text(record, "id").chars().take(8).collect()
}

fn for_people(progress: &Progress) -> String {
    let mut text = format!("{:>3.0} %", progress.fraction * 100.0);
    if let Some(phase) = &progress.phase {
        text.push_str(&format!("  {}", printable(phase)));
    }
    if let Some((done, total)) = progress.steps {
        text.push_str(&format!("  {done}/{total}"));
    }
    text.push_str(&format!("  {}", printable(&progress.message)));
    text.trim_end().to_owned()
}

/// A job in a line.
pub(super) fn line(record: &Record) -> String {
    let reason = record.get("reason").map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    format!("{}  {}  {}{reason}", text(record, "id"), text(record, "job"), text(record, "state"))
}

/// All there is about a job.
pub(super) fn job(record: &Record) -> String {
    let mut lines = vec![format!("{}  {}", text(record, "job"), text(record, "state"))];
    let mut line = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {name:<13} {value}")));
    };
    line("id", Some(text(record, "id")));
    line("progress", progress(record).map(|progress| for_people(&progress).trim_start().to_owned()));
    let names = [
        ("reason", "reason"),
        ("attempt", "attempt"),
        ("priority", "priority"),
        ("items", "items"),
        ("bytes", "bytes"),
        ("checkpoints", "checkpoints"),
        ("fuel", "fuel"),
        ("warnings", "warnings"),
        ("unreadable", "unreadable"),
    ];
    for (name, key) in names {
        line(name, record.get(key).map(printable));
    }
    lines.join("\n")
}

/// An event in a line, without its job.
pub(super) fn event(event: &Record) -> String {
    let more = match event.kind() {
        "progress" => progress(event).map(|progress| for_people(&progress)),
        "log" => Some(match event.get("dropped") {
            Some(count) => format!("{count} lines came faster than they could be told"),
            None => format!("{:<5}  {}", text(event, "level"), text(event, "text")),
        }),
        "retry" => Some(format!("attempt {}, after: {}", text(event, "attempt"), text(event, "reason"))),
        _ => event.get("reason").map(printable),
    };
    format!("{:<10}  {}", printable(event.kind()), more.unwrap_or_default()).trim_end().to_owned()
}
