//! Jobs that come back: after a start of the manager, and into a worker's memory.

use std::sync::{Arc, PoisonError};

use toehold::{Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, Recovery, StartError};

use super::{
    EventKind, Inner, ManagerError,
    entry::{Entry, unix_now},
    hex,
    modules::Module,
    platform::Recovered,
};
use crate::{
    Installed,
    extensions::install,
    store::{Listed, StoreError, StoredModule},
};

/// Why a job did not come into memory.
pub(super) enum NotRecovered {
    /// As many of its extension run as may.
    TooMany,
    /// For this reason.
    For(String),
}

impl From<String> for NotRecovered {
    fn from(reason: String) -> Self {
        Self::For(reason)
    }
}

impl Inner {
    /// Loads the extensions that are installed. One that can't be loaded keeps no other from it.
    pub(super) fn load_extensions(&self) -> Result<(), ManagerError> {
        let folder = self.extensions.folder();
        install::repair(folder);
        if !folder.is_dir() {
            return Ok(());
        }
        match self.extensions.refresh() {
            Ok(changes) => {
                for change in changes {
                    if let crate::Change::Failed(error) = change {
                        log::error!("{error}");
                    }
                }
            }
            Err(error) => log::error!("{error}"),
        }
        let installed = self.extensions.list();
        for one in &installed {
            self.note_limit(one);
        }
        // Only now, when nothing is dispatched meanwhile: a job must not lose its module before it is written.
        let keep: Vec<_> = installed.iter().map(|one| one.extension().module().hash).collect();
        self.store.prune_modules(&keep, |result| {
            if let Err(error) = result {
                log::warn!("modules that no job needs could not be removed: {error}");
            }
        });
        Ok(())
    }

    /// Lets the queue know how many jobs of an extension may run.
    pub(super) fn note_limit(&self, installed: &Installed) {
        let extension = installed.extension();
        let limit = usize::try_from(extension.limits().concurrent_jobs).unwrap_or(usize::MAX);
        self.lock().queue.limit(extension.id(), limit);
    }

    /// Keeps the module of an extension in the store, for as long as a job runs on it.
    pub(super) fn keep_module(self: &Arc<Self>, installed: &Installed) {
        let extension = installed.extension();
        let hash = extension.module().hash;
        let key = (hash, installed.package().is_some());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.insert(key) {
            return;
        }
        let module = stored(installed);
        // Written before the job that comes after it, so that none is without its module.
        let manager = Arc::downgrade(self);
        let done = move |result| {
            if let Err(error) = result {
                if let Some(manager) = manager.upgrade() {
                    manager.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                }
                log::error!(
                    "module {} is not kept, and jobs can't go on with it once it is replaced: {error}",
                    hex(&hash)
                );
            }
        };
        self.jobs_at.keep_module(module, Box::new(done));
    }

    /// Brings back the jobs that were not over when the manager went.
    pub(super) fn restore(self: &Arc<Self>) -> Result<(), ManagerError> {
        let mut retries = Vec::new();
        let mut cancelled = Vec::new();
        for Listed { id, record, .. } in self.store.reader().resumable()? {
            let mut record: JobRecord = match record {
                Ok(record) => record,
                Err(error) => {
                    log::error!("job {id} is left as it is: {error}");
                    continue;
                }
            };
            record.state = match (record.state, record.wanted) {
                (_, Interrupt::Cancel) => JobState::Queued,
                (_, Interrupt::Pause) | (JobState::Paused, _) => JobState::Paused,
                _ => JobState::Queued,
            };
            if record.parent.is_some_and(|parent| self.is_cancelled(parent)) {
                record.wanted = Interrupt::Cancel;
                record.state = JobState::Queued;
            }
            let (state, retry_at, wanted) = (record.state, record.retry_at, record.wanted);
            let events = self.store.reader().events(id, u64::MAX, 0)?.last;
            let entry = Entry::new(id, record, events);
            self.lock().entries.insert(id, entry.clone());
            match (state, wanted, retry_at) {
                (_, Interrupt::Cancel, _) => cancelled.push(entry),
                (JobState::Queued, _, Some(at)) => retries.push((entry, at)),
                (JobState::Queued, _, None) => self.enqueue(&entry),
                _ => {}
            }
        }
        for entry in cancelled {
            // It was asked for before: only what was under way is left to do.
            self.enqueue(&entry);
            if let Err(error) = self.cancel(&entry) {
                log::error!("{error}");
            }
        }
        for (entry, at) in retries {
            // A clock that was put back must not keep it waiting for longer than it ever would.
            let wait = at.saturating_sub(unix_now()).min(self.config.backoff_ms.saturating_mul(1 << 9));
            self.retry_after(&entry, at, wait);
        }
        Ok(())
    }

    /// Brings a job into memory from what the store has; or says why it can't.
    pub(super) fn recover(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Recovered, NotRecovered> {
        let id = entry.id;
        let saved = self.jobs_at.load(id).map_err(|error| error.to_string())?;
        let saved = saved.ok_or_else(|| format!("the store has nothing of job {id}"))?;
        let recovery = Recovery::new(&saved).map_err(|error| format!("{error}; it is kept as it is"))?;
        let (recovery, module) = self.module_for(entry, recovery)?;
        let limit = usize::try_from(module.extension.limits().concurrent_jobs).unwrap_or(usize::MAX);
        match module.extension.recover(&self.registry, recovery) {
            Ok(job) => Ok(Recovered { job, grants: module.grants.clone() }),
            Err(StartError::Concurrency { .. }) => {
                // The queue did not know: the extension is not installed any more, or has another limit now.
                self.lock().queue.limit(module.extension.id(), limit);
                Err(NotRecovered::TooMany)
            }
            Err(error) => Err(NotRecovered::For(error.to_string())),
        }
    }

    /// Has a checkpoint of another module take the place of all that the store has of a job's runs.
    fn write_upgrade(&self, entry: &Entry, upgraded: &Checkpoint) -> Result<(), StoreError> {
        let mut now = entry.lock();
        let before = std::mem::replace(&mut now.record.module_hash, upgraded.module_hash);
        let upgrade = Commit::upgrade(upgraded.clone());
        let changes = [
            Change { record: Some(now.record.clone()), commit: Some(Arc::new(upgrade)) },
            // Once more, so that it is the base as well.
            Change { record: None, commit: Some(Arc::new(Commit::next_run())) },
        ];
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let done = move |result| {
            let _ = tell.send(result);
        };
        self.jobs_at.change(entry.id, &changes, Box::new(done));
        drop(now);
        let written = told.recv().unwrap_or_else(|_| Err(self.closed()));
        if written.is_err() {
            entry.lock().record.module_hash = before;
        }
        written
    }

    /// The module that a job goes on with: that which is installed, if the job can, else its own.
    fn module_for(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        recovery: Recovery,
    ) -> Result<(Recovery, Arc<Module>), String> {
        let newest = recovery.newest();
        let installed = self.extensions.get(&newest.extension).ok();
        let other = installed.filter(|one| one.extension().module().hash != newest.module_hash);
        if let Some(installed) = other.filter(|_| !recovery.is_replay()) {
            match installed.extension().upgrade(newest) {
                Ok(upgraded) => {
                    self.keep_module(&installed);
                    match self.write_upgrade(entry, &upgraded) {
                        Ok(()) => {
                            let version = upgraded.extension_version.clone();
                            self.event(entry, EventKind::Upgraded { version });
                            return Ok((Recovery::from(upgraded), self.modules.installed(&installed)));
                        }
                        Err(error) => log::warn!("job {} stays on its module: {error}", entry.id),
                    }
                }
                Err(reason) => log::info!(
                    "job {} goes on with version {} of {}: {reason}",
                    entry.id,
                    newest.extension_version,
                    newest.extension
                ),
            }
        }
        let (extension, hash) = (newest.extension.clone(), newest.module_hash);
        let module = self.modules.get(&extension, hash, &self.extensions, &self.store);
        Ok((recovery, module.map_err(|error| error.to_string())?))
    }
}

/// The module of an extension that is installed, with what it was installed with.
pub(super) fn stored(installed: &Installed) -> StoredModule {
    let extension = installed.extension();
    StoredModule {
        hash: extension.module().hash,
        manifest: serde_json::to_string(extension.manifest()).unwrap_or_default(),
        module: installed.module().to_vec(),
        config: installed.grants().config.to_string(),
        added_at: unix_now(),
        package: installed.package().map(|package| package.bytes().to_vec()),
        brought: false,
    }
}
