use alloc::vec::Vec;

use crate::{
    Checkpoint, Extension, FormatError, Job, JournalEntry, Registry, Saved, StartError, journal::Journal,
    journal_entry::Writer,
};

/// What a store has of a job that was cut off, and how the job comes back from it.
///
/// - Where no effect was noted since the newest checkpoint, a new run starts from that: nobody outside has seen what
///   came after.
/// - Otherwise the run is replayed from its base: the guest computes again and gets the answers of the journal, until it
///   has caught up. Nothing is carried out again, except for a call that was under way, which has the key that it had.
#[derive(Clone, Debug)]
pub struct Recovery {
    base: Checkpoint,
    newest: Checkpoint,
    entries: Vec<JournalEntry>,
    writer: Writer,
    journal_bytes: usize,
    effect_since_newest: bool,
    effect_in_run: bool,
}

impl Recovery {
    /// Reads what a store has.
    ///
    /// # Errors
    /// [`FormatError`] says which of it can't be read. The store must keep it.
    pub fn new(saved: &Saved) -> Result<Self, FormatError> {
        let base = Checkpoint::decode(&saved.base)?;
        let newest = Checkpoint::decode(&saved.newest)?;
        let (entries, writer) = Writer::follow(&saved.journal)?;
        let same_job =
            (newest.job_id, &newest.extension, &newest.job) == (base.job_id, &base.extension, &base.job);
        let passed = newest.sequence.checked_sub(base.sequence).filter(|_| same_job);
        let passed = passed.ok_or(FormatError::Damaged { what: "job" })?;
        let since_newest = since(&entries, passed).ok_or(FormatError::Damaged { what: "journal" })?;
        let has_effect = |entries: &[JournalEntry]| {
            entries.iter().any(|entry| matches!(entry, JournalEntry::Call(call) if call.is_effect()))
        };
        let effect_since_newest = has_effect(since_newest);
        let effect_in_run = has_effect(&entries);
        let journal_bytes = saved.journal.len();
        Ok(Self { base, newest, entries, writer, journal_bytes, effect_since_newest, effect_in_run })
    }

    /// The newest checkpoint; of sequence 0, what the job was dispatched with.
    #[must_use]
    pub fn newest(&self) -> &Checkpoint {
        &self.newest
    }

    /// The checkpoint that the run was entered with.
    #[must_use]
    pub fn base(&self) -> &Checkpoint {
        &self.base
    }

    /// The journal of the run.
    #[must_use]
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    fn into_journal(self) -> (Checkpoint, Journal) {
        (self.base, Journal::replayed(self.entries, self.writer, self.journal_bytes))
    }

    /// Drops the journal of a run that has had no effects: no recovery needs it, whatever it was, and read it takes many times
    /// its bytes. For hosts with little memory; [`Extension::replay`] has nothing to show then.
    #[must_use]
    pub fn without_needless_journal(mut self) -> Self {
        if !self.effect_in_run {
            (self.entries, self.writer, self.journal_bytes) = (Vec::new(), Writer::default(), 0);
        }
        self
    }

    /// Whether the run has to be replayed, on the very module that it ran on. Otherwise the newest checkpoint is all
    /// that counts.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.effect_since_newest
    }
}

impl From<Checkpoint> for Recovery {
    /// A job that goes on from this checkpoint.
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            base: checkpoint.clone(),
            newest: checkpoint,
            entries: Vec::new(),
            writer: Writer::default(),
            journal_bytes: 0,
            effect_since_newest: false,
            effect_in_run: false,
        }
    }
}

/// The entries after so many durable checkpoints.
fn since(entries: &[JournalEntry], checkpoints: u64) -> Option<&[JournalEntry]> {
    let Some(last) = checkpoints.checked_sub(1) else { return Some(entries) };
    if entries.is_empty() {
        return Some(entries); // The journal was given up: a checkpoint was all that the run needed.
    }
    let durable =
        |(_, entry): &(usize, &JournalEntry)| matches!(entry, JournalEntry::Checkpoint { durable: true, .. });
    let (index, _) = entries.iter().enumerate().filter(durable).nth(usize::try_from(last).ok()?)?;
    entries.get(index + 1..)
}

impl Extension {
    /// Goes on with a job that was cut off.
    ///
    /// # Errors
    /// [`StartError`] says why not; what the store has is as good as before.
    pub fn recover(&self, registry: &Registry, recovery: Recovery) -> Result<Job, StartError> {
        let resumable = self.find_job(&recovery.newest.job)?.resumable;
        let replay = if resumable { recovery.effect_since_newest } else { recovery.effect_in_run };
        if replay {
            let (base, journal) = recovery.into_journal();
            return self.enter(registry, &base, journal);
        }
        self.resume(registry, if resumable { &recovery.newest } else { &recovery.base })
    }

    /// Runs a job again from its base, with all that its journal has, to see what it did: [`Job::take_trace`].
    ///
    /// # Errors
    /// As [`Extension::recover`].
    pub fn replay(&self, registry: &Registry, recovery: Recovery) -> Result<Job, StartError> {
        let (base, journal) = recovery.into_journal();
        self.enter(registry, &base, journal.traced())
    }
}
