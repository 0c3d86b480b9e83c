//! The jobs that are held for the board: which of them needs something, and those that go.

use std::time::{Duration, Instant};

use toehold::{Interrupt, JobRecord, JobState, Uuid};

use super::{
    super::{FleetError, entry::Changed, owned::Ask},
    fetch::{Pending, Then},
    keeper::{Keeper, LOOK, after},
    merge,
    refusals::Refused,
};
use crate::{board::BoardError, manager::unix_now};

/// A job that is this process's.
pub(super) struct Kept {
    /// The how many-th claim of the job it is.
    pub(super) epoch: u64,
    /// As the fleet has it.
    pub(super) record: JobRecord,
    pub(super) phase: Phase,
    pub(super) module: Module,
    /// What is wanted of it in the fleet.
    pub(super) wanted: Interrupt,
    /// What the board was told of that last.
    pub(super) told: Interrupt,
    /// When it is looked at next.
    pub(super) look_at: Instant,
    /// What the fleet has, as the board counts it: checkpoints and fuel, and since when.
    pub(super) known: (u64, u64),
    pub(super) known_at: Instant,
    /// Since when it stands still on the board without anybody wanting that.
    pub(super) waits_since: Option<Instant>,
    /// Since when the board can't do what is to be done for it.
    pub(super) fails_since: Option<Instant>,
    /// It is to be given back, at the latest then.
    pub(super) give_back_by: Option<Instant>,
    /// What was written and is not durable yet.
    pub(super) pending: Option<Pending>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is to be brought to the board.
    Coming,
    /// The board has it.
    There,
    /// The fleet has all of it: it is given back once the board does not have it any more.
    Leaving,
    /// It was given back, or is about to be found lost.
    Gone,
}

/// Whether the board has the module of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    /// It may have it.
    Unknown,
    /// It does not.
    Missing,
    /// It was just installed.
    Installed,
}

/// Why something was not done for a job.
pub(super) enum Trouble {
    /// The link to the board is in doubt.
    Board(BoardError),
    /// The job is for others, for this reason.
    Refused(Refused, String),
    /// The fleet could not be asked.
    Fleet(FleetError),
}

impl From<BoardError> for Trouble {
    fn from(error: BoardError) -> Self {
        Self::Board(error)
    }
}

/// Milliseconds until another attempt, at most.
const LONGEST_BACKOFF: u64 = 300_000;

impl Keeper {
    /// A job is this process's from now on.
    pub(super) fn take(&mut self, job: Uuid, epoch: u64, record: JobRecord) {
        let now = Instant::now();
        // Another one's clock may be wrong.
        let wait = record.retry_at.map_or(0, |at| at.saturating_sub(unix_now())).min(LONGEST_BACKOFF);
        let wanted = record.wanted;
        let kept = Kept {
            epoch,
            phase: Phase::Coming,
            module: Module::Unknown,
            wanted,
            told: Interrupt::None,
            look_at: after(Duration::from_millis(wait)),
            known: (record.report.checkpoints, record.fuel_used),
            known_at: now,
            waits_since: None,
            fails_since: None,
            give_back_by: None,
            pending: None,
            record,
        };
        self.kept.insert(job, kept);
        // What an earlier time here has left behind.
        self.remove(job);
    }

    /// Does for each job what is due.
    pub(super) fn see_to_jobs(&mut self) -> Result<(), BoardError> {
        let now = Instant::now();
        let is_due = |kept: &Kept| kept.pending.is_none() && (kept.look_at <= now || stops(kept));
        let due: Vec<Uuid> = self.kept.iter().filter(|(_, kept)| is_due(kept)).map(|(job, _)| *job).collect();
        for job in due {
            match self.see_to(job) {
                Ok(()) => {
                    if let Some(kept) = self.kept.get_mut(&job) {
                        kept.fails_since = None;
                    }
                }
                // The board is there, and can't do it by now, or the wire damages what is long.
                Err(Trouble::Board(error))
                    if error.is_refusal() || matches!(error, BoardError::Damaged { .. }) =>
                {
                    self.put_off(job, &error);
                }
                Err(Trouble::Board(error)) => return Err(error),
                Err(Trouble::Fleet(error)) => log::warn!("job {job}: {error}; it is tried again"),
                Err(Trouble::Refused(what, reason)) => self.refuse(job, what, &reason),
            }
        }
        Ok(())
    }

    /// The board can't do something for a job by now. Where that lasts for longer than the lease, the job goes back as the fleet has it.
    fn put_off(&mut self, job: Uuid, error: &BoardError) {
        log::info!("job {job}: {error}; it is tried again");
        let Some(kept) = self.kept.get_mut(&job) else { return };
        let since = *kept.fails_since.get_or_insert_with(Instant::now);
        if stops(kept) {
            // There is no time for that: what the fleet has of it has to do.
            kept.phase = Phase::Leaving;
            self.remove(job);
        } else if since.elapsed() >= self.link.lease && matches!(kept.phase, Phase::Coming | Phase::There) {
            self.refuse(job, Refused::Job(job), &error.to_string());
        }
    }

    fn see_to(&mut self, job: Uuid) -> Result<(), Trouble> {
        let is_leftover = self.is_leftover(job);
        let Some(kept) = self.kept.get_mut(&job) else { return Ok(()) };
        kept.look_at = after(LOOK);
        match kept.phase {
            Phase::Coming if matches!(kept.wanted, Interrupt::Pause | Interrupt::Cancel) => {
                self.end_unbrought(job);
                Ok(())
            }
            Phase::Coming | Phase::Leaving if is_leftover => {
                kept.look_at = Instant::now();
                Ok(())
            }
            Phase::Coming => self.bring(job),
            Phase::There => self.look(job),
            Phase::Leaving => {
                self.release(job);
                Ok(())
            }
            // Nothing comes of it where the fleet had no room for it, or where it is done by now.
            Phase::Gone => {
                self.release(job);
                Ok(())
            }
        }
    }

    /// Writes that a job is paused or cancelled that the board does not have.
    fn end_unbrought(&mut self, job: Uuid) {
        let Some(kept) = self.kept.get(&job) else { return };
        let state = if kept.wanted == Interrupt::Pause { JobState::Paused } else { JobState::Cancelled };
        let record = merge::record(&kept.record, kept.record.clone(), state, unix_now());
        let change = Changed { record: Some(record.encode()), ..Changed::default() };
        self.write(job, vec![change], record, Then::GiveUp, None);
    }

    /// Gives a job back to the fleet.
    pub(super) fn release(&mut self, job: Uuid) {
        if let Some(kept) = self.kept.get_mut(&job) {
            kept.phase = Phase::Gone;
            kept.look_at = after(LOOK);
        }
        // Where it is this process's no longer, it is let go of soon.
        drop(self.jobs.ask(job, Ask::Release));
    }

    /// Gives a job back that the board can't have, with the reason, and does not take it again for a while.
    fn refuse(&mut self, job: Uuid, what: Refused, reason: &str) {
        let reason = format!("board {}: {reason}", self.config.name);
        log::warn!("job {job} is given back: {reason}");
        self.refusals.note(what);
        let Some(kept) = self.kept.get_mut(&job) else { return };
        let record = JobRecord { state: JobState::Queued, reason: Some(reason), ..kept.record.clone() };
        let change = Changed { record: Some(record.encode()), ..Changed::default() };
        // For people: nothing depends on it.
        drop(self.jobs.ask(job, Ask::Change(vec![change], Box::new(drop))));
        if kept.phase == Phase::Coming {
            self.release(job);
        } else {
            // First it must be gone, so that it never runs twice.
            kept.phase = Phase::Leaving;
            kept.look_at = Instant::now();
            self.remove(job);
        }
    }
}

/// Whether the time is over in which a job may come to stand still by itself.
pub(super) fn stops(kept: &Kept) -> bool {
    kept.phase == Phase::There && kept.give_back_by.is_some_and(|by| by <= Instant::now())
}
