//! How a job stands on the board, and what follows from that.

use std::time::Instant;

use toehold::{Interrupt, Uuid, console::Command};

use super::{
    fetch::{Then, decode},
    keeper::Keeper,
    kept::{Trouble, stops},
    refusals::Refused,
};
use crate::board::Record;

/// What boards say of a job that has returned as if it had been interrupted: it waits for a person.
const BY_ITSELF: &str = "the job stopped by itself";

impl Keeper {
    /// Looks how a job stands, and sees to what follows from that.
    pub(super) fn look(&mut self, job: Uuid) -> Result<(), Trouble> {
        let name = job.to_string();
        let Some(status) = self.status(&name)? else {
            return Err(Trouble::Refused(Refused::Job(job), "it has the job no longer".to_owned()));
        };
        let Some(kept) = self.kept.get_mut(&job) else { return Ok(()) };
        let is_paused = status.get("state") == Some("paused");
        let is_queued = status.get("state") == Some("queued") && status.get("reason").is_none();
        if !is_paused && !is_queued {
            kept.waits_since = None;
        }
        let waits_since = *kept.waits_since.get_or_insert_with(Instant::now);
        let gives_back = kept.give_back_by.is_some();
        // A cancel comes before all else.
        let wanted = match kept.wanted {
            Interrupt::None if gives_back => Interrupt::Pause,
            wanted => wanted,
        };
        let (told, reason) = (kept.told, status.get("reason"));
        match wanted {
            _ if is_over(&status) => self.fetch(job, Then::GiveUp),
            _ if stops(kept) => self.fetch(job, Then::GiveBack),
            Interrupt::Pause if is_paused && gives_back => self.fetch(job, Then::GiveBack),
            Interrupt::Pause if is_paused => self.fetch(job, Then::GiveUp),
            Interrupt::None if told == Interrupt::Pause => self.say(job, wanted, &Command::Resume(&name)),
            Interrupt::Pause => self.say(job, wanted, &Command::Pause(&name)),
            Interrupt::Cancel => self.say(job, wanted, &Command::Cancel(&name)),
            Interrupt::None if is_paused => match reason {
                // Somebody has paused it at the board, or it waits for somebody.
                None => self.fetch(job, Then::GiveUp),
                Some(reason) if reason.starts_with(BY_ITSELF) => self.fetch(job, Then::GiveUp),
                Some(reason) => self.fetch_what_waits(job, reason, waits_since),
            },
            Interrupt::None if is_queued && waits_since.elapsed() >= self.link.lease => {
                let reason = "it has no room for the job beside others";
                Err(Trouble::Refused(Refused::Job(job), reason.to_owned()))
            }
            Interrupt::None if self.is_due(job, &status) => self.fetch(job, Then::GoOn),
            Interrupt::None => Ok(()),
        }
    }

    /// Tells the board what is wanted of a job. What it can't do by now it is told again.
    fn say(&mut self, job: Uuid, wanted: Interrupt, command: &Command<'_>) -> Result<(), Trouble> {
        self.board()?.steer(command)?;
        if let Some(kept) = self.kept.get_mut(&job) {
            kept.told = wanted;
        }
        Ok(())
    }

    /// A job stands still since the board has no room for it, or for what it wants to store.
    fn fetch_what_waits(&mut self, job: Uuid, reason: &str, since: Instant) -> Result<(), Trouble> {
        let bundle = self.board()?.export(&job.to_string())?;
        let goes_on = decode(&bundle)?.wanted != Interrupt::Pause;
        // What it wants to store is offered again every few seconds.
        if goes_on && since.elapsed() < self.link.lease / 3 {
            return Ok(());
        }
        Err(Trouble::Refused(Refused::Job(job), reason.to_owned()))
    }

    /// Whether the board has more of a job than the fleet: at once where that is a checkpoint, else now and then, for
    /// effects are in the journal alone.
    fn is_due(&self, job: Uuid, status: &Record) -> bool {
        let Some(kept) = self.kept.get(&job) else { return false };
        let (checkpoints, fuel) = there(status);
        checkpoints != kept.known.0
            || (fuel != kept.known.1 && kept.known_at.elapsed() >= self.link.lease / 3)
    }
}

/// Whether a job is over, as the board says.
pub(super) fn is_over(status: &Record) -> bool {
    matches!(status.get("state"), Some("completed" | "failed" | "cancelled"))
}

/// A job's checkpoints and fuel, as the board says.
fn there(status: &Record) -> (u64, u64) {
    (status.number("checkpoints").unwrap_or_default(), status.number("fuel").unwrap_or_default())
}
