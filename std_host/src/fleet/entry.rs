//! What is written into a job's log: one message for each entry.

use serde::{Deserialize, Serialize};
use toehold::{Change, FormatError, Interrupt, UnixMillis, Uuid};

/// First bytes of an entry; the fourth is the version of the format.
const MARK: [u8; 4] = *b"tof\x01";

/// An entry of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The how many-th owner has written it, from 1 up; or was there when it was written.
    pub(super) epoch: u64,
    /// A number that no other entry has: whoever wrote it knows it again.
    pub(super) write: u64,
    pub(super) what: What,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// All that there is of the job. Whatever came before is dropped with it.
    Whole(Whole),
    /// A worker owns the job from now on. Nobody who owned it before can write any more.
    Claimed(Owner),
    /// Changes, in order.
    Changed(Vec<Changed>),
    /// Somebody asks the job for something, by the ABI's code, while it has an owner.
    Wanted(i32),
    /// The owner gives the job back as it is.
    Released,
    /// The job was removed. Whatever came before is dropped with it.
    Removed,
}

/// All that there is of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whole {
    #[serde(with = "bytes")]
    pub(super) record: Vec<u8>,
    #[serde(with = "bytes")]
    pub(super) base: Vec<u8>,
    /// Empty where it is the base.
    #[serde(with = "bytes")]
    pub(super) newest: Vec<u8>,
    #[serde(with = "bytes")]
    pub(super) journal: Vec<u8>,
    pub(super) owner: Option<Owner>,
    /// As [`What::Wanted`], where the record does not say so yet.
    pub(super) wanted: Option<i32>,
}

impl Whole {
    /// A new job, if the changes make one.
    pub(super) fn of(changes: &[Change]) -> Option<Self> {
        let (first, rest) = changes.split_first()?;
        let mut whole = Self::first(first)?;
        for change in rest {
            let Changed { record, new_run, journal, checkpoint } = Changed::new(change);
            if new_run {
                if !whole.newest.is_empty() {
                    whole.base = std::mem::take(&mut whole.newest);
                }
                whole.journal.clear();
            }
            whole.journal.extend(journal);
            whole.newest = checkpoint.unwrap_or(whole.newest);
            whole.record = record.unwrap_or(whole.record);
        }
        Some(whole)
    }

    /// A new job, if the change makes one: it needs a record and a checkpoint.
    pub(super) fn first(change: &Change) -> Option<Self> {
        let Changed { record, journal, checkpoint, .. } = Changed::new(change);
        Some(Self { record: record?, base: checkpoint?, journal, ..Self::default() })
    }
}

/// Who owns a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// One run of a worker's process.
    pub(super) worker: Uuid,
    /// When it took the job, by its clock.
    pub(super) since: UnixMillis,
}

/// A [`Change`] in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    #[serde(with = "option_bytes")]
    pub(super) record: Option<Vec<u8>>,
    pub(super) new_run: bool,
    #[serde(with = "bytes")]
    pub(super) journal: Vec<u8>,
    #[serde(with = "option_bytes")]
    pub(super) checkpoint: Option<Vec<u8>>,
}

impl Changed {
    pub(super) fn new(change: &Change) -> Self {
        let record = change.record.as_ref().map(toehold::JobRecord::encode);
        match change.commit.as_deref() {
            Some(commit) => Self {
                record,
                new_run: commit.new_run,
                journal: commit.journal.clone(),
                checkpoint: commit.checkpoint.as_ref().map(|checkpoint| checkpoint.encode()),
            },
            None => Self { record, ..Self::default() },
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.record)
            .saturating_add(self.journal.len())
            .saturating_add(length(&self.checkpoint))
            .saturating_add(16)
    }
}

impl Entry {
    pub(super) fn new(epoch: u64, what: What) -> Self {
        let mut write = [0; 8];
        // Without randomness two writers of one epoch might take each other's entries for theirs; there is only one.
        if getrandom::fill(&mut write).is_err() {
            write = epoch.to_le_bytes();
        }
        Self { epoch, write: u64::from_le_bytes(write), what }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Into memory, where nothing but memory can be missing.
        postcard::to_extend(self, MARK.to_vec()).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let damaged = FormatError::Damaged { what: "entry of a job's log" };
        let (mark, fields) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged.clone())?;
        if *mark != MARK {
            return Err(damaged);
        }
        postcard::from_bytes(fields).map_err(|_| damaged)
    }

    /// What somebody asks for with it.
    pub(super) fn wanted(code: i32) -> Interrupt {
        Interrupt::from_code(code).unwrap_or(Interrupt::None)
    }
}

/// As bytes, and not as a list of numbers.
mod bytes {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }

    pub(super) struct Bytes;

    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

mod option_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Borrowed<'a>(#[serde(with = "super::bytes")] &'a [u8]);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "super::bytes")] Vec<u8>);

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Borrowed).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Owned>::deserialize(from)?.map(|Owned(bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let owner = Owner { worker: Uuid::from_u128(7), since: 9 };
        let changed =
            Changed { record: Some(vec![1]), new_run: true, journal: vec![2; 300], checkpoint: None };
        for what in [
            What::Whole(Whole {
                base: vec![3; 1_000],
                owner: Some(owner),
                wanted: Some(1),
                ..Whole::default()
            }),
            What::Claimed(owner),
            What::Changed(vec![changed]),
            What::Wanted(2),
            What::Released,
            What::Removed,
        ] {
            let entry = Entry::new(5, what);
            assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn bytes_of_others_are_refused() {
        let good = Entry::new(1, What::Removed).encode();
        for bytes in [&b""[..], b"tof", b"tof\x02abc", b"xxxx", &good[..good.len() - 1]] {
            assert!(Entry::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
