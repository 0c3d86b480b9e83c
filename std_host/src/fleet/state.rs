//! What a job's log comes to, entry by entry.

use toehold::{FormatError, Interrupt, JobRecord, JobState, Saved, Uuid};

use super::entry::{Changed, Entry, Owner, What, Whole};

/// Entries since the last whole one, from which on the next is a whole one: fewer than one request for a log gives.
const MOST_ENTRIES: u32 = 128;
/// Bytes since then that are never too many, of a job that goes on and of one that stands still.
const FEW_BYTES: usize = 64 << 10;
const FEW_BYTES_AT_REST: usize = 4 << 10;
/// How many times as large as its job the entries of one that goes on may be. Each whole entry has servers look for those that it
/// takes the place of, which costs them more than writing it.
const TIMES_ITS_JOB: usize = 4;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its sequence in the stream `JOBS`.
    pub(super) sequence: u64,
    /// Its bytes.
    pub(super) bytes: usize,
    /// Where it is in parts: the sequences of the first and the last, in the stream `PARTS`.
    pub(super) parts: Option<(u64, u64)>,
}

/// A job, as its log says.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The sequence of the last entry in the log: who writes says which one it comes after.
    pub(super) last: u64,
    /// The how many-th owner it has or had; 0 for none yet.
    pub(super) epoch: u64,
    pub(super) owner: Option<Owner>,
    pub(super) record: JobRecord,
    pub(super) saved: Saved,
    /// What somebody asked for that the record does not say yet.
    pub(super) wanted: Option<Interrupt>,
    /// The sequence of the last part of any of its entries; 0 for none.
    pub(super) last_part: u64,
    entries: u32,
    bytes: usize,
}

/// What a log came to.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few of them at a time")]
pub(super) enum Found {
    /// There is no such job, or no longer.
    Nothing {
        /// As [`State::last`], 0 where there is no entry.
        last: u64,
        /// As [`State::epoch`], so that who owned a job before it was removed is behind who owns the next one of its id.
        epoch: u64,
    },
    Job(State),
}

impl Found {
    /// Where nothing was read yet.
    pub(super) const UNREAD: Self = Self::Nothing { last: 0, epoch: 0 };

    /// The job, with what an entry adds.
    pub(super) fn apply(self, entry: Entry, at: Place) -> Result<Self, FormatError> {
        let out_of_place = FormatError::Damaged { what: "log of a job" };
        let Entry { epoch, what, .. } = entry;
        let mut state = match (self, what) {
            (_, What::Removed) => return Ok(Self::Nothing { last: at.sequence, epoch }),
            (_, What::Whole(whole)) => return State::whole(epoch, whole, at).map(Self::Job),
            (Self::Nothing { .. }, _) => return Err(out_of_place),
            (Self::Job(mut state), what) => {
                match what {
                    What::Claimed(owner) => state.owner = Some(owner),
                    What::Changed(changes) => {
                        for change in changes {
                            state.change(change)?;
                        }
                    }
                    What::Wanted(code) => state.wanted = Some(Entry::wanted(code)),
                    What::Released => state.owner = None,
                    What::Whole(_) | What::Removed => return Err(out_of_place),
                }
                state
            }
        };
        state.epoch = state.epoch.max(epoch);
        state.last = at.sequence;
        state.last_part = at.parts.map_or(state.last_part, |(_, last)| last);
        state.entries = state.entries.saturating_add(1);
        state.bytes = state.bytes.saturating_add(at.bytes);
        Ok(Self::Job(state))
    }

    pub(super) fn last(&self) -> u64 {
        match self {
            Self::Nothing { last, .. } => *last,
            Self::Job(state) => state.last,
        }
    }
}

impl State {
    fn whole(epoch: u64, whole: Whole, at: Place) -> Result<Self, FormatError> {
        let Whole { record, base, newest, journal, owner, wanted } = whole;
        let newest = if newest.is_empty() { base.clone() } else { newest };
        Ok(Self {
            last: at.sequence,
            epoch,
            owner,
            record: JobRecord::decode(&record)?,
            saved: Saved { record, base, newest, journal },
            wanted: wanted.map(Entry::wanted),
            last_part: at.parts.map_or(0, |(_, last)| last),
            entries: 0,
            bytes: 0,
        })
    }

    /// All of it, for an entry that takes the place of all others.
    pub(super) fn to_whole(&self) -> Whole {
        let Saved { record, base, newest, journal } = self.saved.clone();
        let newest = if newest == base { Vec::new() } else { newest };
        let wanted = self.wanted.map(|wanted| wanted.code());
        Whole { record, base, newest, journal, owner: self.owner, wanted }
    }

    /// Makes a change, as [`toehold::Commit`] says.
    pub(super) fn change(&mut self, change: Changed) -> Result<(), FormatError> {
        let Changed { record, new_run, journal, checkpoint } = change;
        if new_run {
            self.saved.base.clone_from(&self.saved.newest);
            self.saved.journal.clear();
        }
        self.saved.journal.extend(journal);
        if let Some(checkpoint) = checkpoint {
            self.saved.newest = checkpoint;
        }
        if let Some(record) = record {
            self.record = JobRecord::decode(&record)?;
            self.saved.record = record;
            // Whoever pauses one that nobody has knows of all that was asked before.
            let asked = self.wanted.filter(|_| self.owner.is_some());
            if revoke_pause(&mut self.record, asked) {
                self.saved.record = self.record.encode();
                self.owner = None;
            }
            if self.wanted == Some(self.record.wanted) {
                self.wanted = None;
            }
            if gives_up(self.record.state) {
                self.owner = None;
                self.wanted = None;
            }
        }
        Ok(())
    }

    /// What is asked of the job.
    pub(super) fn wants(&self) -> Interrupt {
        self.wanted.unwrap_or(self.record.wanted)
    }

    /// Whether changes of so many bytes should come as a whole entry, after which the job goes on, or stands still: a log is read
    /// whenever its job is claimed, and one at rest may lie there for years.
    pub(super) fn is_due(&self, bytes: usize, goes_on: bool) -> bool {
        let Saved { record, base, newest, journal } = &self.saved;
        let whole = [record, base, newest, journal].into_iter().map(Vec::len).fold(0, usize::saturating_add);
        let since = self.bytes.saturating_add(bytes);
        let (few, times) = if goes_on { (FEW_BYTES, TIMES_ITS_JOB) } else { (FEW_BYTES_AT_REST, 1) };
        self.entries >= MOST_ENTRIES || (since > few && since >= whole.saturating_mul(times))
    }

    pub(super) fn is_owned_by(&self, worker: Uuid) -> bool {
        self.owner.is_some_and(|owner| owner.worker == worker)
    }
}

/// Whether a job in this state has no owner: whoever wants to, may change it.
pub(super) fn gives_up(state: JobState) -> bool {
    state.is_final() || state == JobState::Paused
}

/// Where somebody had asked a job to go on, or to end, before it was written that it stands still, it wants a worker that does
/// so. Says whether that is so.
pub(super) fn revoke_pause(record: &mut JobRecord, asked: Option<Interrupt>) -> bool {
    let Some(asked @ (Interrupt::None | Interrupt::Cancel)) = asked else { return false };
    if record.state != JobState::Paused {
        return false;
    }
    (record.state, record.wanted, record.reason) = (JobState::Queued, asked, None);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests;

    fn record(state: JobState, wanted: Interrupt) -> Vec<u8> {
        JobRecord { wanted, ..tests::record("x:y", state) }.encode()
    }

    /// A job that runs, of which this is written before it is written that it is paused.
    fn paused_after(before: &[What]) -> State {
        let owner = Some(Owner { worker: Uuid::from_u128(7), since: 0 });
        let whole = Whole { record: record(JobState::Running, Interrupt::None), owner, ..Whole::default() };
        let paused =
            Changed { record: Some(record(JobState::Paused, Interrupt::Pause)), ..Changed::default() };
        let before = before.iter().cloned();
        let log = [What::Whole(whole)].into_iter().chain(before).chain([What::Changed(vec![paused])]);
        let found = (1..).zip(log).fold(Found::UNREAD, |found, (sequence, what)| {
            found.apply(Entry::new(1, what), Place { sequence, bytes: 10, parts: None }).unwrap()
        });
        let Found::Job(state) = found else { panic!("it is gone") };
        assert_eq!(JobRecord::decode(&state.saved.record).unwrap(), state.record);
        assert_eq!(state.owner, None);
        state
    }

    #[test]
    fn what_is_asked_of_a_job_before_it_stands_still_holds_once_it_does() {
        let stands = |before: &[What]| {
            let state = paused_after(before);
            (state.record.state, state.wants())
        };
        let [resume, pause, cancel] =
            [Interrupt::None, Interrupt::Pause, Interrupt::Cancel].map(|wanted| What::Wanted(wanted.code()));
        let paused = (JobState::Paused, Interrupt::Pause);
        assert_eq!(stands(&[]), paused);
        assert_eq!(stands(std::slice::from_ref(&pause)), paused);
        assert_eq!(stands(&[resume.clone(), pause.clone()]), paused);
        assert_eq!(stands(&[pause.clone(), resume.clone()]), (JobState::Queued, Interrupt::None));
        assert_eq!(stands(&[pause.clone(), cancel]), (JobState::Queued, Interrupt::Cancel));
        // By somebody else, once its worker has given it back.
        assert_eq!(stands(&[pause, resume, What::Released]), paused);
    }
}
