//! How jobs look on the console.

use alloc::{format, string::String};

use toehold::{JobRecord, LogLevel, Progress, Report, Uuid, console::LineWriter};

/// The item of a job.
pub(crate) fn job(id: Uuid, record: &JobRecord) -> String {
    let line = LineWriter::new("- job")
        .field("id", id)
        .field("job", &record.job)
        .field("state", record.state)
        .field("priority", record.priority);
    let line = numbers(line, &record.report)
        .field("fuel", record.fuel_used)
        .field("checkpoints", record.report.checkpoints)
        .field("warnings", record.report.warnings.len() as u64 + record.report.warnings_dropped)
        .field("attempt", record.attempt);
    let line = line.maybe("reason", record.reason.as_ref());
    words(line, &record.report).finish()
}

/// The event of a job that has come further.
pub(crate) fn progress(id: Uuid, shown: &Report) -> String {
    let line = numbers(LineWriter::new("* progress").field("id", id), shown);
    words(line, shown).finish()
}

/// The word for a level.
pub(crate) const fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn numbers(line: LineWriter, report: &Report) -> LineWriter {
    let line = match &report.progress {
        Some(progress) => line
            .field("fraction", fraction(progress))
            .maybe("steps", progress.steps.map(|(done, total)| format!("{done}/{total}"))),
        None => line,
    };
    line.field("items", report.items).field("bytes", report.bytes)
}

/// What a guest says comes last: a line that gets too long must not lose what a desk needs to know.
fn words(line: LineWriter, report: &Report) -> LineWriter {
    match &report.progress {
        Some(progress) => line.maybe("phase", progress.phase.as_ref()).field("message", &progress.message),
        None => line,
    }
}

/// With three digits, and without `core::fmt`'s code for floats, which is 10 KB of flash.
fn fraction(progress: &Progress) -> String {
    let thousandths = (progress.fraction.clamp(0.0, 1.0) * 1_000.0) as u32;
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_three_digits() {
        let report = |fraction| Report {
            progress: Some(Progress { fraction, steps: Some((1, 3)), ..Progress::default() }),
            items: 7,
            ..Report::default()
        };
        let line = |fraction| progress(Uuid::nil(), &report(fraction));
        let id = "00000000-0000-0000-0000-000000000000";
        assert_eq!(
            line(0.25),
            format!("* progress id={id} fraction=0.250 steps=1/3 items=7 bytes=0 message=\"\"")
        );
        assert!(line(1.0).contains("fraction=1.000"), "{}", line(1.0));
        assert!(line(f32::NAN).contains("fraction=0.000"), "{}", line(f32::NAN));
    }
}
