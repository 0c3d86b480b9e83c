//! What a job does only once it is durable, and what it gets again on a replay.
//!
//! Everything that a guest gets from outside goes through here on its way: replies, refusals, answers to checkpoints. (The
//! answers to its question whether to stop go through [`Journal::check`].) A query's reply is noted, and stored with the
//! next thing that must be: an effect, before it is carried out and when its reply is there, or a checkpoint.

use alloc::{borrow::ToOwned, format, string::String, sync::Arc, vec::Vec};

use toehold_abi::Checkpointed;
use wasmi::ResumableCallHostTrap;

use super::{Job, Phase, drive::Turn};
use crate::{
    Call, Checkpoint, Commit, Fault, Millis, Reply, Step,
    guest::{JobRole, Reentry},
    journal::{Diverged, Journal, Known, Replayed},
    journal_entry::{CallDigest, Digest},
};

/// What a job does once its commit is stored.
#[derive(Debug)]
pub(super) enum Then {
    /// It has an operation carried out that may have an effect.
    Call(Arc<Call>),
    /// The guest gets the reply to one.
    Reply(Vec<u8>),
    /// The guest gets to know that its checkpoint is durable.
    Checkpoint(Arc<Checkpoint>),
}

impl Job {
    /// The guest has called an operation, or was refused one.
    pub(super) fn called(
        &mut self,
        trap: ResumableCallHostTrap,
        mut digest: CallDigest,
        mut request: Result<Call, String>,
        now: Millis,
    ) -> Result<Turn, Fault> {
        if !self.is_replaying() {
            request = request
                .and_then(|request| self.extension.shared().admit(&request.method, now).map(|()| request));
            digest.refused = request.is_err();
        }
        if digest.is_effect() && self.journal().is_some_and(|journal| journal.is_given_up()) {
            return Err(self.journal_too_long());
        }
        let traced = digest.clone();
        let known = match self.journal_mut() {
            Some(journal) => journal.call(digest)?,
            None => Known::New,
        };
        let in_doubt = match known {
            Known::Replayed(json) => {
                let payload = request.map(|request| request.payload).unwrap_or_default();
                if let Some(journal) = self.journal_mut() {
                    journal.trace(|| Replayed::Call { call: traced, payload, reply: json.clone() });
                }
                return self.give_reply(trap, &json);
            }
            Known::InDoubt => true,
            Known::New => false,
        };
        let request = match request {
            Ok(request) => Arc::new(request),
            Err(text) => return self.reply(trap, Err(text)),
        };
        if request.is_effect() && !in_doubt {
            return Ok(self.ask_to_commit(trap, Then::Call(request)));
        }
        self.phase = Phase::Calling(trap, request.clone());
        Ok(Turn::Step(Step::Call(request)))
    }

    /// The shell has carried out a call.
    pub(super) fn replied(
        &mut self,
        trap: ResumableCallHostTrap,
        call: &Call,
        reply: Reply,
    ) -> Result<Turn, Fault> {
        if !call.is_effect() {
            return self.reply(trap, reply);
        }
        let json = self.reply_json(reply);
        self.note_reply(&json)?;
        Ok(self.ask_to_commit(trap, Then::Reply(json)))
    }

    /// The shell has stored a commit, or could not.
    pub(super) fn committed(
        &mut self,
        trap: ResumableCallHostTrap,
        then: Then,
        durable: bool,
    ) -> Result<Turn, Fault> {
        self.new_run &= !durable;
        if durable && !matches!(then, Then::Checkpoint(_)) {
            self.journal_mut().map(Journal::stored);
        }
        match then {
            Then::Call(request) if durable => {
                self.phase = Phase::Calling(trap, request.clone());
                Ok(Turn::Step(Step::Call(request)))
            }
            Then::Call(request) => {
                let text = "the host could not note the call durably, so it was not carried out";
                self.reply(trap, Err(format!("{}: {text}", request.method)))
            }
            // Where it is not stored, the next commit has it; until then the effect is the one in doubt.
            Then::Reply(json) => self.give_reply(trap, &json),
            Then::Checkpoint(checkpoint) => {
                let state = Digest::of(&checkpoint.state);
                if let Some(journal) = self.journal_mut() {
                    journal.checkpointed(state, durable);
                }
                if durable {
                    self.note_durable(checkpoint);
                }
                self.bound_journal()?;
                Ok(checkpointed(trap, durable))
            }
        }
    }

    /// The guest has given a state.
    pub(super) fn checkpoint(&mut self, trap: ResumableCallHostTrap, state: Vec<u8>) -> Result<Turn, Fault> {
        let digest = Digest::of(&state);
        let known = match self.journal_mut() {
            Some(journal) => journal.checkpoint(digest)?,
            None => Known::New,
        };
        match known {
            Known::Replayed(durable) => {
                if let Some(journal) = self.journal_mut() {
                    journal.trace(|| Replayed::Checkpoint { state: state.clone(), durable });
                }
                if durable {
                    let checkpoint = self.make_checkpoint(state);
                    self.note_durable(Arc::new(checkpoint));
                }
                Ok(checkpointed(trap, durable))
            }
            Known::New | Known::InDoubt => {
                let checkpoint = Arc::new(self.make_checkpoint(state));
                Ok(self.ask_to_commit(trap, Then::Checkpoint(checkpoint)))
            }
        }
    }

    /// The guest has given a state that is over its limit.
    pub(super) fn state_too_large(
        &mut self,
        trap: ResumableCallHostTrap,
        state: Digest,
    ) -> Result<Turn, Fault> {
        if let Some(journal) = self.journal_mut() {
            journal.checkpointed(state, false);
        }
        self.bound_journal()?;
        Ok(checkpointed(trap, false))
    }

    /// What a store should keep of a run that is over, so that it can be replayed: what no commit has taken.
    #[must_use]
    pub fn last_commit(&self) -> Option<Commit> {
        let pending = self.journal().filter(|_| !self.is_cut)?.pending();
        (!pending.is_empty()).then(|| self.make_commit(pending.to_vec(), None))
    }

    /// The guest gets a reply that has no effect behind it.
    fn reply(&mut self, trap: ResumableCallHostTrap, reply: Reply) -> Result<Turn, Fault> {
        let json = self.reply_json(reply);
        self.note_reply(&json)?;
        self.give_reply(trap, &json)
    }

    fn give_reply(&mut self, trap: ResumableCallHostTrap, json: &[u8]) -> Result<Turn, Fault> {
        let pointer = self.write_reply(json)?;
        Ok(Turn::Return(trap, Some(pointer)))
    }

    fn note_reply(&mut self, json: &[u8]) -> Result<(), Fault> {
        if let Some(journal) = self.journal_mut() {
            journal.reply(json);
        }
        self.bound_journal()
    }

    /// Holds the journal to its limit: gives it up where it is not needed, else ends the job.
    fn bound_journal(&mut self) -> Result<(), Fault> {
        let limit = self.extension.limits().journal_bytes;
        let Some(journal) = self.journal_mut() else { return Ok(()) };
        if journal.bytes() > limit && !journal.is_given_up() && !journal.give_up() {
            return Err(self.journal_too_long());
        }
        Ok(())
    }

    fn journal_too_long(&self) -> Fault {
        let bytes = self.journal().map_or(0, Journal::bytes);
        Fault::Journal { bytes, limit: self.extension.limits().journal_bytes }
    }

    /// When the guest is to be entered again: once its journal or its replay gets too long, or where somebody wants it.
    pub(super) fn reentry(&self, before: Reentry) -> Reentry {
        let is_resumable = self.is_resumable();
        Reentry {
            wanted: is_resumable && !self.is_replaying() && self.context.control().is_to_reenter(),
            // Where entering it again gave the same state once more, it would come to the same place once more.
            shortens: is_resumable && !self.reentered,
            entered_at: self.entered.1,
            ..before
        }
    }

    fn ask_to_commit(&mut self, trap: ResumableCallHostTrap, then: Then) -> Turn {
        let journal = self.journal().map_or_else(Vec::new, |journal| match &then {
            Then::Checkpoint(checkpoint) => journal.with_checkpoint(Digest::of(&checkpoint.state)),
            Then::Call(_) | Then::Reply(_) => journal.pending().to_vec(),
        });
        let checkpoint = match &then {
            // From one that it can't go on from nobody would.
            Then::Checkpoint(checkpoint) => Some(checkpoint.clone()).filter(|_| self.is_resumable()),
            Then::Call(_) | Then::Reply(_) => None,
        };
        self.commits = self.commits.saturating_add(1);
        let commit = Arc::new(self.make_commit(journal, checkpoint));
        self.phase = Phase::Committing(trap, commit.clone(), then);
        Turn::Step(Step::Commit(commit))
    }

    fn make_commit(&self, journal: Vec<u8>, checkpoint: Option<Arc<Checkpoint>>) -> Commit {
        // A journal that was given up must go from the store: what it has is no whole run any more.
        let new_run = self.new_run || self.journal().is_some_and(Journal::is_given_up);
        Commit { number: self.commits, new_run, journal, checkpoint }
    }

    fn make_checkpoint(&self, state: Vec<u8>) -> Checkpoint {
        let manifest = self.extension.manifest();
        let sequence = self.newest.sequence.saturating_add(1);
        let mut report = self.context.report();
        report.checkpoints = sequence;
        Checkpoint {
            job_id: self.newest.start.id,
            library: self.newest.start.library,
            extension: manifest.id().to_owned(),
            extension_version: manifest.version().to_owned(),
            state_version: manifest.state_version(),
            module_hash: self.extension.module().hash,
            job: self.name.clone(),
            sequence,
            calls: self.role().map_or(0, |role| role.calls),
            fuel_used: self.meter.used(),
            limits: self.limits,
            report,
            state,
        }
    }

    fn note_durable(&mut self, checkpoint: Arc<Checkpoint>) {
        if !self.is_resumable() {
            self.context.with_report(|report| report.checkpoints = report.checkpoints.saturating_add(1));
            return;
        }
        self.newest.start.state.clone_from(&checkpoint.state);
        self.newest.sequence = checkpoint.sequence;
        self.newest.calls = checkpoint.calls;
        self.newest.report.clone_from(&checkpoint.report);
        self.context.with_report(|report| report.checkpoints = checkpoint.sequence);
        self.reentered &= Digest::of(&checkpoint.state) == self.entered.0;
        let shortens = !self.reentered;
        if let Some(role) = self.instance.store.data_mut().job() {
            role.reentry.shortens = shortens;
        }
        self.checkpoint = Some(checkpoint);
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.role().map(|role| &role.journal)
    }

    pub(super) fn journal_mut(&mut self) -> Option<&mut Journal> {
        self.instance.store.data_mut().job().map(|role: &mut JobRole| &mut role.journal)
    }
}

fn checkpointed(trap: ResumableCallHostTrap, durable: bool) -> Turn {
    let answer = if durable { Checkpointed::Durable } else { Checkpointed::NotDurable };
    Turn::Return(trap, Some(answer.code()))
}

impl From<Diverged> for Fault {
    fn from(diverged: Diverged) -> Self {
        Self::Diverged { journal: diverged.journal, guest: diverged.guest }
    }
}
