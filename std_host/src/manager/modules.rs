use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use sha2::{Digest, Sha256};
use toehold::{Extension, Limits, Manifest, PackageError, Trust};

use crate::{
    ExtensionManager, Grants, Installed, extensions,
    store::{SqliteStore, StoreError, StoredModule},
};

/// A module that jobs run on, and what the operator grants them.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) extension: Extension,
    pub(super) grants: Arc<Grants>,
    /// It was never installed here.
    brought: bool,
}

/// The modules that jobs run on, by hash: those that are installed, and older ones that only the store still has.
#[derive(Debug)]
pub(super) struct Modules {
    limits: Limits,
    trust: Trust,
    loaded: Mutex<HashMap<[u8; 32], Weak<Module>>>,
}

/// What [`Extension::load`] takes.
pub(super) type Parts = (Manifest, Vec<u8>);

/// Why there is no module for a job.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModuleError {
    #[error(
        "the module {hash} of the job is neither installed nor in the store: add the extension's version that it \
             was dispatched on"
    )]
    Missing { hash: String },
    #[error("the store has a manifest for module {hash} that can't be read: {source}")]
    Manifest { hash: String, source: serde_json::Error },
    #[error(
        "the module {hash} of the job is not taken here: {source}; add the signed package of the extension's version that it \
         was dispatched on"
    )]
    Untrusted { hash: String, source: PackageError },
    #[error(
        "the module {hash} of the job is not taken here: the store has the package of another module in its place; add \
         the signed package of the extension's version that it was dispatched on"
    )]
    OtherPackage { hash: String },
    #[error(
        "the module {hash} of the job came in a bundle, and another version of {id} is installed by now, whose configuration, \
         secrets and keys it would get: add the version that the job was dispatched on, if you trust it"
    )]
    Brought { id: String, hash: String },
    #[error("the store's module {hash} can't be loaded: {source}")]
    Load { hash: String, source: toehold::LoadError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Modules {
    pub(super) fn new(limits: Limits, trust: Trust) -> Self {
        Self { limits, trust, loaded: Mutex::default() }
    }

    /// The module of an extension that is installed.
    pub(super) fn installed(&self, installed: &Installed) -> Arc<Module> {
        let (extension, grants) = (installed.extension().clone(), installed.grants().clone());
        Arc::new(Module { extension, grants, brought: false })
    }

    /// The module with this hash, wherever it is.
    pub(super) fn get(
        &self,
        id: &str,
        hash: [u8; 32],
        extensions: &ExtensionManager,
        store: &SqliteStore,
    ) -> Result<Arc<Module>, ModuleError> {
        let installed = extensions.get(id).ok();
        if let Some(installed) = installed.as_ref().filter(|one| one.extension().module().hash == hash) {
            return Ok(self.installed(installed));
        }
        // Who made its bundle gave it the id: that alone must not get it what the operator gave to the installed one.
        let admit = |brought: bool| match installed {
            Some(_) if brought => {
                Err(ModuleError::Brought { id: id.to_owned(), hash: super::status::hex(&hash) })
            }
            _ => Ok(()),
        };
        if let Some(module) = self.find(hash).filter(|module| admit(module.brought).is_ok()) {
            return Ok(module);
        }
        let stored = store.reader().module(&hash)?;
        let stored = stored.ok_or_else(|| ModuleError::Missing { hash: super::status::hex(&hash) })?;
        let brought = stored.brought;
        admit(brought)?;
        let (manifest, module) = self.parts(id, stored)?;
        // Loaded without the lock: it may take its time, and to do it twice does no harm.
        let loaded = match &installed {
            // What runs on the old module counts among what the extension may have at a time.
            Some(installed) => installed.extension().reload(manifest, module, &self.limits),
            None => Extension::load(manifest, module, &self.limits),
        };
        let extension =
            loaded.map_err(|source| ModuleError::Load { hash: super::status::hex(&hash), source })?;
        let grants = installed.map_or_else(Arc::default, |installed| installed.grants().clone());
        Ok(self.insert(hash, || Module { extension, grants, brought }))
    }

    /// Manifest and module of what the store has; out of its signed package where only some keys are trusted.
    pub(super) fn parts(&self, id: &str, stored: StoredModule) -> Result<Parts, ModuleError> {
        let hash = super::status::hex(&stored.hash);
        if self.trust == Trust::Anyone {
            return match serde_json::from_str(&stored.manifest) {
                Ok(manifest) => Ok((manifest, stored.module)),
                Err(source) => Err(ModuleError::Manifest { hash, source }),
            };
        }
        match extensions::trusted(stored.package, &self.trust) {
            Ok(package) if package.manifest().id() != id => Err(ModuleError::OtherPackage { hash }),
            Ok(package) if <[u8; 32]>::from(Sha256::digest(package.module())) != stored.hash => {
                Err(ModuleError::OtherPackage { hash })
            }
            Ok(package) => Ok(package.into_parts()),
            Err(source) => Err(ModuleError::Untrusted { hash, source }),
        }
    }

    fn find(&self, hash: [u8; 32]) -> Option<Arc<Module>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&hash)?.upgrade()
    }

    fn insert(&self, hash: [u8; 32], make: impl FnOnce() -> Module) -> Arc<Module> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, module| module.strong_count() > 0);
        let module = Arc::new(make());
        // One that was brought before it was installed has not what it is given now.
        let there = loaded.get(&hash).and_then(Weak::upgrade);
        if let Some(there) = there.filter(|there| !there.brought || module.brought) {
            return there;
        }
        loaded.insert(hash, Arc::downgrade(&module));
        module
    }
}
