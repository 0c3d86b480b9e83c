//! Extensions that lie in folders: loading, listing, unloading, reloading.

mod build;
mod error;
mod files;
pub(crate) mod install;
mod installed;
mod schema;
mod schema_bounds;
mod signed;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::Value;
use toehold::{Limits, Trust};

use self::files::ExtensionFiles;
pub(crate) use self::signed::trusted;
pub use self::{
    error::ExtensionError,
    files::{CONFIG_FILE, MANIFEST_FILE},
    installed::Installed,
    signed::PACKAGE_FILE,
};
use crate::operations::NetworkOptions;

/// Loads the extensions of a folder, one in each folder inside it, and holds them by id.
///
/// All methods take `&self` and may be called from any thread. A load that fails changes nothing.
#[derive(Debug)]
pub struct ExtensionManager {
    folder: PathBuf,
    limits: Limits,
    options: GrantOptions,
    trust: Trust,
    installed: RwLock<BTreeMap<String, Arc<Installed>>>,
    /// By their folders' names.
    failed: RwLock<BTreeMap<String, NotLoaded>>,
}

/// An extension that lies in the folder and could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLoaded {
    /// The name of its folder, which is its id unless somebody has put it there by hand.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Why.
    pub error: String,
}

/// What the operator gives to extensions beyond their own folders.
#[derive(Clone, Debug, Default)]
pub struct GrantOptions {
    /// Folders that every extension may read.
    pub folders: Vec<PathBuf>,
    /// Folders that an extension may read and write if its manifest names them, or folders in them.
    pub write_folders: Vec<PathBuf>,
    /// Folders in which no extension may write, whatever else is granted. A manager's own folders are among them, and each
    /// extension's folder for itself.
    pub protected: Vec<PathBuf>,
    /// The hosts that an extension may reach if its manifest asks for them, and its secrets there.
    pub network: NetworkOptions,
    /// The configuration of all extensions; `None` for the `config.json` beside each manifest.
    pub config: Option<Value>,
}

/// What [`ExtensionManager::refresh`] did about an extension.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// A folder was new: the extension with this id is loaded.
    Added(String),
    /// Its files had changed: the extension with this id is loaded anew.
    Reloaded(String),
    /// Its folder is gone: the extension with this id is unloaded.
    Removed(String),
    /// An extension could not be loaded. Where an older one was loaded, it still is.
    Failed(ExtensionError),
}

impl ExtensionManager {
    /// A manager of the extensions in `folder`, none of which is loaded yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, limits: Limits, options: GrantOptions) -> Self {
        Self {
            folder: folder.into(),
            limits,
            options,
            trust: Trust::Anyone,
            installed: RwLock::default(),
            failed: RwLock::default(),
        }
    }

    /// The same, but it takes only what these have signed: a folder must have its signed package beside its files. All
    /// others are refused before anything of their module is parsed.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The folder that holds the extensions' folders.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Loads the extension of a folder, or of a manifest's path.
    ///
    /// # Errors
    /// [`ExtensionError`], with the path it is about; [`ExtensionError::Duplicate`] where another folder's extension
    /// has the id. Nothing is loaded then.
    pub fn load(&self, path: &Path) -> Result<Arc<Installed>, ExtensionError> {
        let new = self.build(self.read_files(path)?, None)?;
        let mut installed = self.write();
        if let Some(old) = installed.get(new.extension.id()) {
            return Err(ExtensionError::Duplicate {
                id: new.extension.id().to_owned(),
                path: new.folder.clone(),
                other: old.folder.clone(),
            });
        }
        installed.insert(new.extension.id().to_owned(), new.clone());
        drop(installed);
        self.forget_failure(&new.folder);
        Ok(new)
    }

    /// Loads the extension with this id, wherever in the folder it lies, and none of the others.
    ///
    /// # Errors
    /// As [`ExtensionManager::load`]; [`ExtensionError::Unknown`] if no manifest in the folder has the id.
    pub fn load_id(&self, id: &str) -> Result<Arc<Installed>, ExtensionError> {
        let mut known = Vec::new();
        for folder in files::folders(&self.folder)? {
            match files::manifest(&folder) {
                Ok(manifest) if manifest.id() == id => return self.load(&folder),
                Ok(manifest) => known.push(manifest.id().to_owned()),
                // One that lies in the folder of this name is the one that was meant.
                Err(error) if folder.file_name().is_some_and(|name| name == id) => return Err(error),
                Err(error) => log::warn!("{error}"),
            }
        }
        Err(ExtensionError::Unknown { id: id.to_owned(), folder: self.folder.clone(), known })
    }

    /// Brings what is loaded in line with the folder: loads what is new, reloads what has changed, as the SHA-256 of
    /// its files tells, and unloads what is gone. Errors are listed beside what worked.
    ///
    /// # Errors
    /// [`ExtensionError::Read`] if the folder itself can't be read.
    pub fn refresh(&self) -> Result<Vec<Change>, ExtensionError> {
        let folders = files::folders(&self.folder)?;
        self.failed_mut().retain(|_, failed| folders.contains(&failed.folder));
        let mut changes = Vec::new();
        for old in self.list() {
            if !old.folder.join(MANIFEST_FILE).exists() {
                let id = old.extension.id().to_owned();
                changes.push(match self.unload(&id) {
                    Ok(()) => Change::Removed(id),
                    Err(error) => Change::Failed(error),
                });
            }
        }
        for folder in folders {
            let old = self.list().into_iter().find(|installed| installed.folder == folder);
            let change = match old {
                None => self.load(&folder).map(|new| Some(Change::Added(new.extension.id().to_owned()))),
                Some(old) => match self.read_files(&folder) {
                    Ok(new) if new.fingerprint == old.fingerprint => Ok(None),
                    Ok(new) => {
                        let id = old.extension.id().to_owned();
                        self.replace(&old, new).map(|_| Some(Change::Reloaded(id)))
                    }
                    Err(error) => Err(error),
                },
            };
            let change = change.unwrap_or_else(|error| Some(Change::Failed(error)));
            match &change {
                Some(Change::Failed(error)) => self.note_failure(&folder, error),
                _ => self.forget_failure(&folder),
            }
            changes.extend(change);
        }
        Ok(changes)
    }

    /// What lies in the folder and could not be loaded when that was last tried, as long as nothing of that id is loaded.
    #[must_use]
    pub fn not_loaded(&self) -> Vec<NotLoaded> {
        let loaded = self.list();
        let is_there = |id: &str| loaded.iter().any(|one| one.extension.id() == id);
        let failed = self.failed.read().unwrap_or_else(PoisonError::into_inner);
        failed.values().filter(|failed| !is_there(&failed.id)).cloned().collect()
    }

    fn note_failure(&self, folder: &Path, error: &ExtensionError) {
        let id = name_of(folder);
        let failed = NotLoaded { id: id.clone(), folder: folder.to_owned(), error: error.to_string() };
        self.failed_mut().insert(id, failed);
    }

    pub(crate) fn forget_failure(&self, folder: &Path) {
        self.failed_mut().remove(&name_of(folder));
    }

    fn failed_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, NotLoaded>> {
        self.failed.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is loaded, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Installed>> {
        self.read().values().cloned().collect()
    }

    /// The extension with this id.
    ///
    /// # Errors
    /// [`ExtensionError::Unknown`] names those that are loaded.
    pub fn get(&self, id: &str) -> Result<Arc<Installed>, ExtensionError> {
        let installed = self.read().get(id).cloned();
        installed.ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: &str) -> ExtensionError {
        if let Some(failed) = self.not_loaded().into_iter().find(|failed| failed.id == id) {
            return ExtensionError::NotLoaded { id: failed.id, reason: failed.error };
        }
        let known = self.read().keys().cloned().collect();
        ExtensionError::Unknown { id: id.to_owned(), folder: self.folder.clone(), known }
    }

    /// Takes an extension off the list and runs its `plugin_cleanup`. Its jobs that run go on to their end.
    ///
    /// # Errors
    /// [`ExtensionError::Unknown`]; or [`ExtensionError::Cleanup`], after which it is unloaded all the same.
    pub fn unload(&self, id: &str) -> Result<(), ExtensionError> {
        let old = self.get(id)?;
        // Of two who unload at once, one finds it gone: the clean-up runs once.
        let removed = self.write().remove(id);
        removed.map_or(Ok(()), |_| cleanup(&old))
    }

    /// Loads an extension's files anew. Jobs that run go on with the module that they have.
    ///
    /// # Errors
    /// [`ExtensionError`] says what is wrong with the new files; the old extension is then still there. After
    /// [`ExtensionError::Cleanup`] the new one is.
    pub fn reload(&self, id: &str) -> Result<Arc<Installed>, ExtensionError> {
        let old = self.get(id)?;
        let files = self.read_files(&old.folder)?;
        self.replace(&old, files)
    }

    fn replace(&self, old: &Arc<Installed>, files: ExtensionFiles) -> Result<Arc<Installed>, ExtensionError> {
        let id = old.extension.id();
        let new = self.build(files, Some(&old.extension))?;
        if new.extension.id() != id {
            return Err(ExtensionError::OtherId {
                path: new.folder.clone(),
                expected: id.to_owned(),
                found: new.extension.id().to_owned(),
            });
        }
        match self.write().get_mut(id) {
            Some(current) if Arc::ptr_eq(current, old) => *current = new.clone(),
            // Somebody else has unloaded or reloaded it meanwhile; theirs is the newer word.
            Some(current) => return Ok(current.clone()),
            None => return Err(self.unknown(id)),
        }
        cleanup(old)?;
        Ok(new)
    }

    // A thread that panicked while it held the lock left a whole map behind: each change is one insert or remove.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Installed>>> {
        self.installed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Installed>>> {
        self.installed.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn cleanup(old: &Installed) -> Result<(), ExtensionError> {
    old.extension
        .cleanup()
        .map_err(|fault| ExtensionError::Cleanup { id: old.extension.id().to_owned(), fault })
}
