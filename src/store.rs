use alloc::{sync::Arc, vec::Vec};

use uuid::Uuid;

use crate::{Checkpoint, JobRecord};

/// Where jobs outlive their host.
///
/// For each job a store holds a record, a base (the checkpoint that its run was entered with), the newest checkpoint,
/// and the journal of what the guest got since the base. What it does with bytes is its own business, as long as:
///
/// - **A change is atomic.** After an error, a crash or a power cut at any instant, all of it is there or nothing.
/// - **An acknowledged change is durable.** Once [`Store::change`] has returned `Ok`, it outlives a power cut, and so do
///   all changes before it. After an error the store is as it was, so that the change can be made again; only after a power
///   cut that follows the error it may be there all the same.
/// - **Changes of one job are in order.** A later change is never there without the earlier ones.
/// - **What can't be read is kept.** A store returns the bytes that it has, and never drops or overwrites any because it
///   can't make sense of them.
///
/// `toehold::conformance`, behind the feature of this name, tests an implementation for all of it.
pub trait Store {
    /// Why it could not.
    type Error: core::error::Error;

    /// Makes a change durable. The first one of a job has a record and a checkpoint.
    ///
    /// # Errors
    /// Whatever keeps the store from it: a full disk, worn flash. It may be tried again.
    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), Self::Error>;

    /// All that there is of a job; `None` if there is no such job.
    ///
    /// # Errors
    /// Whatever keeps the store from reading.
    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, Self::Error>;

    /// All jobs that there are, in no particular order.
    ///
    /// # Errors
    /// Whatever keeps the store from reading.
    fn jobs(&mut self) -> Result<Vec<Uuid>, Self::Error>;

    /// Removes all that there is of a job, durably. It need not be there.
    ///
    /// # Errors
    /// Whatever keeps the store from it. Then all of the job is still there, or nothing.
    fn remove(&mut self, job: Uuid) -> Result<(), Self::Error>;
}

/// A change to what a store holds of a job, to be made as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// How the job stands now.
    pub record: Option<JobRecord>,
    /// What its run adds.
    pub commit: Option<Arc<Commit>>,
}

/// What a run adds to what is stored of its job. It applies in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The how many-th commit of the running job it is, from 1 up, so that an answer fits its question.
    pub number: u64,
    /// The newest checkpoint becomes the base, and the journal is emptied: this is the first commit of a new run.
    pub new_run: bool,
    /// Bytes to append to the journal.
    pub journal: Vec<u8>,
    /// The checkpoint that is the newest now. Where the job has no base yet, it is that too.
    pub checkpoint: Option<Arc<Checkpoint>>,
}

/// What a store holds of a job, in the bytes that it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The newest [`JobRecord::encode`].
    pub record: Vec<u8>,
    /// The [`Checkpoint::encode`] that the run was entered with.
    pub base: Vec<u8>,
    /// The newest [`Checkpoint::encode`], which may be the base.
    pub newest: Vec<u8>,
    /// The journal since the base: all of [`Commit::journal`], in order.
    pub journal: Vec<u8>,
}

impl Commit {
    /// The first commit of a job: what it was dispatched with.
    #[must_use]
    pub fn first(checkpoint: Checkpoint) -> Self {
        Self { checkpoint: Some(Arc::new(checkpoint)), ..Self::default() }
    }

    /// A commit from its parts, for those who carry a job from store to store.
    #[must_use]
    pub fn new(journal: Vec<u8>, checkpoint: Option<Checkpoint>) -> Self {
        Self { journal, checkpoint: checkpoint.map(Arc::new), ..Self::default() }
    }

    /// The commit that begins a run: the newest checkpoint is the base from now on.
    #[must_use]
    pub fn next_run() -> Self {
        Self { new_run: true, ..Self::default() }
    }

    /// The commit of a job that goes on from this checkpoint, whatever it did since the one before: where
    /// [`Extension::upgrade`](crate::Extension::upgrade) made it.
    #[must_use]
    pub fn upgrade(checkpoint: Checkpoint) -> Self {
        Self { new_run: true, checkpoint: Some(Arc::new(checkpoint)), ..Self::default() }
    }
}
