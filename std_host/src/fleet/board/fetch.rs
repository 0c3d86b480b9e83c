//! What the board has stored of a job, on its way into the fleet.
//!
//! A board stores a job's base, newest checkpoint and journal together, and gives all of it between two slices of any job. So what it
//! gives of a job that runs is as good as what it would come back from after a power cut.

use std::{
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    time::Instant,
};

use toehold::{Bundle, Checkpoint, FormatError, JobRecord, JobState, Uuid};

use super::{
    super::{
        FleetError,
        entry::Changed,
        owned::{Ask, Done},
        state::gives_up,
    },
    keeper::Keeper,
    kept::{Phase, Trouble},
    merge,
    refusals::Refused,
};
use crate::{
    board::BoardError,
    manager::{EventKind, unix_now},
};

/// Where it is not known what the fleet has: no job comes to that.
const UNKNOWN: (u64, u64) = (u64::MAX, u64::MAX);

/// Something that was written of a job, and is not durable yet.
pub(super) struct Pending {
    told: Receiver<Result<(), FleetError>>,
    then: Then,
    /// The record that was written.
    record: JobRecord,
    /// The board's checkpoint that was written, if it was another one than before.
    sequence: Option<u64>,
}

/// What is done once something is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The job goes on.
    GoOn,
    /// It is given up: the fleet says so.
    GiveUp,
    /// It is given back.
    GiveBack,
}

impl Keeper {
    /// Writes into the fleet what the board has of a job.
    pub(super) fn fetch(&mut self, job: Uuid, then: Then) -> Result<(), Trouble> {
        let Some(fleet) = self.jobs.saved(job) else { return Ok(()) };
        let bundle = self.board()?.export(&job.to_string())?;
        let board = decode(&bundle)?;
        let Some(kept) = self.kept.get_mut(&job) else { return Ok(()) };
        // Where it is not written after all, this is set back.
        kept.known = (board.report.checkpoints, board.fuel_used);
        kept.known_at = Instant::now();
        let (hash, name) = (board.module_hash, board.name().to_owned());
        if hash != kept.record.module_hash {
            let reason = "it has another version of the extension by now, and has taken the job over to that";
            return Err(Trouble::Refused(Refused::Module(kept.record.module_hash), reason.to_owned()));
        }
        if let Some(method) = merge::lacking(&bundle.journal).map_err(damaged)? {
            let reason = format!("it has no {method}, which the job calls");
            return Err(Trouble::Refused(Refused::Kind(hash, name), reason));
        }
        let sequence = sequence(&bundle.newest)?;
        let before = self::sequence(&fleet.newest)?;
        if sequence < before {
            let reason = format!("it has checkpoint {sequence} of the job, and the fleet has {before}");
            return Err(Trouble::Refused(Refused::Job(job), reason));
        }
        let (state, then, attempt) = judge(&kept.record, &board, then);
        let failed = board.reason.clone().filter(|_| board.state == JobState::Failed && !state.is_final());
        let mut record = merge::record(&kept.record, board, state, unix_now());
        record.attempt = attempt;
        if failed.is_some() {
            self.refusals.note(Refused::Job(job));
            record.reason = failed;
        }
        let changes = merge::changes(&fleet, &bundle, &record);
        self.write(job, changes, record, then, (sequence > before).then_some(sequence));
        Ok(())
    }

    /// Has something written of a job.
    pub(super) fn write(
        &mut self,
        job: Uuid,
        changes: Vec<Changed>,
        record: JobRecord,
        then: Then,
        sequence: Option<u64>,
    ) {
        let (tell, told) = sync_channel(1);
        let done: Done = Box::new(move |written| {
            // Whoever asked may have let go of the job.
            let _ = tell.send(written);
        });
        // Where it is this process's no longer, it is let go of soon.
        if self.jobs.ask(job, Ask::Change(changes, done)).is_ok()
            && let Some(kept) = self.kept.get_mut(&job)
        {
            kept.pending = Some(Pending { told, then, record, sequence });
        }
    }

    /// Hears what has become durable.
    pub(super) fn hear_of_writes(&mut self) {
        let jobs: Vec<Uuid> = self.kept.keys().copied().collect();
        for job in jobs {
            let Some(kept) = self.kept.get_mut(&job) else { continue };
            let Some(pending) = &kept.pending else { continue };
            let written = match pending.told.try_recv() {
                Ok(written) => written,
                Err(TryRecvError::Empty) => continue,
                Err(TryRecvError::Disconnected) => Err(FleetError::Fenced { job }),
            };
            let Some(pending) = kept.pending.take() else { continue };
            match written {
                Ok(()) => self.written(job, pending),
                // It is let go of soon.
                Err(FleetError::Fenced { .. }) => {}
                Err(error) => {
                    kept.known = UNKNOWN;
                    log::warn!("job {job}: {error}; it is tried again");
                }
            }
        }
    }

    fn written(&mut self, job: Uuid, pending: Pending) {
        let Pending { then, record, sequence, .. } = pending;
        let Some(kept) = self.kept.get_mut(&job) else { return };
        kept.record = record.clone();
        if then == Then::GiveBack {
            kept.phase = Phase::Leaving;
            kept.look_at = Instant::now();
            self.remove(job);
        } else if then == Then::GiveUp {
            kept.phase = Phase::Gone;
        }
        if let Some(sequence) = sequence {
            let (items, bytes) = (record.report.items, record.report.bytes);
            let fuel_used = record.fuel_used;
            self.tell(job, &EventKind::Checkpoint { sequence, items, bytes, fuel_used });
        }
        match record.state {
            JobState::Completed => self.tell(job, &EventKind::Completed),
            JobState::Cancelled => self.tell(job, &EventKind::Cancelled),
            JobState::Failed => {
                self.tell(job, &EventKind::Failed { error: record.reason.unwrap_or_default() });
            }
            JobState::Paused => self.tell(job, &EventKind::Paused { reason: record.reason }),
            JobState::Queued | JobState::Running => {}
        }
    }
}

/// How a job stands in the fleet that stands so on the board, what is done then, and which attempt it is at.
fn judge(fleet: &JobRecord, board: &JobRecord, then: Then) -> (JobState, Then, u32) {
    let words = board.last_words.as_ref().filter(|words| words.fault && board.state == JobState::Failed);
    match words {
        // What is too much for a board may not be for others.
        Some(words) if words.cause.contains("memory") || words.cause.contains("limit") => {
            (JobState::Queued, Then::GiveBack, fleet.attempt)
        }
        // Boards have fewer attempts.
        Some(_) if board.attempt < fleet.attempts => {
            (JobState::Queued, Then::GiveBack, board.attempt.saturating_add(1))
        }
        // Also where it was to go on a moment ago.
        _ if board.state.is_final() => (board.state, Then::GiveUp, board.attempt),
        _ if then == Then::GiveBack => (JobState::Queued, then, board.attempt),
        _ if then == Then::GiveUp && gives_up(board.state) => (board.state, then, board.attempt),
        // It was resumed at the board a moment ago, or goes on anyway.
        _ => (JobState::Running, Then::GoOn, board.attempt),
    }
}

pub(super) fn decode(bundle: &Bundle) -> Result<JobRecord, Trouble> {
    JobRecord::decode(&bundle.record).map_err(damaged)
}

fn sequence(checkpoint: &[u8]) -> Result<u64, Trouble> {
    Checkpoint::decode(checkpoint).map(|checkpoint| checkpoint.sequence).map_err(damaged)
}

fn damaged(error: FormatError) -> Trouble {
    let (code, message) = ("bad_bundle".to_owned(), error.to_string());
    Trouble::Board(BoardError::Refused { code, message, again: false })
}
