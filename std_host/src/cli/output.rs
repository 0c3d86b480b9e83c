use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use std_host::{Ended, JobHandle};
use toehold::{Outcome, Report};

use super::{exit::Exit, logging::printable};

/// A job that ran, or stands still.
pub(crate) struct Ran<'a> {
    pub(crate) job: &'a JobHandle,
    pub(crate) report: &'a Report,
    pub(crate) ended: Option<&'a Ended>,
    pub(crate) exit: Exit,
    pub(crate) elapsed: Duration,
    /// The file of its newest checkpoint, if it is still needed.
    pub(crate) checkpoint: Option<&'a Path>,
    /// The arguments of `run` besides the checkpoint to go on from there, wherever that is done.
    pub(crate) resume_with: &'a [String],
}

/// Prints text to standard output. Who closed it does not want the rest, so that is no error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// As [`print()`], and says whether anybody may read on.
pub(crate) fn try_print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Prints text to standard error, on the same terms.
pub(crate) fn eprint(text: &str) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{text}");
}

/// Says that nothing ran, and why.
pub(crate) fn not_started(message: &str, json: bool) -> Exit {
    eprint(&format!("error: {}", one_line(message)));
    if json {
        print(&json!({ "outcome": Exit::NotStarted.word(), "error": message }).to_string());
    }
    Exit::NotStarted
}

/// Says what came of a job.
pub(crate) fn ran(ran: &Ran<'_>, json: bool) {
    if json {
        print(&as_json(ran).to_string());
    } else {
        print(&for_people(ran));
    }
    if let Some(error) = error(ran) {
        eprint(&format!("error: {}: {}", ran.job.context().job(), one_line(&error)));
    }
}

fn error(ran: &Ran<'_>) -> Option<String> {
    match &ran.ended?.outcome {
        Outcome::Failed(failure) => Some(failure.to_string()),
        _ if ran.exit == Exit::LinesDropped => Some(format!(
            "spacedrive_log: {} log lines were over the limit and were dropped",
            ran.report.log_lines_dropped
        )),
        _ => None,
    }
}

fn as_json(ran: &Ran<'_>) -> Value {
    let report = ran.report;
    let mut value = json!({
        "outcome": ran.exit.word(),
        "job": ran.job.context().job(),
        "job_id": ran.job.id().to_string(),
        "error": error(ran),
        "progress": report.progress.as_ref().map(|progress| json!({
            "fraction": progress.fraction,
            "message": progress.message,
        })),
        "items": report.items,
        "bytes": report.bytes,
        "checkpoints": report.checkpoints,
        "warnings": report.warnings,
        "warnings_dropped": report.warnings_dropped,
        "log_lines": report.log_lines,
        "log_lines_dropped": report.log_lines_dropped,
        "values_refused": report.refused,
        "fuel_used": ran.job.context().fuel_used(),
        "elapsed_ms": u64::try_from(ran.elapsed.as_millis()).unwrap_or(u64::MAX),
        "checkpoint_file": ran.checkpoint.map(|path| path.display().to_string()),
    });
    if let (Some(ended), Value::Object(fields)) = (ran.ended, &mut value) {
        fields.insert("memory_bytes".to_owned(), ended.memory_bytes.into());
        fields.insert("state".to_owned(), state(&ended.state));
    }
    value
}

/// A state as JSON where it is JSON, else as text.
fn state(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn for_people(ran: &Ran<'_>) -> String {
    let report = ran.report;
    let context = ran.job.context();
    let elapsed = Duration::from_millis(u64::try_from(ran.elapsed.as_millis()).unwrap_or(u64::MAX));
    let mut lines =
        vec![format!("{} {} after {}", context.job(), ran.exit.word(), humantime::format_duration(elapsed))];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    if let Some(progress) = &report.progress {
        line("progress", format!("{:.0} %  {}", progress.fraction * 100.0, printable(&progress.message)));
    }
    line("items", report.items.to_string());
    if report.bytes > 0 {
        line("bytes", report.bytes.to_string());
    }
    line("checkpoints", report.checkpoints.to_string());
    line("fuel", context.fuel_used().to_string());
    if let Some(ended) = ran.ended {
        line("memory", format!("{} KiB", ended.memory_bytes / 1024));
        if !ended.state.is_empty() {
            line("state", printable(&state(&ended.state).to_string()));
        }
    }
    for warning in &report.warnings {
        line("warning", printable(warning));
    }
    let dropped = [
        ("warnings were over the limit of the host and were dropped", report.warnings_dropped),
        (
            "log lines (spacedrive_log) were over the limit of the host and were dropped",
            report.log_lines_dropped,
        ),
        ("values that make no sense were refused", report.refused),
    ];
    for (what, count) in dropped {
        if count > 0 {
            line("note", format!("{count} {what}"));
        }
    }
    match (ran.exit, ran.checkpoint) {
        (Exit::Completed | Exit::LinesDropped | Exit::NotStarted, _) => {}
        (_, Some(path)) => {
            let arguments: String =
                ran.resume_with.iter().map(|argument| format!(" {}", quoted(argument))).collect();
            line(
                "go on with",
                format!("toehold run --resume {}{arguments}", quoted(&path.display().to_string())),
            );
        }
        (Exit::Paused, None) => line("note", "it never checkpointed: run it again from the start".to_owned()),
        (_, None) => {}
    }
    lines.join("\n")
}

/// A message that may come from elsewhere, on one line.
pub(crate) fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    printable(&words.join(" "))
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_back_what_was_quoted() {
        assert_eq!(quoted("/a/b-c.checkpoint"), "/a/b-c.checkpoint");
        assert_eq!(quoted("/my files/it's"), r"'/my files/it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
