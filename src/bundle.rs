use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Checkpoint, JobRecord, JournalEntry, Recovery, Saved,
    sealed::{self, FormatError, Kind},
};

/// A job to be carried to another host, or to be replayed at a desk: all that a store has of it.
///
/// [`Bundle::encode`] gives the same bytes on every architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The job.
    pub job_id: Uuid,
    /// [`JobRecord::encode`].
    #[serde(with = "crate::bytes")]
    pub record: Vec<u8>,
    /// The [`Checkpoint::encode`] that the run was entered with.
    #[serde(with = "crate::bytes")]
    pub base: Vec<u8>,
    /// The newest [`Checkpoint::encode`].
    #[serde(with = "crate::bytes")]
    pub newest: Vec<u8>,
    /// The journal of the run.
    #[serde(with = "crate::bytes")]
    pub journal: Vec<u8>,
    /// The extension, where the bundle was asked to bring it.
    pub extension: Option<BundledExtension>,
}

/// The extension in a [`Bundle`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledExtension {
    /// The manifest's JSON.
    pub manifest: String,
    /// The module.
    #[serde(with = "crate::bytes")]
    pub module: Vec<u8>,
}

const KIND: Kind = Kind { mark: b"tob", name: "bundle", version: 1, longest: 1 << 30 };

impl Bundle {
    /// A bundle of what a store has.
    #[must_use]
    pub fn new(job_id: Uuid, saved: Saved, extension: Option<BundledExtension>) -> Self {
        let Saved { record, base, newest, journal } = saved;
        Self { job_id, record, base, newest, journal, extension }
    }

    /// The bundle's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed::seal(KIND, self)
    }

    /// Reads what [`Bundle::encode`] wrote, all the way down: no part of a bundle that this gives is damaged.
    ///
    /// # Errors
    /// [`FormatError`] says what the bytes are instead, or which part of them is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, fields) = sealed::unseal(KIND, bytes)?;
        let bundle: Self = sealed::fields(KIND, fields)?;
        let record = JobRecord::decode(&bundle.record)?;
        for checkpoint in [&bundle.base, &bundle.newest] {
            let checkpoint = Checkpoint::decode(checkpoint)?;
            let same_job = (record.extension(), record.name()) == (&*checkpoint.extension, &*checkpoint.job);
            if checkpoint.job_id != bundle.job_id || !same_job {
                return Err(FormatError::Damaged { what: KIND.name });
            }
        }
        JournalEntry::check_all(&bundle.journal)?;
        Ok(bundle)
    }

    /// Without the journal of a run that has had no effects: as [`Recovery::without_needless_journal`], for hosts that take
    /// only small bundles. The job goes on alike; [`Extension::replay`](crate::Extension::replay) has nothing to show then.
    #[must_use]
    pub fn without_needless_journal(mut self) -> Self {
        let recovery = Recovery::new(&self.saved()).map(Recovery::without_needless_journal);
        if recovery.is_ok_and(|recovery| recovery.entries().is_empty()) {
            self.journal.clear();
        }
        self
    }

    /// What a store would have of the job.
    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved {
            record: self.record.clone(),
            base: self.base.clone(),
            newest: self.newest.clone(),
            journal: self.journal.clone(),
        }
    }
}
