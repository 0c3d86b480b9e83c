use core::fmt::{self, Write as _};

/// A step of a job's progress, as the message of `job_report_progress` tells it.
///
/// The message is `[PHASE DONE/TOTAL] TEXT`, or `[DONE/TOTAL] TEXT` without a phase. A host that knows nothing of steps
/// shows it as it is, and people can read it.
///
/// ```
/// use toehold_abi::ProgressStep;
///
/// let step = ProgressStep { phase: Some("hashing"), done: 3, total: 12, message: "notes.txt" };
/// let text = step.to_string();
/// assert_eq!(text, "[hashing 3/12] notes.txt");
/// assert_eq!(ProgressStep::parse(&text), Some(step));
/// assert_eq!(ProgressStep::parse("Counted 3/12"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgressStep<'a> {
    /// What the job is at, if it says so. Not empty where it was parsed.
    pub phase: Option<&'a str>,
    /// Items of the phase that are done. More than `total` where that was an estimate.
    pub done: u64,
    /// Items that the phase has.
    pub total: u64,
    /// What else there is to say, such as the item's name.
    pub message: &'a str,
}

impl<'a> ProgressStep<'a> {
    /// Reads a message; `None` for one that tells no step.
    ///
    /// The rule is exact, so that no other text is taken for a step: both numbers are decimal digits that fit into a
    /// `u64`, one space stands between phase and numbers and one before the text, and a phase that is there is not empty
    /// and has neither `[` nor `]`. Without text the space before it may be absent.
    #[must_use]
    pub fn parse(message: &'a str) -> Option<Self> {
        let (head, rest) = message.strip_prefix('[')?.split_once(']')?;
        let message = match rest.strip_prefix(' ') {
            Some(text) => text,
            None if rest.is_empty() => rest,
            None => return None,
        };
        let (phase, numbers) = match head.rsplit_once(' ') {
            Some((phase, numbers)) => (Some(phase), numbers),
            None => (None, head),
        };
        if phase.is_some_and(|phase| phase.is_empty() || phase.contains('[')) {
            return None;
        }
        let (done, total) = numbers.split_once('/')?;
        Some(Self { phase, done: number(done)?, total: number(total)?, message })
    }

    /// How much of the phase is done, from 0.0 to 1.0. A phase of no items is done.
    #[must_use]
    pub fn fraction(&self) -> f32 {
        if self.done >= self.total {
            return 1.0;
        }
        (self.done as f64 / self.total as f64) as f32
    }
}

impl fmt::Display for ProgressStep<'_> {
    /// Writes what [`ProgressStep::parse`] reads: brackets in the phase become round ones, and an empty phase is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, done, total, message } = self;
        f.write_char('[')?;
        if let Some(phase) = phase.filter(|phase| !phase.is_empty()) {
            for character in phase.chars() {
                f.write_char(match character {
                    '[' => '(',
                    ']' => ')',
                    other => other,
                })?;
            }
            f.write_char(' ')?;
        }
        write!(f, "{done}/{total}]")?;
        if !message.is_empty() {
            write!(f, " {message}")?;
        }
        Ok(())
    }
}

fn number(digits: &str) -> Option<u64> {
    // `parse` alone would take a sign too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};
    use std::{vec, vec::Vec};

    use super::*;

    /// Every text of up to `length` of the characters that mean something here, and two that don't.
    fn texts(length: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..length {
            let longer: Vec<String> = texts[from..]
                .iter()
                .flat_map(|text| "[] /09xé".chars().map(move |character| std::format!("{text}{character}")))
                .collect();
            from = texts.len();
            texts.extend(longer);
        }
        texts
    }

    #[test]
    fn everything_that_is_written_is_parsed_back() {
        // Miri takes minutes for longer ones.
        let (phases, messages) = (texts(if cfg!(miri) { 1 } else { 4 }), texts(2));
        for (index, phase) in phases.iter().enumerate() {
            let message = &messages[index % messages.len()];
            let numbers = [(0, 0), (1, 2), (u64::MAX, u64::MAX), (index as u64, 7)];
            for (done, total) in numbers {
                let step = ProgressStep { phase: Some(phase), done, total, message };
                let written = step.to_string();
                let plain = phase.replace('[', "(").replace(']', ")");
                let phase = Some(plain.as_str()).filter(|phase| !phase.is_empty());
                assert_eq!(ProgressStep::parse(&written), Some(ProgressStep { phase, ..step }), "{written}");
            }
        }
        for message in &phases {
            let step = ProgressStep { phase: None, done: 3, total: 4, message };
            assert_eq!(ProgressStep::parse(&step.to_string()), Some(step));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri takes an hour for so many texts, and nothing in it is unsafe")]
    fn what_any_text_means_does_not_change_when_it_is_written() {
        let mut steps = 0;
        for text in texts(6) {
            if let Some(step) = ProgressStep::parse(&text) {
                steps += 1;
                assert_eq!(ProgressStep::parse(&step.to_string()), Some(step), "{text}");
            }
        }
        // [D/D], [D/D] with a space; [D/DD] and [DD/D]: D is one of two digits.
        assert_eq!(steps, 4 + 4 + 8 + 8);
    }

    #[test]
    fn only_the_exact_form_is_a_step() {
        let step = |phase, done, total, message| Some(ProgressStep { phase, done, total, message });
        for (text, expected) in [
            ("[counting 3/10] item 3", step(Some("counting"), 3, 10, "item 3")),
            ("[3/10] item 3", step(None, 3, 10, "item 3")),
            ("[3/10]", step(None, 3, 10, "")),
            ("[3/10] ", step(None, 3, 10, "")),
            ("[3/10]  two spaces", step(None, 3, 10, " two spaces")),
            ("[phase 1/2 3/4] [5/6]", step(Some("phase 1/2"), 3, 4, "[5/6]")),
            ("[12/3] more than there should be", step(None, 12, 3, "more than there should be")),
            ("[0/18446744073709551615] x", step(None, 0, u64::MAX, "x")),
            ("[0/18446744073709551616] x", None),
            ("[+3/10] x", None),
            ("[-3/10] x", None),
            ("[3/10]x", None),
            ("[ 3/10] x", None),
            ("[a[b 3/10] x", None),
            ("[3 / 10] x", None),
            ("[3/10/20] x", None),
            ("[3/] x", None),
            ("[/] x", None),
            ("[3/10", None),
            (" [3/10] x", None),
            ("Counted 3/10", None),
            ("", None),
        ] {
            assert_eq!(ProgressStep::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_fraction_stays_between_nothing_and_all() {
        for (done, total, fraction) in
            [(0, 4, 0.0), (1, 4, 0.25), (4, 4, 1.0), (9, 4, 1.0), (0, 0, 1.0), (u64::MAX / 2, u64::MAX, 0.5)]
        {
            let step = ProgressStep { phase: None, done, total, message: "" };
            assert_eq!(step.fraction(), fraction, "{step}");
        }
    }
}
