//! The journal of a run: what its guest got from outside since it was entered, in order.

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use toehold_abi::{Interrupt, QUERY_PREFIX};
use uuid::Uuid;

use crate::sealed::FormatError;

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JournalEntry {
    /// The guest called an operation. One that may have an effect is noted before it is carried out.
    Call(CallDigest),
    /// The reply to the call before, as JSON: what an operation or a refusal gave.
    Reply(Vec<u8>),
    /// The guest asked for a checkpoint, and was told whether it is durable.
    Checkpoint {
        /// The state that it gave.
        state: Digest,
        /// What it was told.
        durable: bool,
    },
    /// From its so many-th question whether to stop on, counted from 1, the guest was told this.
    Interrupt {
        /// The question.
        check: u64,
        /// The ABI's code.
        code: i32,
    },
}

/// What is noted of a call, to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDigest {
    /// The number of its key.
    pub number: u64,
    /// The operation's name.
    pub method: String,
    /// The library that the call is about.
    pub library: Option<Uuid>,
    /// The payload.
    pub payload: Digest,
    /// Whether it was refused, and so went nowhere.
    pub refused: bool,
}

/// Enough of some bytes to see that others are not the same, where nobody means to deceive: a guest could only lie to
/// itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many they are.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc32: u32,
}

const MARK: &[u8; 3] = b"toj";
const VERSION: u8 = 1;
const WHAT: &str = "journal";
/// Bytes of a journal that is read; far above what `Limits::journal_bytes` is set to.
const LONGEST: usize = 256 << 20;

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }
}

impl CallDigest {
    /// Whether the call may have changed something outside of the job.
    #[must_use]
    pub fn is_effect(&self) -> bool {
        !self.refused && !self.method.starts_with(QUERY_PREFIX)
    }
}

impl JournalEntry {
    /// Reads a journal, as [`Saved::journal`](crate::Saved::journal) has it.
    ///
    /// # Errors
    /// [`FormatError`] says what the bytes are instead.
    pub fn decode_all(journal: &[u8]) -> Result<Vec<Self>, FormatError> {
        Writer::follow(journal).map(|(entries, _)| entries)
    }

    /// The bytes of a journal with these entries.
    #[must_use]
    pub fn encode_all(entries: &[Self]) -> Vec<u8> {
        let (mut writer, mut journal) = (Writer::default(), Vec::new());
        entries.iter().for_each(|entry| writer.write(entry, &mut journal));
        journal
    }
}

/// Encodes entries: `toj` and the version once, then for each its length (`u32`), the entry in postcard, and the
/// CRC-32 of both and of the CRC-32 before it, so that none can be missing or out of order. Integers are little-endian.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    begun: bool,
    chain: u32,
}

impl Writer {
    pub(crate) fn write(&mut self, entry: &JournalEntry, to: &mut Vec<u8>) {
        if !self.begun {
            to.extend_from_slice(MARK);
            to.push(VERSION);
            self.begun = true;
        }
        // A `Vec` takes whatever comes: this cannot fail.
        let fields = postcard::to_allocvec(entry).unwrap_or_default();
        // An entry holds a reply at most, which a guest's 32-bit length counts.
        let length = (fields.len() as u32).to_le_bytes();
        self.chain = self.next(&length, &fields);
        to.extend_from_slice(&length);
        to.extend_from_slice(&fields);
        to.extend_from_slice(&self.chain.to_le_bytes());
    }

    fn next(&self, length: &[u8], fields: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.chain.to_le_bytes());
        hasher.update(length);
        hasher.update(fields);
        hasher.finalize()
    }

    /// The entries of a journal, and who goes on writing it.
    pub(crate) fn follow(journal: &[u8]) -> Result<(Vec<JournalEntry>, Self), FormatError> {
        let mut writer = Self::default();
        if journal.is_empty() {
            return Ok((Vec::new(), writer));
        }
        if journal.len() > LONGEST {
            return Err(FormatError::TooLarge { what: WHAT, bytes: journal.len(), limit: LONGEST });
        }
        let mut rest = match journal.strip_prefix(MARK) {
            Some([VERSION, rest @ ..]) => rest,
            Some([found, ..]) if *found > VERSION => {
                return Err(FormatError::Newer { what: WHAT, found: *found, newest: VERSION });
            }
            Some(_) => return Err(FormatError::Damaged { what: WHAT }),
            None => return Err(FormatError::Foreign { expected: WHAT }),
        };
        writer.begun = true;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, left) = writer.read(rest).ok_or(FormatError::Damaged { what: WHAT })?;
            entries.push(entry);
            rest = left;
        }
        Ok((entries, writer))
    }

    fn read<'b>(&mut self, bytes: &'b [u8]) -> Option<(JournalEntry, &'b [u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (fields, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let chain = self.next(length, fields);
        if chain.to_le_bytes() != *checksum {
            return None;
        }
        self.chain = chain;
        match postcard::take_from_bytes(fields).ok()? {
            (entry, []) => Some((entry, rest)),
            _ => None,
        }
    }
}

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

impl fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "call {} of {} with {}", call.number, call.method, call.payload),
            Self::Reply(json) => write!(f, "a reply of {}", Digest::of(json)),
            Self::Checkpoint { state, .. } => write!(f, "a checkpoint of {state}"),
            Self::Interrupt { check, code } => write!(f, "interrupt {code} at question {check}"),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes (CRC-32 {:08x})", self.bytes, self.crc32)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    fn entries() -> Vec<JournalEntry> {
        let payload = Digest::of(b"{}");
        let method = "action:kv.put".to_string();
        vec![
            JournalEntry::Call(CallDigest { number: 3, method, library: None, payload, refused: false }),
            JournalEntry::Reply(b"null".to_vec()),
            JournalEntry::Interrupt { check: 7, code: 1 },
            JournalEntry::Checkpoint { state: Digest::of(b"x"), durable: true },
        ]
    }

    fn encoded() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut writer) = (Vec::new(), vec![0], Writer::default());
        for entry in entries() {
            writer.write(&entry, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_was_written_is_read_up_to_any_entry() {
        let (bytes, ends) = encoded();
        for (count, end) in ends.iter().enumerate() {
            assert_eq!(JournalEntry::decode_all(&bytes[..*end]), Ok(entries()[..count].to_vec()));
        }
    }

    #[test]
    fn damage_and_missing_entries_are_seen() {
        let (bytes, ends) = encoded();
        for cut in (0..bytes.len()).filter(|cut| !ends.contains(cut) && *cut != 4) {
            assert!(JournalEntry::decode_all(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert!(JournalEntry::decode_all(&bad).is_err(), "byte {at}");
        }
        let without_second = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
        assert!(JournalEntry::decode_all(&without_second).is_err());
        assert!(matches!(JournalEntry::decode_all(b"toj\x02"), Err(FormatError::Newer { .. })));
        assert!(matches!(JournalEntry::decode_all(b"toe\x01"), Err(FormatError::Foreign { .. })));
    }
}
