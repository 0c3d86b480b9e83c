//! Extensions that lie in folders: loading, listing, unloading, reloading.

mod error;
mod files;
pub(crate) mod install;
mod schema;
mod schema_bounds;
mod signed;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::Value;
use toehold::{Extension, Limits, Manifest, PublicKey, Trust};

pub use self::error::ExtensionError;
pub(crate) use self::signed::trusted;
use self::{files::ExtensionFiles, schema::Schema, schema::Schemas, signed::SignedPackage};
pub use self::{
    files::{CONFIG_FILE, MANIFEST_FILE},
    signed::PACKAGE_FILE,
};
use crate::operations::{FileAccess, FileGrants, Grants, NetworkAccess, NetworkOptions};

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

/// An extension that is loaded, and where it came from.
#[derive(Debug)]
pub struct Installed {
    extension: Extension,
    folder: PathBuf,
    fingerprint: [u8; 32],
    grants: Arc<Grants>,
    module: Arc<[u8]>,
    schemas: Schemas,
    /// What one that was only looked at would not get.
    doubts: Vec<String>,
    package: Option<SignedPackage>,
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

/// Bytes of a state that is checked in a moment by a schema without patterns.
const QUICKLY_CHECKED: usize = 4 << 10;

impl Installed {
    /// The extension.
    #[must_use]
    pub fn extension(&self) -> &Extension {
        &self.extension
    }

    /// The folder that it was loaded from; or the package that it was only looked at in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The module's bytes.
    #[must_use]
    pub fn module(&self) -> &Arc<[u8]> {
        &self.module
    }

    /// Who signed the package that it came in, if somebody did and its files are still what that holds.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.package.as_ref().map(SignedPackage::signer)
    }

    /// That package.
    pub(crate) fn package(&self) -> Option<&SignedPackage> {
        self.package.as_ref()
    }

    /// The JSON Schema that its configuration fits, if its manifest has one (`config_schema`).
    #[must_use]
    pub fn config_schema(&self) -> Option<&Value> {
        self.schemas.config.as_ref().map(Schema::value)
    }

    /// The JSON Schema of the state that a job may be dispatched with, if the manifest has one (`state_schemas`). The job is
    /// named without the extension's id.
    #[must_use]
    pub fn state_schema(&self, job: &str) -> Option<&Value> {
        self.schemas.states.get(job).map(Schema::value)
    }

    /// All schemas as one JSON object, as a [`Package`](toehold::Package) takes them; nothing where there are none.
    #[must_use]
    pub fn packed_schemas(&self) -> Vec<u8> {
        self.schemas.to_json()
    }

    /// Checks a state that a job is to be dispatched with. Where the manifest has no schema for it any state fits, and an
    /// empty one, which stands for the guest's default, always does.
    ///
    /// # Errors
    /// Each place of the state that does not fit, and what was expected there.
    pub fn check_state(&self, job: &str, state: &[u8]) -> Result<(), Vec<String>> {
        let Some(schema) = self.schemas.states.get(job).filter(|_| !state.is_empty()) else { return Ok(()) };
        if let Some(most) = schema.most_bytes().filter(|most| state.len() > *most) {
            return Err(vec![format!(
                "it has {} bytes; a state whose schema has patterns may have {most}",
                state.len()
            )]);
        }
        let state = serde_json::from_slice(state).map_err(|error| vec![format!("it is no JSON: {error}")])?;
        schema.admit(&state).map_err(|reason| vec![reason])?;
        let problems = schema.problems(&state, false);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Whether [`Installed::check_state`] may take more than a moment.
    pub(crate) fn checks_slowly(&self, job: &str, state: &[u8]) -> bool {
        let schema = self.schemas.states.get(job);
        schema.is_some_and(|schema| schema.most_bytes().is_some() || state.len() > QUICKLY_CHECKED)
    }

    /// What one in a package, which is only looked at, would not get of the folders that its manifest asks for.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// What the operator grants it.
    #[must_use]
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }
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

    /// Loads the extension in a folder, or in a package's file, to be looked at: it is not listed, and its configuration need
    /// not fit. One in a package gets no access to files.
    ///
    /// # Errors
    /// [`ExtensionError`], with the path it is about.
    pub fn look_into(&self, path: &Path) -> Result<Arc<Installed>, ExtensionError> {
        let package = match files::Source::of(path)? {
            files::Source::Folder(folder) => {
                let files = self.read_files(&folder)?;
                let config = files.config.clone();
                return self.build_with(files, None, config).map(Arc::new);
            }
            files::Source::Package(package) => package,
        };
        let (opened, bytes) = signed::read(&package, &self.trust)?;
        let signed = SignedPackage::of(&opened, &bytes);
        let (extension, schemas) = signed::checked(&opened, &package, &self.limits)?;
        let (manifest, module) = opened.into_parts();
        let (grants, doubts) = self.would_get(&manifest, &package);
        Ok(Arc::new(Installed {
            extension,
            folder: package,
            fingerprint: [0; 32],
            grants: Arc::new(grants),
            module: module.into(),
            schemas,
            doubts,
            package: signed,
        }))
    }

    /// What the extension of a package would be granted of the network, and which folders it would not get. It gets none as long
    /// as it is only looked at.
    fn would_get(&self, manifest: &Manifest, package: &Path) -> (Grants, Vec<String>) {
        let permissions = manifest.permissions();
        let (own, elsewhere): (Vec<String>, Vec<String>) =
            permissions.file_access.iter().cloned().partition(|folder| Path::new(folder).is_relative());
        let mut doubts: Vec<String> = own
            .iter()
            .map(|folder| {
                format!("`permissions.file_access` has {folder:?}, a folder that a package does not bring")
            })
            .collect();
        let granted = FileGrants {
            read: &self.options.folders,
            write: &self.options.write_folders,
            protected: &self.options.protected,
        };
        match FileAccess::new(package.parent().unwrap_or(package), &elsewhere, granted) {
            Ok(access) => doubts.extend(access.refused().iter().map(ToString::to_string)),
            Err(error) => doubts.push(error.to_string()),
        }
        let network = NetworkAccess::new(
            manifest.id(),
            &permissions.network_access,
            &self.options.network,
            self.limits.reply_bytes,
        );
        (Grants { network, ..Grants::default() }, doubts)
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

    fn build(
        &self,
        files: ExtensionFiles,
        old: Option<&Extension>,
    ) -> Result<Arc<Installed>, ExtensionError> {
        let config = files.configured(self.options.config.as_ref())?;
        self.build_with(files, old, config).map(Arc::new)
    }

    fn build_with(
        &self,
        files: ExtensionFiles,
        old: Option<&Extension>,
        config: Value,
    ) -> Result<Installed, ExtensionError> {
        let permissions = files.manifest.permissions();
        let granted = FileGrants {
            read: &self.options.folders,
            write: &self.options.write_folders,
            protected: &self.options.protected,
        };
        let access = FileAccess::new(&files.folder, &permissions.file_access, granted).map_err(|error| {
            ExtensionError::FileAccess { path: files.folder.clone(), reason: error.to_string() }
        })?;
        let extension = match old {
            Some(old) => old.reload(files.manifest.clone(), &files.module, &self.limits),
            None => Extension::load(files.manifest.clone(), &files.module, &self.limits),
        };
        let extension =
            extension.map_err(|source| ExtensionError::Load { path: files.module_path.clone(), source })?;
        files.check_jobs(&extension)?;
        let network = NetworkAccess::new(
            files.manifest.id(),
            &permissions.network_access,
            &self.options.network,
            self.limits.reply_bytes,
        );
        let grants = Arc::new(Grants { config, files: access, network });
        let ExtensionFiles { folder, module, schemas, package, fingerprint, .. } = files;
        Ok(Installed {
            extension,
            folder,
            fingerprint,
            grants,
            module: module.into(),
            schemas,
            doubts: Vec::new(),
            package,
        })
    }

    fn read_files(&self, path: &Path) -> Result<ExtensionFiles, ExtensionError> {
        ExtensionFiles::read(path, &self.limits, &self.trust)
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
