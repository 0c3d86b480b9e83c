//! What the console says, carried out.

use alloc::{format, vec::Vec};

use toehold::{
    Priority, Trust, Uuid,
    console::{Command, CommandError, LineWriter},
};

use crate::{Board, Clock, Depot, Memory, Shell, port::Received, show, steer::Refusal};

impl<B: Board> Shell<B> {
    /// Carries out a line, and answers it.
    #[inline(never)]
    pub(crate) fn receive(&mut self, line: &Received) {
        let answer = match line {
            Ok(line) if line.trim().is_empty() => return,
            Ok(line) => match Command::parse(line) {
                // Not with all others: it loads a module, and their answers would lie on the stack meanwhile.
                Ok(Command::Run { job, id, priority, state }) => self.run_job(job, id, priority, state),
                Ok(command) => self.carry_out(command),
                Err(error @ CommandError::Usage(_)) => Err(not_a_command(&error)),
                Err(error) => self.take_noise(&error),
            },
            Err(error) => self.take_noise(error),
        };
        match answer {
            Ok(Some(line)) => self.port.write_line(&line.finish()),
            Ok(None) => {}
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// What is no command is a line of data that was damaged, where data is on its way.
    fn take_noise(&mut self, error: &CommandError<'_>) -> Result<Option<LineWriter>, Refusal> {
        if self.transfer.is_some() { self.take_data(None) } else { Err(not_a_command(error)) }
    }

    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        let line = LineWriter::new(&format!("err {}", refusal.code)).field("message", &refusal.text);
        self.port.write_line(&line.finish());
    }

    /// `None` where the answer comes later: once all data is there.
    #[inline(never)]
    fn carry_out(&mut self, command: Command<'_>) -> Result<Option<LineWriter>, Refusal> {
        // Whoever begins something else has given up on it.
        if !matches!(command, Command::Data(_) | Command::Abort) {
            self.drop_transfer();
        }
        let done = || Some(LineWriter::new("ok"));
        let of = |id: Uuid| Some(LineWriter::new("ok").field("id", id));
        match command {
            Command::Help => {
                for (usage, text) in Command::usage() {
                    self.port.write_line(&format!("# {usage:<32} {text}"));
                }
                Ok(done())
            }
            Command::Info => self.info().map(Some),
            Command::List => self.list().map(Some),
            Command::Run { job, id, priority, state } => self.run_job(job, id, priority, state),
            Command::Status(name) => {
                let id = self.find(name)?;
                let record = self.record(id)?;
                self.port.write_line(&show::job(id, &record));
                Ok(of(id))
            }
            Command::Pause(name) => self.steer(name, Self::pause),
            Command::Resume(name) => self.steer(name, Self::resume),
            Command::Cancel(name) => self.steer(name, Self::cancel),
            Command::Remove(name) if self.is_installed(name)? => self.remove_extension(name).map(|()| done()),
            Command::Remove(name) => self.steer(name, Self::remove_job),
            Command::Install { bytes, checksum, schemas } => {
                self.begin_install(bytes, checksum, schemas).map(|()| None)
            }
            Command::Export(name) => {
                let id = self.find(name)?;
                self.export(id).map(Some)
            }
            Command::Import { bytes, checksum, paused } => {
                self.begin_import(bytes, checksum, paused).map(|()| None)
            }
            Command::Data(data) => self.take_data(data),
            Command::Abort => {
                self.drop_transfer();
                Ok(done())
            }
            Command::Events(on) => {
                self.events = on;
                Ok(done())
            }
            _ => Err(Refusal::new("unknown", "this firmware does not know the command")),
        }
    }

    #[inline(never)]
    fn run_job(
        &mut self,
        job: &str,
        id: Option<Uuid>,
        priority: Priority,
        state: &str,
    ) -> Result<Option<LineWriter>, Refusal> {
        self.drop_transfer();
        let id = self.dispatch(job, id, priority, state)?;
        Ok(Some(LineWriter::new("ok").field("id", id)))
    }

    fn steer(
        &mut self,
        name: &str,
        steer: fn(&mut Self, Uuid) -> Result<(), Refusal>,
    ) -> Result<Option<LineWriter>, Refusal> {
        let id = self.find(name)?;
        steer(self, id)?;
        Ok(Some(LineWriter::new("ok").field("id", id)))
    }

    #[inline(never)]
    fn info(&mut self) -> Result<LineWriter, Refusal> {
        let room = self.store.room().map_err(|error| Self::flash(&error))?;
        let uptime = self.clock.now().saturating_sub(self.started);
        Ok(LineWriter::new("ok")
            .field("version", self.config.firmware)
            .field("uptime_ms", uptime)
            .field("memory_free", self.memory.free())
            .field("memory_total", self.memory.total())
            .maybe("memory_never_used", self.memory.never_used())
            .maybe("stack_never_used", self.memory.stack_never_used())
            .field("flash_used", room.used)
            .field("flash_total", room.total)
            .field("signed", matches!(self.config.trust, Trust::Signed(_))))
    }

    #[inline(never)]
    fn list(&mut self) -> Result<LineWriter, Refusal> {
        let extensions = self.list_extensions()?;
        let mut jobs: Vec<Uuid> =
            toehold::Store::jobs(&mut self.store).map_err(|error| Self::flash(&error))?;
        jobs.sort_unstable();
        for id in &jobs {
            match self.record(*id) {
                Ok(record) => self.port.write_line(&show::job(*id, &record)),
                Err(refusal) => {
                    let line = LineWriter::new("- job").field("id", id).field("unreadable", &refusal.text);
                    self.port.write_line(&line.finish());
                }
            }
        }
        Ok(LineWriter::new("ok").field("extensions", extensions).field("jobs", jobs.len()))
    }
}

fn not_a_command(error: &CommandError<'_>) -> Refusal {
    let code = match error {
        CommandError::Unknown(_) => "unknown",
        CommandError::Usage(_) => "usage",
        CommandError::TooLong => "too_long",
        CommandError::Damaged => "damaged",
        _ => "not_text",
    };
    Refusal::new(code, error)
}
