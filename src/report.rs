use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};
use toehold_abi::{LogLevel, ProgressStep};

use crate::{Limits, bounded::at_most};

/// Warnings of a job that are kept on any host.
const MOST_WARNINGS: usize = 1_000;

/// What a job has told of itself so far. Bounded: what does not fit is counted, never silently lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How far the job has come, if it ever said.
    pub progress: Option<Progress>,
    /// Items processed.
    pub items: u64,
    /// Bytes processed.
    pub bytes: u64,
    /// Non-fatal issues, oldest first.
    #[serde(deserialize_with = "at_most::<MOST_WARNINGS, _, _>")]
    pub warnings: Vec<String>,
    /// Warnings that were over the limit.
    pub warnings_dropped: u64,
    /// Log lines that were let through.
    pub log_lines: u64,
    /// Log lines that were over the limit.
    pub log_lines_dropped: u64,
    /// Values that were refused: a progress that is no number, a negative count.
    pub refused: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0.0 to 1.0.
    pub fraction: f32,
    /// What part of its work it is in, if it says so.
    pub phase: Option<String>,
    /// How many of how many steps or items are done, if it says so.
    pub steps: Option<(u64, u64)>,
    /// What it is at.
    pub message: String,
}

/// A line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How bad it is.
    #[serde(with = "level")]
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}

impl Report {
    pub(crate) fn add_warning(&mut self, text: String, limit: usize) {
        if self.warnings.len() < limit.min(MOST_WARNINGS) {
            self.warnings.push(text);
        } else {
            self.warnings_dropped = self.warnings_dropped.saturating_add(1);
        }
    }

    /// Takes a progress from 0.0 to 1.0, clamps others and refuses NaN. Says whether it was taken.
    ///
    /// A message that is a step, `[PHASE DONE/TOTAL] TEXT`, is taken apart. Texts are cut to `limit` bytes.
    pub(crate) fn set_progress(&mut self, fraction: f32, message: &str, limit: usize) -> bool {
        let taken = !fraction.is_nan();
        if taken {
            let fraction = fraction.clamp(0.0, 1.0);
            self.progress = Some(match ProgressStep::parse(message) {
                Some(step) => Progress {
                    fraction,
                    phase: step.phase.map(|phase| cut(phase, limit)),
                    steps: Some((step.done, step.total)),
                    message: cut(step.message, limit),
                },
                None => Progress { fraction, message: cut(message, limit), ..Progress::default() },
            });
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        taken
    }

    /// Counts a log line; false if it is over the limit and must be dropped.
    pub(crate) fn count_log_line(&mut self, limit: u64) -> bool {
        let kept = self.log_lines < limit;
        if kept {
            self.log_lines = self.log_lines.saturating_add(1);
        } else {
            self.log_lines_dropped = self.log_lines_dropped.saturating_add(1);
        }
        kept
    }
}

impl Report {
    /// What a report of elsewhere may be here: within this host's limits, and with numbers that make sense.
    pub(crate) fn bounded(&self, limits: &Limits) -> Self {
        let mut report = self.clone();
        let over = report.warnings.len().saturating_sub(limits.warnings);
        report.warnings.truncate(limits.warnings);
        report.warnings_dropped = report.warnings_dropped.saturating_add(over as u64);
        for warning in &mut report.warnings {
            *warning = cut(warning, limits.line_bytes);
        }
        report.progress =
            self.progress.as_ref().filter(|progress| !progress.fraction.is_nan()).map(|progress| Progress {
                fraction: progress.fraction.clamp(0.0, 1.0),
                phase: progress.phase.as_ref().map(|phase| cut(phase, limits.line_bytes)),
                steps: progress.steps,
                message: cut(&progress.message, limits.line_bytes),
            });
        report
    }
}

/// As the ABI's code.
mod level {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::LogLevel;

    pub(super) fn serialize<S: Serializer>(level: &LogLevel, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(level.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LogLevel, D::Error> {
        let code = i32::deserialize(from)?;
        LogLevel::from_code(code).ok_or_else(|| D::Error::custom("no such level"))
    }
}

/// Cuts a text to at most `limit` bytes, at a character's border, and marks the cut where there is room.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return String::from(text);
    }
    let (mark, room) = match limit.checked_sub(MARK.len()) {
        Some(room) => (MARK, room),
        None => ("", limit),
    };
    let mut end = room;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = String::with_capacity(end + mark.len());
    short.push_str(&text[..end]);
    short.push_str(mark);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_whole_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcdefg", 5), "ab…");
        assert_eq!(cut("éééé", 6), "é…");
        assert_eq!(cut("éééé", 3), "…");
        assert_eq!(
            (cut("éééé", 2).as_str(), cut("éééé", 1).as_str(), cut("éééé", 0).as_str()),
            ("é", "", "")
        );
    }

    #[test]
    fn nan_is_refused_and_the_rest_clamped() {
        let mut report = Report::default();
        assert!(report.set_progress(7.0, "", 100));
        assert_eq!(report.progress.as_ref().map(|p| p.fraction), Some(1.0));
        assert!(report.set_progress(f32::NEG_INFINITY, "", 100));
        assert!(!report.set_progress(f32::NAN, "x", 100));
        assert_eq!(report.progress, Some(Progress::default()));
        assert_eq!(report.refused, 1);
    }

    #[test]
    fn a_step_is_taken_apart() {
        let mut report = Report::default();
        assert!(report.set_progress(0.5, "[hashing 3/6] b.txt", 4));
        let progress = report.progress.unwrap();
        assert_eq!((progress.phase.as_deref(), progress.steps), (Some("h…"), Some((3, 6))));
        assert_eq!(progress.message, "b…");
    }
}
