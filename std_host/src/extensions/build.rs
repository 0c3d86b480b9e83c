//! From the files of an extension, or its package, to one that can run, with what the operator grants it.

use std::{path::Path, sync::Arc};

use serde_json::Value;
use toehold::{Extension, Manifest};

use super::{
    ExtensionError, ExtensionManager, Installed,
    files::{self, ExtensionFiles},
    signed::{self, SignedPackage},
};
use crate::operations::{FileAccess, FileGrants, Grants, NetworkAccess};

impl ExtensionManager {
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

    pub(super) fn build(
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

    pub(super) fn read_files(&self, path: &Path) -> Result<ExtensionFiles, ExtensionError> {
        ExtensionFiles::read(path, &self.limits, &self.trust)
    }
}
