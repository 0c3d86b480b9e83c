//! Extensions that come, change and go while jobs run.

use std::{
    path::Path,
    sync::{MutexGuard, PoisonError},
};

use super::{Inner, Manager, error::RemoveError, recover::stored};
use crate::{ExtensionError, Installed, extensions::install};

impl Manager {
    /// Installs the extension of a folder or of a package: copies or unpacks it into the manager's own folder and loads it.
    /// Where one with its id is installed, this takes its place, as with [`Manager::reload_extension`].
    ///
    /// # Errors
    /// [`ExtensionError`]; what was installed before still is.
    pub fn add_extension(&self, path: &Path) -> Result<std::sync::Arc<Installed>, ExtensionError> {
        let installed = self.install_extension(path)?;
        self.inner.publish(&installed)?;
        Ok(installed)
    }

    /// As [`Manager::add_extension`], but for this manager alone, where others share its store.
    pub(crate) fn install_extension(&self, path: &Path) -> Result<std::sync::Arc<Installed>, ExtensionError> {
        let inner = &self.inner;
        let config = &inner.config;
        let folder = inner.extensions.folder();
        let _turn = inner.turn_to_install();
        let id = install::add(path, folder, &config.limits, &config.trust, config.grants.config.as_ref())?;
        let installed = match inner.extensions.get(&id) {
            Ok(_) => inner.extensions.reload(&id)?,
            Err(_) => inner.extensions.load_id(&id)?,
        };
        inner.replaced(&installed);
        Ok(installed)
    }

    /// Loads the files of an extension anew. A job of it that runs goes on with the module that it has; or, where both
    /// manifests have the same `state_version`, or the new module a migration from the old one, it is asked to checkpoint
    /// and goes on from there on the new module.
    ///
    /// # Errors
    /// [`ExtensionError`]; the old one is then still there.
    pub fn reload_extension(&self, id: &str) -> Result<std::sync::Arc<Installed>, ExtensionError> {
        let _turn = self.inner.turn_to_install();
        let installed = match self.inner.extensions.get(id) {
            Ok(_) => self.inner.extensions.reload(id)?,
            Err(_) => self.inner.extensions.load_id(id)?,
        };
        self.inner.replaced(&installed);
        Ok(installed)
    }

    /// Removes an extension, none of whose jobs is left to run.
    ///
    /// # Errors
    /// [`RemoveError`]; then it is still there.
    pub fn remove_extension(&self, id: &str) -> Result<(), RemoveError> {
        let _turn = self.inner.turn_to_install();
        let (folder, is_loaded) = match self.inner.extensions.get(id) {
            Ok(installed) => (installed.folder().to_owned(), true),
            Err(ExtensionError::NotLoaded { .. }) => (self.inner.extensions.folder().join(id), false),
            Err(error) => return Err(error.into()),
        };
        let jobs = self.inner.live_jobs_of(id);
        if jobs > 0 {
            return Err(RemoveError::Jobs { id: id.to_owned(), jobs });
        }
        let root = self.inner.extensions.folder();
        let folder = if is_loaded { folder } else { install::canonical(&folder)? };
        install::remove(&folder, root)?;
        if is_loaded {
            self.inner.extensions.unload(id)?;
        } else {
            self.inner.extensions.forget_failure(&folder);
        }
        Ok(())
    }
}

impl Inner {
    /// What another one who panicked left is whole, or brought in order at the next start.
    fn turn_to_install(&self) -> MutexGuard<'_, ()> {
        self.installing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those who share the store install it as well.
    fn publish(&self, installed: &Installed) -> Result<(), ExtensionError> {
        if !self.jobs_at.is_shared() {
            return Ok(());
        }
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let done = move |result| {
            // Whoever asked is below, and waits.
            let _ = tell.send(result);
        };
        self.jobs_at.publish(stored(installed), installed.packed_schemas(), Box::new(done));
        let published = told.recv().unwrap_or_else(|_| Err(self.closed()));
        let id = installed.extension().id().to_owned();
        published.map_err(|source| ExtensionError::Publish { id, source })
    }

    fn live_jobs_of(&self, extension: &str) -> usize {
        let entries: Vec<_> = self.lock().entries.values().cloned().collect();
        entries.iter().filter(|entry| entry.lock().record.extension() == extension).count()
    }

    /// An extension was loaded anew: jobs that may go on with it are asked to.
    fn replaced(self: &std::sync::Arc<Self>, installed: &Installed) {
        self.note_limit(installed);
        self.keep_module(installed);
        let extension = installed.extension();
        let entries: Vec<_> = self.lock().entries.values().cloned().collect();
        for entry in entries {
            let now = entry.lock();
            let record = &now.record;
            let other = record.extension() == extension.id() && record.module_hash != extension.module().hash;
            // One that stands still in memory hears of it once it goes on.
            if other
                && extension.manifest().state_version() != 0
                && let Some(context) = &now.context
            {
                context.control().reenter();
            }
        }
    }
}
