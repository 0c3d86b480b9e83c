//! The journal of a run: what its guest got from outside since it was entered, in order.

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::fmt;

use toehold_abi::Interrupt;

use crate::journal_entry::{CallDigest, Digest, JournalEntry, Writer};

/// A run's journal while it runs: what is to be replayed of it, and what is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// What the guest got in the run before the crash and has not got again yet.
    replay: VecDeque<JournalEntry>,
    /// Encoded entries that no commit has taken yet.
    pending: Vec<u8>,
    writer: Writer,
    /// Bytes of entries since the run was entered, stored or not.
    bytes: usize,
    /// Whether an effect was noted since the newest durable checkpoint: then only a replay brings the run back.
    effect_since_checkpoint: bool,
    /// Whether an effect was noted in this run.
    effect_in_run: bool,
    /// Whether the job can't go on from a checkpoint, so that only a replay brings it back from any effect of its run.
    replay_only: bool,
    /// Whether it was given up, because it grew too long while a checkpoint was enough to come back.
    given_up: bool,
    /// The questions whether to stop that the guest has asked, and what it was told last.
    checks: u64,
    told: i32,
    /// What was replayed, where somebody wants to see it.
    trace: Option<Vec<Replayed>>,
}

/// Something that a replay has given to the guest again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replayed {
    /// The reply to a call.
    Call {
        /// What the journal has of the call.
        call: CallDigest,
        /// The payload; empty for a call that was refused.
        payload: Vec<u8>,
        /// The reply, as JSON.
        reply: Vec<u8>,
    },
    /// The answer to a checkpoint.
    Checkpoint {
        /// The state that the guest gave.
        state: Vec<u8>,
        /// What it was told.
        durable: bool,
    },
    /// The answer to the question whether to stop, from this question on.
    Interrupt {
        /// The question, counted from 1.
        check: u64,
        /// The answer.
        interrupt: Interrupt,
    },
}

/// What a journal says of a guest's call or checkpoint.
pub(crate) enum Known<T> {
    /// It happened before, and this is what the guest got.
    Replayed(T),
    /// It was noted before, but not what came of it: it was under way at the crash.
    InDoubt,
    /// It is new.
    New,
}

/// A replay went another way than the journal.
#[derive(Debug)]
pub(crate) struct Diverged {
    pub(crate) journal: String,
    pub(crate) guest: String,
}

impl Journal {
    /// The journal of a run that is to be replayed.
    pub(crate) fn replayed(entries: Vec<JournalEntry>, writer: Writer, bytes: usize) -> Self {
        Self { replay: entries.into(), writer, bytes, ..Self::default() }
    }

    /// From now on keeps what is replayed.
    pub(crate) fn traced(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    /// For a job that can't go on from a checkpoint.
    pub(crate) fn replay_only(mut self) -> Self {
        self.replay_only = true;
        self
    }

    pub(crate) fn trace(&mut self, replayed: impl FnOnce() -> Replayed) {
        if let Some(trace) = &mut self.trace {
            trace.push(replayed());
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<Replayed> {
        self.trace.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Whether the guest still gets what it got before.
    pub(crate) fn is_replaying(&self) -> bool {
        !self.replay.is_empty()
    }

    /// Bytes of entries since the run was entered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an effect was noted in this run.
    pub(crate) fn has_effect(&self) -> bool {
        self.effect_in_run
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Notes a call; on replay, compares it.
    pub(crate) fn call(&mut self, call: CallDigest) -> Result<Known<Vec<u8>>, Diverged> {
        match self.replay.pop_front() {
            None => {
                self.note_effect(&call);
                self.append(&JournalEntry::Call(call));
                Ok(Known::New)
            }
            // Whether a call is refused may have another answer now; what counts is what it was then.
            Some(JournalEntry::Call(known))
                if (CallDigest { refused: call.refused, ..known.clone() }) == call =>
            {
                self.note_effect(&known);
                match self.replay.pop_front() {
                    Some(JournalEntry::Reply(json)) => Ok(Known::Replayed(json)),
                    None => Ok(Known::InDoubt),
                    Some(other) => Err(diverged(&other, &"the reply to a call")),
                }
            }
            Some(other) => Err(diverged(&other, &JournalEntry::Call(call))),
        }
    }

    /// Notes the reply to the call before.
    pub(crate) fn reply(&mut self, json: &[u8]) {
        self.append(&JournalEntry::Reply(Vec::from(json)));
    }

    /// Compares a checkpoint on replay. One that is new is noted by [`Journal::with_checkpoint`] and
    /// [`Journal::checkpointed`].
    pub(crate) fn checkpoint(&mut self, state: Digest) -> Result<Known<bool>, Diverged> {
        match self.replay.pop_front() {
            None => Ok(Known::New),
            Some(JournalEntry::Checkpoint { state: known, durable }) if known == state => {
                self.effect_since_checkpoint &= !durable || self.replay_only;
                Ok(Known::Replayed(durable))
            }
            Some(other) => Err(diverged(&other, &JournalEntry::Checkpoint { state, durable: true })),
        }
    }

    /// What a commit with a checkpoint stores of the journal: all that is pending, and that it is durable. Nothing
    /// changes until [`Journal::checkpointed`].
    pub(crate) fn with_checkpoint(&self, state: Digest) -> Vec<u8> {
        if self.given_up {
            return Vec::new();
        }
        let mut bytes = self.pending.clone();
        self.writer.clone().write(&JournalEntry::Checkpoint { state, durable: true }, &mut bytes);
        bytes
    }

    /// Notes what the guest is told about its checkpoint. A durable one was stored, with all that was pending.
    pub(crate) fn checkpointed(&mut self, state: Digest, durable: bool) {
        self.append(&JournalEntry::Checkpoint { state, durable });
        if durable {
            self.pending.clear();
            self.effect_since_checkpoint &= self.replay_only;
        }
    }

    /// What a guest is told that asks whether to stop, if nothing is replayed: `live`.
    pub(crate) fn check(&mut self, live: Interrupt) -> Interrupt {
        self.checks = self.checks.saturating_add(1);
        match self.replay.front() {
            Some(JournalEntry::Interrupt { check, code }) if *check == self.checks => {
                self.told = *code;
                self.replay.pop_front();
                let check = self.checks;
                let interrupt = Interrupt::from_code(self.told).unwrap_or(Interrupt::None);
                self.trace(|| Replayed::Interrupt { check, interrupt });
            }
            Some(_) => {}
            None if live.code() != self.told => {
                self.told = live.code();
                self.append(&JournalEntry::Interrupt { check: self.checks, code: self.told });
            }
            None => {}
        }
        Interrupt::from_code(self.told).unwrap_or(Interrupt::None)
    }

    /// What is not stored yet. It stays pending until [`Journal::stored`].
    pub(crate) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// All that is pending was stored.
    pub(crate) fn stored(&mut self) {
        self.pending.clear();
    }

    /// The guest has ended; on replay, it should not have yet.
    pub(crate) fn end(&self) -> Result<(), Diverged> {
        self.replay.front().map_or(Ok(()), |next| Err(diverged(next, &"the end of the run")))
    }

    /// Gives the journal up, if the newest checkpoint is enough to come back. Says whether it is.
    pub(crate) fn give_up(&mut self) -> bool {
        if self.effect_since_checkpoint || self.is_replaying() {
            return false;
        }
        self.given_up = true;
        self.pending = Vec::new();
        true
    }

    fn note_effect(&mut self, call: &CallDigest) {
        self.effect_since_checkpoint |= call.is_effect();
        self.effect_in_run |= call.is_effect();
    }

    fn append(&mut self, entry: &JournalEntry) {
        if self.given_up {
            return;
        }
        let before = self.pending.len();
        self.writer.write(entry, &mut self.pending);
        self.bytes = self.bytes.saturating_add(self.pending.len() - before);
    }
}

fn diverged(journal: &JournalEntry, guest: &impl fmt::Display) -> Diverged {
    Diverged { journal: alloc::format!("{journal}"), guest: alloc::format!("{guest}") }
}
