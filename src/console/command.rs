use alloc::{format, string::String};
use core::fmt;

use uuid::Uuid;

use super::Data;
use crate::Priority;

/// What a desk asks of a board.
///
/// A job is named by its id, or by the first characters of it, where no other begins with them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// `help`: all commands, for people.
    Help,
    /// `info`: the firmware, memory and flash, free and in all.
    Info,
    /// `ls`: extensions and jobs.
    List,
    /// `run EXTENSION:JOB [id=ID] [priority=low|normal|high] [STATE]`: dispatches a job.
    Run {
        /// Its full name.
        job: &'a str,
        /// Its id, where it must be dispatched once although the answer may get lost.
        id: Option<Uuid>,
        /// Its share of the board.
        priority: Priority,
        /// What it is dispatched with: the rest of the line, JSON for guests made with Toehold's SDK.
        state: &'a str,
    },
    /// `status JOB`: how a job stands.
    Status(&'a str),
    /// `pause JOB`: it stands still until it is resumed.
    Pause(&'a str),
    /// `resume JOB`: it goes on.
    Resume(&'a str),
    /// `cancel JOB`: it ends for good.
    Cancel(&'a str),
    /// `remove JOB|EXTENSION`: forgets a job that has ended, or an extension that has no job.
    Remove(&'a str),
    /// `install BYTES CRC32 [SCHEMAS]`: a package, whose data follows as the board asks for it.
    Install {
        /// Bytes of the package.
        bytes: u32,
        /// CRC-32 over all of them.
        checksum: u32,
        /// How many of its bytes are schemas, which the board need not have room for: 0 if that is not known.
        schemas: u32,
    },
    /// `export JOB`: all that there is of a job, as a bundle.
    Export(&'a str),
    /// `import BYTES CRC32 [paused]`: a bundle, whose data follows as the board asks for it.
    Import {
        /// Bytes of the bundle.
        bytes: u32,
        /// CRC-32 over all of them.
        checksum: u32,
        /// Leaves the job paused.
        paused: bool,
    },
    /// `: OFFSET CRC32 BASE64`: data that the board has asked for. `None` if it was damaged on the way.
    Data(Option<Data>),
    /// `abort`: no more data will come.
    Abort,
    /// `events on|off`: whether the board tells what happens.
    Events(bool),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError<'a> {
    /// There is no such command.
    Unknown(&'a str),
    /// The command stands otherwise.
    Usage(&'static str),
    /// The line has more than [`LINE_BYTES`](super::LINE_BYTES).
    TooLong,
    /// The line is not UTF-8.
    NotText,
    /// The line was damaged on the way: its checksum is another one.
    Damaged,
}

/// All commands, as `help` shows them.
const USAGE: [(&str, &str); 14] = [
    ("help", "this list"),
    ("info", "the firmware, free memory and flash"),
    ("ls", "extensions and jobs"),
    ("run EXTENSION:JOB [id=ID] [priority=low|normal|high] [STATE]", "dispatch a job"),
    ("status JOB", "how a job stands; its id, or the first characters of it"),
    ("pause JOB", "have it stand still"),
    ("resume JOB", "have it go on"),
    ("cancel JOB", "end it for good"),
    ("remove JOB|EXTENSION", "forget a job that has ended, or an extension without jobs"),
    ("install BYTES CRC32 [SCHEMAS]", "a package: data follows"),
    ("export JOB", "a job as a bundle"),
    ("import BYTES CRC32 [paused]", "a bundle: data follows"),
    ("abort", "no more data follows"),
    ("events on|off", "whether to tell what happens"),
];

impl<'a> Command<'a> {
    /// How each command is written, and what it does.
    #[must_use]
    pub const fn usage() -> &'static [(&'static str, &'static str)] {
        &USAGE
    }

    /// The line for a board that must do just this or nothing: `~ CRC32 COMMAND`. Data has a checksum of its own.
    #[must_use]
    pub fn to_line(&self) -> String {
        let line = format!("{self}");
        if matches!(self, Self::Data(_)) {
            return line;
        }
        format!("~ {:08x} {line}", crate::Crc32::of(line.as_bytes()))
    }

    /// Reads a line, without its end. With a checksum in front, as [`Command::to_line`] writes it, or without, as people do.
    ///
    /// # Errors
    /// [`CommandError`], which says how the command is written.
    pub fn parse(line: &'a str) -> Result<Self, CommandError<'a>> {
        let mut line = line.trim();
        if let Some(sealed) = line.strip_prefix("~ ") {
            let (digits, rest) = sealed.split_once(' ').ok_or(CommandError::Damaged)?;
            if u32::from_str_radix(digits, 16) != Ok(crate::Crc32::of(rest.as_bytes())) {
                return Err(CommandError::Damaged);
            }
            line = rest;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "help" => none(word, rest, Self::Help),
            "info" => none(word, rest, Self::Info),
            "ls" => none(word, rest, Self::List),
            "abort" => none(word, rest, Self::Abort),
            "status" => one(word, rest).map(Self::Status),
            "pause" => one(word, rest).map(Self::Pause),
            "resume" => one(word, rest).map(Self::Resume),
            "cancel" => one(word, rest).map(Self::Cancel),
            "remove" => one(word, rest).map(Self::Remove),
            "export" => one(word, rest).map(Self::Export),
            "run" => run(rest).ok_or_else(|| usage(word)),
            "install" => match sizes(rest) {
                Some((bytes, checksum, "")) => Ok(Self::Install { bytes, checksum, schemas: 0 }),
                Some((bytes, checksum, rest)) => match rest.parse() {
                    Ok(schemas) => Ok(Self::Install { bytes, checksum, schemas }),
                    Err(_) => Err(usage(word)),
                },
                None => Err(usage(word)),
            },
            "import" => match sizes(rest) {
                Some((bytes, checksum, rest @ ("" | "paused"))) => {
                    Ok(Self::Import { bytes, checksum, paused: !rest.is_empty() })
                }
                _ => Err(usage(word)),
            },
            "events" => match rest {
                "on" => Ok(Self::Events(true)),
                "off" => Ok(Self::Events(false)),
                _ => Err(usage(word)),
            },
            ":" => Ok(Self::Data(Data::parse(rest))),
            other => Err(CommandError::Unknown(other)),
        }
    }
}

fn none<'a>(word: &str, rest: &str, command: Command<'a>) -> Result<Command<'a>, CommandError<'a>> {
    if rest.is_empty() { Ok(command) } else { Err(usage(word)) }
}

fn one<'a>(word: &str, rest: &'a str) -> Result<&'a str, CommandError<'a>> {
    if rest.is_empty() || rest.contains(' ') { Err(usage(word)) } else { Ok(rest) }
}

fn run(rest: &str) -> Option<Command<'_>> {
    let (job, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if !job.contains(':') {
        return None;
    }
    let (mut id, mut priority) = (None, Priority::Normal);
    loop {
        rest = rest.trim_start();
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(text) = word.strip_prefix("id=") {
            id = Some(Uuid::parse_str(text).ok()?);
        } else if let Some(name) = word.strip_prefix("priority=") {
            priority = Priority::from_name(name)?;
        } else {
            return Some(Command::Run { job, id, priority, state: rest });
        }
        rest = after;
    }
}

fn sizes(rest: &str) -> Option<(u32, u32, &str)> {
    let (bytes, rest) = rest.split_once(' ')?;
    let (checksum, rest) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
    Some((bytes.parse().ok()?, u32::from_str_radix(checksum, 16).ok()?, rest.trim()))
}

fn usage<'a>(word: &str) -> CommandError<'a> {
    let is_it = |usage: &&(&'static str, &str)| usage.0.split(' ').next() == Some(word);
    CommandError::Usage(USAGE.iter().find(is_it).map_or("", |(usage, _)| usage))
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Help => f.write_str("help"),
            Self::Info => f.write_str("info"),
            Self::List => f.write_str("ls"),
            Self::Run { job, id, priority, state } => {
                write!(f, "run {job}")?;
                if let Some(id) = id {
                    write!(f, " id={id}")?;
                }
                if *priority != Priority::Normal {
                    write!(f, " priority={priority}")?;
                }
                if state.is_empty() { Ok(()) } else { write!(f, " {state}") }
            }
            Self::Status(job) => write!(f, "status {job}"),
            Self::Pause(job) => write!(f, "pause {job}"),
            Self::Resume(job) => write!(f, "resume {job}"),
            Self::Cancel(job) => write!(f, "cancel {job}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Install { bytes, checksum, schemas: 0 } => write!(f, "install {bytes} {checksum:08x}"),
            Self::Install { bytes, checksum, schemas } => {
                write!(f, "install {bytes} {checksum:08x} {schemas}")
            }
            Self::Export(job) => write!(f, "export {job}"),
            Self::Import { bytes, checksum, paused } => {
                write!(f, "import {bytes} {checksum:08x}{}", if *paused { " paused" } else { "" })
            }
            Self::Data(Some(data)) => write!(f, "{data}"),
            Self::Data(None) => f.write_str(":"),
            Self::Abort => f.write_str("abort"),
            Self::Events(on) => write!(f, "events {}", if *on { "on" } else { "off" }),
        }
    }
}

impl fmt::Display for CommandError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(f, "there is no command {word:?}; `help` lists those that there are")
            }
            Self::Usage(usage) => write!(f, "it is written `{usage}`"),
            Self::TooLong => write!(f, "the line has more than {} bytes and was left out", super::LINE_BYTES),
            Self::NotText => f.write_str("the line is not UTF-8 and was left out"),
            Self::Damaged => f.write_str("the line was damaged on the way and was left out: send it again"),
        }
    }
}

impl core::error::Error for CommandError<'_> {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let id = Uuid::from_u128(7);
        let run = |id, priority, state| Command::Run { job: "a:b", id, priority, state };
        for command in [
            Command::Help,
            Command::Info,
            Command::List,
            Command::Abort,
            run(None, Priority::Normal, ""),
            run(Some(id), Priority::High, r#"{"target": 10, "x": "id=1"}"#),
            Command::Status("1f"),
            Command::Pause("1f"),
            Command::Resume("1f"),
            Command::Cancel("1f"),
            Command::Remove("test-extension"),
            Command::Install { bytes: 20_480, checksum: 0xab, schemas: 0 },
            Command::Install { bytes: 20_480, checksum: 0xab, schemas: 700 },
            Command::Export("1f"),
            Command::Import { bytes: 1, checksum: u32::MAX, paused: false },
            Command::Import { bytes: 1, checksum: 0, paused: true },
            Command::Data(Some(Data { offset: 240, bytes: alloc::vec![1, 2, 3] })),
            Command::Events(true),
            Command::Events(false),
        ] {
            let line = command.to_string();
            assert_eq!(Command::parse(&line), Ok(command.clone()), "{line}");
            let line = command.to_line();
            assert_eq!(Command::parse(&line), Ok(command), "{line}");
        }
    }

    #[test]
    fn a_line_with_a_checksum_is_carried_out_as_it_was_written_or_not_at_all() {
        let line = Command::Cancel("1f0c").to_line();
        for at in 0..line.len() {
            for bit in 0..7 {
                let mut bad = line.clone().into_bytes();
                bad[at] ^= 1 << bit;
                let bad = String::from_utf8(bad).unwrap();
                let parsed = Command::parse(&bad);
                // In capitals, the digits are the same.
                assert!(parsed.is_err() || parsed == Ok(Command::Cancel("1f0c")), "{bad:?}: {parsed:?}");
            }
        }
    }

    #[test]
    fn each_command_has_its_usage() {
        for (line, usage) in USAGE {
            let word = line.split(' ').next().unwrap();
            let wrong = alloc::format!("{word} a b c d");
            assert_eq!(Command::parse(&wrong), Err(CommandError::Usage(line)), "{usage}");
        }
        assert_eq!(Command::parse("sudo"), Err(CommandError::Unknown("sudo")));
        assert_eq!(Command::parse(""), Err(CommandError::Unknown("")));
        for wrong in ["install many 00", "install 1", "install 1 0 x", "install 1 0 -1", "install 1 0 1 1"] {
            assert!(matches!(Command::parse(wrong), Err(CommandError::Usage(_))), "{wrong}");
        }
        assert!(matches!(Command::parse("run a:b priority=urgent"), Err(CommandError::Usage(_))));
        assert_eq!(Command::parse(": 0 00000000 AA"), Ok(Command::Data(None)));
    }
}
