use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use toehold::{
    Uuid,
    console::{Command, Data, LINE_BYTES, Line},
};

use super::{BoardError, Link, Record};

/// A board that answers.
pub struct Board {
    link: Box<dyn Link>,
    port: String,
    answer_time: Duration,
    received: Vec<u8>,
    happened: VecDeque<Happened>,
    /// Lines that came in and are no text.
    garbage: u64,
    /// How often it was asked whether it is in step.
    greetings: u32,
}

/// What a board told unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// Something happened to a job.
    Event(Record),
    /// A line for people.
    Remark(String),
    /// The board was reset; this is what it said then. Its jobs go on.
    Reset(String),
}

/// That a command was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was asked for.
    pub items: Vec<Record>,
    /// What the last line says.
    pub fields: Record,
    /// Data that was asked for.
    pub(super) data: Vec<u8>,
    /// Whether some of that is missing.
    pub(super) is_damaged: bool,
    /// How often it was asked. If more than once, an earlier time may have been heard too.
    pub asked: u32,
}

/// How often a board is asked the same.
pub(super) const TRIES: u32 = 3;
/// What takes its time on a board, with flash to be erased or a module to be loaded, may take so many times longer.
const SLOW: u32 = 12;
/// What was told and nobody has read yet.
const MOST_HAPPENED: usize = 10_000;
/// Bytes without an end of a line: no board's.
const LONGEST_LINE: usize = 8 * LINE_BYTES;

impl Board {
    /// A board behind a link that was just opened, once it has answered. `port` is what errors call it.
    ///
    /// # Errors
    /// [`BoardError::NoAnswer`] and others about the link.
    pub fn new(link: Box<dyn Link>, port: &str, answer_time: Duration) -> Result<Self, BoardError> {
        let mut board = Self {
            link,
            port: port.to_owned(),
            answer_time,
            received: Vec::new(),
            happened: VecDeque::new(),
            garbage: 0,
            greetings: 0,
        };
        board.get_in_step()?;
        Ok(board)
    }

    /// Asks for something, again if no answer comes: a command that does the same when it is carried out twice.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn ask(&mut self, command: &Command<'_>) -> Result<Answer, BoardError> {
        let time = if is_slow(command) { self.slow_time() } else { self.answer_time };
        self.exchange(command, time, &mut |_| None)
    }

    /// Removes a job that is over, or an extension that has no job.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn remove(&mut self, name: &str) -> Result<(), BoardError> {
        match self.ask(&Command::Remove(name)) {
            // The first time it was heard.
            Err(error) if error.is_again("unknown_job") => Ok(()),
            removed => removed.map(drop),
        }
    }

    /// Asks a job to stand still, to go on, or to end.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn steer(&mut self, command: &Command<'_>) -> Result<(), BoardError> {
        match self.ask(command) {
            Err(error) if error.is_again("over") => Ok(()),
            steered => steered.map(drop),
        }
    }

    /// What the board has told unasked, or tells within this time.
    ///
    /// # Errors
    /// [`BoardError`] about the link.
    pub fn happened(&mut self, time: Duration) -> Result<Option<Happened>, BoardError> {
        let until = Instant::now() + time;
        loop {
            if let Some(happened) = self.happened.pop_front() {
                return Ok(Some(happened));
            }
            let Some(line) = self.line(until)? else { return Ok(None) };
            self.note(&line);
        }
    }

    pub(super) fn slow_time(&self) -> Duration {
        self.answer_time.saturating_mul(SLOW)
    }

    /// What errors call it.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Asks, and answers what the board wants to know meanwhile with `feed`, which gets the offset of the data that the board wants.
    pub(super) fn exchange(
        &mut self,
        command: &Command<'_>,
        time: Duration,
        feed: &mut dyn FnMut(u32) -> Option<Data>,
    ) -> Result<Answer, BoardError> {
        let line = command.to_line();
        if line.len() > LINE_BYTES {
            return Err(BoardError::TooLong { bytes: line.len() });
        }
        let mut tries = 0;
        loop {
            tries += 1;
            self.send(&line)?;
            let error = match self.answer(time, tries > 1, feed) {
                Ok(answer) => return Ok(Answer { asked: tries, ..answer }),
                Err(error) => error,
            };
            if tries == TRIES || !may_pass(&error) {
                return Err(error);
            }
            self.get_in_step()?;
        }
    }

    fn answer(
        &mut self,
        time: Duration,
        again: bool,
        feed: &mut dyn FnMut(u32) -> Option<Data>,
    ) -> Result<Answer, BoardError> {
        let mut answer = Answer::default();
        let mut until = Instant::now() + time;
        loop {
            let Some(text) = self.line(until)? else { return Err(self.no_answer(time)) };
            match Line::parse(&text) {
                Line::Item(kind, fields) => answer.items.push(Record::new(kind, fields)),
                Line::Data(Some(data)) if usize::try_from(data.offset) == Ok(answer.data.len()) => {
                    answer.data.extend(data.bytes);
                }
                Line::Data(_) => answer.is_damaged = true,
                Line::Wanted(offset) => {
                    if let Some(data) = feed(offset) {
                        self.send(&data.to_string())?;
                    }
                }
                Line::Ok(fields) => {
                    answer.fields = Record::new("", fields);
                    return Ok(answer);
                }
                Line::Err(code, message) => {
                    let (code, message) = (code.to_owned(), message.into_owned());
                    return Err(BoardError::Refused { code, message, again });
                }
                Line::Event(..) | Line::Remark(_) => {
                    if self.note(&text) {
                        return Err(BoardError::Reset { port: self.port.clone() });
                    }
                    // It is not the answer: that may be lost.
                    continue;
                }
            }
            until = Instant::now() + time;
        }
    }

    /// Makes sure that the next answer is that of the next command: after a start in the middle of something, or when an
    /// answer got lost. A word that no board knows comes back in an error, and after that nothing is on its way.
    pub(super) fn get_in_step(&mut self) -> Result<(), BoardError> {
        let until = Instant::now() + self.answer_time;
        let mut wait = self.answer_time / 8;
        loop {
            self.greetings += 1;
            let word = format!("desk-{}-{}", Uuid::new_v4().simple(), self.greetings);
            // The first ends a line that was begun, the second data that is waited for.
            self.send(&format!("\n{}\n{word}", Command::Abort.to_line()))?;
            let next = until.min(Instant::now() + wait);
            while let Some(text) = self.line(next)? {
                match Line::parse(&text) {
                    Line::Err(_, message) if message.contains(&word) => return Ok(()),
                    // It has not heard what was sent before.
                    Line::Event(..) | Line::Remark(_) if self.note(&text) => break,
                    _ => {}
                }
            }
            if Instant::now() >= until {
                return Err(self.no_answer(self.answer_time));
            }
            wait *= 2;
        }
    }

    fn no_answer(&self, within: Duration) -> BoardError {
        let hint = if self.garbage > 0 {
            "what came is no text: is the baud rate right, and is it a board with Toehold?"
        } else {
            "is the firmware running? is it the right port, and does nobody else use it? is the baud rate right?"
        };
        BoardError::NoAnswer { port: self.port.clone(), within, hint }
    }

    fn send(&mut self, line: &str) -> Result<(), BoardError> {
        let sent = self.link.send(format!("{line}\n").as_bytes());
        sent.map_err(|source| BoardError::Link { port: self.port.clone(), source })
    }

    /// The next line that comes, without its end.
    fn line(&mut self, until: Instant) -> Result<Option<String>, BoardError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.truncate(end);
                let text = String::from_utf8(line);
                self.garbage += u64::from(text.is_err());
                return Ok(Some(text.unwrap_or_default()));
            }
            if self.received.len() > LONGEST_LINE {
                self.garbage += 1;
                self.received.clear();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut buffer = [0; 1024];
            match self.link.receive(&mut buffer, left) {
                Ok(None) => {}
                Ok(Some(0)) => return Err(BoardError::Closed { port: self.port.clone() }),
                Ok(Some(count)) => self.received.extend(buffer.iter().take(count)),
                Err(source) => return Err(BoardError::Link { port: self.port.clone(), source }),
            }
        }
    }

    /// Keeps what was told unasked. Whether it was that the board was reset.
    fn note(&mut self, text: &str) -> bool {
        let happened = match Line::parse(text) {
            Line::Event(kind, fields) => Happened::Event(Record::new(kind, fields)),
            Line::Remark(text) if text.trim().is_empty() => return false,
            Line::Remark(text) => {
                match text.strip_prefix("# ").and_then(|text| text.strip_suffix(" ready")) {
                    Some(firmware) => Happened::Reset(firmware.to_owned()),
                    None => Happened::Remark(text.trim_start_matches("# ").to_owned()),
                }
            }
            // An answer that nobody waits for any more.
            _ => return false,
        };
        let is_reset = matches!(happened, Happened::Reset(_));
        if self.happened.len() < MOST_HAPPENED {
            self.happened.push_back(happened);
        }
        is_reset
    }
}

/// What a board may do for longer than it takes to answer.
fn is_slow(command: &Command<'_>) -> bool {
    !matches!(
        command,
        Command::Help | Command::Info | Command::Status(_) | Command::Events(_) | Command::Abort
    )
}

/// Whether it may go well when it is asked again: a line was lost or damaged, or the board was reset.
fn may_pass(error: &BoardError) -> bool {
    let damaged = ["unknown", "usage", "too_long", "not_text", "damaged", "timeout", "checksum", "unasked"];
    match error {
        BoardError::NoAnswer { .. } | BoardError::Reset { .. } => true,
        error => damaged.iter().any(|code| error.is(code)),
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("port", &self.port).finish_non_exhaustive()
    }
}
