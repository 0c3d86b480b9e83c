//! What is done to a store: the same in each run of a test.

use alloc::{boxed::Box, collections::BTreeSet, sync::Arc, vec::Vec};
use core::fmt;

use uuid::Uuid;

use super::sample;
use crate::{Change, Commit};

/// How much is done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Runs, each on a new store.
    pub runs: u32,
    /// Changes, removals and restarts in each run.
    pub steps: u32,
    /// Jobs that there are at a time, at most.
    pub jobs: u32,
    /// Bytes of the largest state, of which there are few.
    pub state_bytes: usize,
    /// Bytes of the longest piece of a journal, of which there are few.
    pub journal_bytes: usize,
}

impl Default for Plan {
    /// What a store on a disk should stand.
    fn default() -> Self {
        Self { runs: 3, steps: 300, jobs: 40, state_bytes: 300_000, journal_bytes: 100_000 }
    }
}

impl Plan {
    /// What fits on a board, or is to be repeated for each power cut.
    #[must_use]
    pub fn small() -> Self {
        Self { runs: 3, steps: 40, jobs: 3, state_bytes: 600, journal_bytes: 300 }
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Vec<Action>> {
        (1..=self.runs).map(|seed| {
            let mut random = Random::new(u64::from(seed));
            let mut there = BTreeSet::new();
            (0..self.steps).map(|step| self.action(&mut random, &mut there, step)).collect()
        })
    }

    pub(super) fn action(&self, random: &mut Random<'_>, there: &mut BTreeSet<u32>, step: u32) -> Action {
        let number = random.below(self.jobs.max(1));
        let job = Uuid::from_u128(u128::from(number) | 0xfeed << 96);
        if random.below(24) == 0 {
            return Action::Reopen;
        }
        if random.below(20) == 0 {
            there.remove(&number);
            return Action::Remove(job);
        }
        let new = there.insert(number);
        let record = random.unscripted(|random| sample::record(random, number, step));
        if new {
            let mut commit = Commit::first(sample::checkpoint(random, job, step, self.state_bytes));
            // One that comes from another store has a journal already.
            if random.below(4) == 0 {
                commit.journal = sample::journal(random, self.journal_bytes);
            }
            let change = Change { record: Some(record), commit: Some(Arc::new(commit)) };
            return Action::Change(job, Box::new(change));
        }
        let record = (random.below(3) == 0).then_some(record);
        if record.is_some() && random.below(2) == 0 {
            return Action::Change(job, Box::new(Change { record, commit: None }));
        }
        let commit = Commit {
            number: u64::from(step),
            new_run: random.below(6) == 0,
            journal: if random.below(3) == 0 {
                Vec::new()
            } else {
                sample::journal(random, self.journal_bytes)
            },
            checkpoint: (random.below(2) == 0)
                .then(|| Arc::new(sample::checkpoint(random, job, step, self.state_bytes))),
        };
        Action::Change(job, Box::new(Change { record, commit: Some(Arc::new(commit)) }))
    }
}

/// One thing that is done to a store.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Change(Uuid, Box<Change>),
    Remove(Uuid),
    Reopen,
}

impl Action {
    /// The job that it is about.
    pub(super) fn job(&self) -> Option<Uuid> {
        match self {
            Self::Change(job, _) | Self::Remove(job) => Some(*job),
            Self::Reopen => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reopen => f.write_str("closed and opened again"),
            Self::Remove(job) => write!(f, "job {job} removed"),
            Self::Change(job, change) => {
                write!(f, "job {job}:")?;
                if change.record.is_some() {
                    f.write_str(" a record")?;
                }
                let Some(commit) = &change.commit else { return Ok(()) };
                if commit.new_run {
                    f.write_str(" a new run")?;
                }
                if !commit.journal.is_empty() {
                    write!(f, " {} bytes of journal", commit.journal.len())?;
                }
                if let Some(checkpoint) = &commit.checkpoint {
                    write!(f, " checkpoint {} with {} bytes", checkpoint.sequence, checkpoint.state.len())?;
                }
                Ok(())
            }
        }
    }
}

/// xorshift64*: enough to vary tests. What decides comes from a script instead, as long as there is one.
#[derive(Clone, Debug)]
pub(super) struct Random<'s> {
    state: u64,
    script: &'s [u8],
}

impl<'s> Random<'s> {
    fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, script: &[] }
    }

    /// Whoever writes `script` decides.
    pub(super) fn scripted(script: &'s [u8]) -> Self {
        Self { script, ..Self::new(1) }
    }

    /// Whether the script is at its end.
    pub(super) fn is_over(&self) -> bool {
        self.script.is_empty()
    }

    /// For what decides nothing, and so needs none of the script.
    pub(super) fn unscripted<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> T {
        let script = core::mem::take(&mut self.script);
        let drawn = draw(self);
        self.script = script;
        drawn
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// As many bytes of the script as a number below `end` has.
    fn scripted_below(&mut self, end: u32) -> Option<u32> {
        let bytes = if end <= 1 << 8 { 1 } else { 2 };
        let (taken, rest) = self.script.split_at_checked(bytes)?;
        self.script = rest;
        Some(taken.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) % end)
    }

    /// Evenly, from 0 up to below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        if let Some(number) = self.scripted_below(end) {
            return number;
        }
        let high = u64::from((self.next() >> 32) as u32);
        // Less than `end`, so it fits.
        ((high * u64::from(end)) >> 32) as u32
    }

    /// Up to `most` bytes: mostly few, at times none or all of them.
    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let count = match self.below(16) {
            0 => 0,
            1 => most,
            2 => self.below(most.max(1)),
            3..8 => self.below(most.clamp(1, 5_000)),
            _ => self.below(most.clamp(1, 200)),
        };
        // What they are decides nothing.
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}
