//! Jobs that are carried to another host, or replayed at a desk.

use std::sync::Arc;

use toehold::{
    Bundle, BundledExtension, Change, Checkpoint, Commit, Extension, Interrupt, Job, JobRecord, JobState,
    Limits, Manifest, Outcome, Recovery, Registry, Saved, Step, Trust, Uuid,
};

use super::{
    Inner, JobError, JobHandle, Manager,
    entry::Entry,
    error::{ImportError, ReplayError},
    hex, modules,
};
use crate::store::{StoreReader, StoredModule};

/// How a bundle is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Leaves the job paused, whatever it was.
    pub paused: bool,
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Replay {
    /// What the guest was given again, in order.
    pub steps: Vec<toehold::Replayed>,
    /// The newest checkpoint that the run came to, if any, as bytes.
    pub checkpoint: Option<Vec<u8>>,
    /// Whether that is, byte for byte, the newest that the bundle has.
    pub same_bytes: bool,
    /// How it ended: as the job did, or where the journal ends.
    pub end: ReplayEnd,
    /// What the job had told of itself by then.
    pub report: toehold::Report,
    /// Fuel that it had used by then.
    pub fuel_used: u64,
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReplayEnd {
    /// The run was over.
    Outcome(Outcome),
    /// It came to a call that the journal has no reply to.
    Call {
        /// The operation.
        method: String,
        /// What it was called with.
        payload: Vec<u8>,
    },
    /// It came to a checkpoint, or to an effect, that the journal does not have.
    Commit,
    /// It used up the fuel that was given for it, without another entry of the journal.
    OutOfFuel,
}

impl Manager {
    /// All that there is of a job, to go on with it elsewhere or to replay it: of one that runs, as of its newest commit.
    /// With its extension on request, so that it can go on where that is not known.
    ///
    /// The job itself goes on here: pause or cancel it, or its effects happen on both hosts.
    ///
    /// # Errors
    /// [`JobError::Unknown`], [`JobError::Format`], [`JobError::Store`].
    pub fn export(&self, id: Uuid, with_extension: bool) -> Result<Bundle, JobError> {
        let mut saved = self.inner.jobs_at.load(id)?.ok_or(JobError::Unknown(id))?;
        if let Some(entry) = self.inner.live(id) {
            // What was written of it last may be older.
            let mut now = entry.lock();
            now.refresh();
            saved.record = now.record.encode();
        }
        bundle(self.reader(), id, saved, with_extension)
    }

    /// Takes over a job from another host: it goes on from where it stood there.
    ///
    /// # Errors
    /// [`ImportError`] says why not; then nothing of it is here.
    pub async fn import(&self, bundle: &Bundle, options: ImportOptions) -> Result<JobHandle, ImportError> {
        let inner = &self.inner;
        let id = bundle.job_id;
        let recovery = Recovery::new(&bundle.saved())?;
        let mut record = JobRecord::decode(&bundle.record)?;
        let newest = recovery.newest().clone();
        record.module_hash = newest.module_hash;
        inner.bring_module(&newest, bundle.extension.as_ref())?;
        if !record.state.is_final() {
            // Nothing takes a cancel back: it comes about here where it did not there.
            let cancels = record.wanted == Interrupt::Cancel;
            let pauses = record.state == JobState::Paused || record.wanted == Interrupt::Pause;
            let is_paused = !cancels && (options.paused || pauses);
            (record.state, record.wanted) = match (cancels, is_paused) {
                (true, _) => (JobState::Queued, Interrupt::Cancel),
                (false, true) => (JobState::Paused, Interrupt::Pause),
                (false, false) => (JobState::Queued, Interrupt::None),
            };
            record.retry_at = None;
        }
        // What dispatched it is not here.
        record.parent = None;
        let entry = inner.reserve(id, record.clone()).map_err(|error| match error {
            super::DispatchError::Store(error) => ImportError::Store(error),
            _ => ImportError::Exists(id),
        })?;
        // The base with the journal, then the newest checkpoint on top of them: as the run made them.
        let first = Commit::new(Vec::new(), Some(recovery.base().clone()));
        let rest = Commit::new(
            bundle.journal.clone(),
            (newest.sequence > recovery.base().sequence).then_some(newest),
        );
        let changes = [
            Change { record: Some(record.clone()), commit: Some(Arc::new(first)) },
            Change { record: None, commit: Some(Arc::new(rest)) },
        ];
        let (tell, told) = tokio::sync::oneshot::channel();
        inner.jobs_at.change(id, &changes, Box::new(inner.entering(entry.clone(), tell)));
        told.await.unwrap_or_else(|_| Err(inner.closed()))?;
        Ok(JobHandle::new(inner.clone(), entry))
    }
}

/// As [`Manager::export`], out of a store that is only read.
///
/// # Errors
/// [`JobError::Unknown`], [`JobError::Format`], [`JobError::Store`].
pub fn export(reader: &StoreReader, id: Uuid, with_extension: bool) -> Result<Bundle, JobError> {
    let saved = reader.load(id)?.ok_or(JobError::Unknown(id))?;
    bundle(reader, id, saved, with_extension)
}

fn bundle(reader: &StoreReader, id: Uuid, saved: Saved, with_extension: bool) -> Result<Bundle, JobError> {
    let record = JobRecord::decode(&saved.record).map_err(|source| JobError::Format { id, source })?;
    let extension = if with_extension {
        let stored = reader.module(&record.module_hash)?;
        stored.map(|stored| BundledExtension { manifest: stored.manifest, module: stored.module })
    } else {
        None
    };
    Ok(Bundle::new(id, saved, extension))
}

impl Inner {
    /// Refuses what only a bundle says is a version of an extension that is installed: it would get what that one was given.
    fn admit_brought(&self, id: &str, hash: [u8; 32]) -> Result<(), ImportError> {
        match self.extensions.get(id) {
            Ok(_) => Err(ImportError::Brought { extension: id.to_owned(), hash: hex(&hash) }),
            Err(_) => Ok(()),
        }
    }

    /// Makes sure that the module of a checkpoint is here, from the bundle if need be.
    fn bring_module(
        self: &Arc<Self>,
        checkpoint: &Checkpoint,
        bundled: Option<&BundledExtension>,
    ) -> Result<(), ImportError> {
        let (id, hash) = (&checkpoint.extension, checkpoint.module_hash);
        if let Ok(installed) = self.extensions.get(id)
            && installed.extension().module().hash == hash
        {
            self.keep_module(&installed);
            return Ok(());
        }
        let no_module = || ImportError::NoModule { extension: id.clone(), hash: hex(&hash) };
        let stored = self.store.reader().module(&hash)?;
        if self.config.trust != Trust::Anyone {
            // What the bundle brings carries no signature.
            let stored = stored.ok_or_else(|| match bundled {
                Some(_) => ImportError::Unsigned { extension: id.clone(), hash: hex(&hash) },
                None => no_module(),
            })?;
            let untrusted = |error: modules::ModuleError| ImportError::Untrusted(error.to_string());
            return self.modules.parts(id, stored).map(drop).map_err(untrusted);
        }
        if let Some(stored) = stored {
            return if stored.brought { self.admit_brought(id, hash) } else { Ok(()) };
        }
        self.admit_brought(id, hash)?;
        let bundled = bundled.ok_or_else(no_module)?;
        let extension = load(bundled, &self.config.limits).map_err(ImportError::Extension)?;
        if extension.module().hash != hash || extension.id() != id {
            return Err(no_module());
        }
        let module = StoredModule {
            hash,
            manifest: bundled.manifest.clone(),
            module: bundled.module.clone(),
            config: "{}".to_owned(),
            added_at: super::entry::unix_now(),
            package: None,
            brought: true,
        };
        let done = |result| {
            if let Err(error) = result {
                log::error!("a module could not be kept: {error}");
            }
        };
        self.jobs_at.keep_module(module, Box::new(done));
        Ok(())
    }

    /// Enters a job under its id, if there is none.
    pub(super) fn reserve(&self, id: Uuid, record: JobRecord) -> Result<Arc<Entry>, super::DispatchError> {
        let entry = Entry::new(id, record, 0);
        let mut jobs = self.lock();
        // Where it is shared, the place itself says whether there is one.
        let is_known = !self.jobs_at.is_shared() && self.store.reader().record(id)?.is_some();
        if jobs.entries.contains_key(&id) || is_known {
            return Err(super::DispatchError::Exists(id));
        }
        jobs.entries.insert(id, entry.clone());
        Ok(entry)
    }
}

fn load(bundled: &BundledExtension, limits: &Limits) -> Result<Extension, String> {
    let manifest: Manifest =
        serde_json::from_str(&bundled.manifest).map_err(|error| format!("its manifest: {error}"))?;
    Extension::load(manifest, &bundled.module, limits).map_err(|error| error.to_string())
}

/// Fuel for what a replay does between two entries of the journal.
const REPLAY_FUEL: u64 = 100_000_000_000;
const SLICE: u64 = 1_000_000;

/// Runs a bundle's job again from its base, with what its journal has: no operation is carried out and nothing is
/// stored. The module is `extension`, or the bundle's, which carries no signature: a host that trusts only some keys gives
/// the extension.
///
/// # Errors
/// [`ReplayError`]: the bundle has no module and none was given, or it is another one.
pub fn replay(
    bundle: &Bundle,
    extension: Option<&Extension>,
    limits: &Limits,
) -> Result<Replay, ReplayError> {
    let recovery = Recovery::new(&bundle.saved())?;
    let newest = bundle.newest.clone();
    let base_is_newest = recovery.newest().sequence == recovery.base().sequence;
    let loaded;
    let extension = match (&bundle.extension, extension) {
        (_, Some(extension)) => extension,
        (Some(bundled), None) => {
            loaded = load(bundled, limits).map_err(ReplayError::Extension)?;
            &loaded
        }
        (None, None) => return Err(ReplayError::NoModule { hash: hex(&recovery.base().module_hash) }),
    };
    let mut job = extension.replay(&Registry::default(), recovery)?;
    let mut steps = Vec::new();
    let end = run(&mut job, &mut steps);
    let checkpoint = job.newest_checkpoint().map(|checkpoint| checkpoint.encode());
    let same_bytes = checkpoint.as_ref().map_or(base_is_newest, |bytes| *bytes == newest);
    let (report, fuel_used) = (job.context().report(), job.context().fuel_used());
    Ok(Replay { steps, checkpoint, same_bytes, end, report, fuel_used })
}

fn run(job: &mut Job, steps: &mut Vec<toehold::Replayed>) -> ReplayEnd {
    let mut until = job.context().fuel_used().saturating_add(REPLAY_FUEL);
    loop {
        let step = job.step(SLICE, 0);
        let trace = job.take_trace();
        if !trace.is_empty() {
            until = job.context().fuel_used().saturating_add(REPLAY_FUEL);
        }
        steps.extend(trace);
        match step {
            Ok(Step::Finished(outcome)) => return ReplayEnd::Outcome(outcome),
            Ok(Step::Call(call)) => {
                return ReplayEnd::Call { method: call.method.clone(), payload: call.payload.clone() };
            }
            Ok(Step::Commit(_)) => return ReplayEnd::Commit,
            Ok(_) if job.context().fuel_used() < until => {}
            Ok(_) | Err(_) => return ReplayEnd::OutOfFuel,
        }
    }
}
