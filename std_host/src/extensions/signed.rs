//! Packages, and the one that an extension came in, which stays beside its unpacked files: a host that trusts only some keys
//! checks it whenever it loads them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use toehold::{Extension, Limits, Manifest, Package, PackageError, PublicKey, Trust};

use super::{ExtensionError, files::read_file, schema::Schemas};

/// The package that an extension was installed from, beside its manifest; there if somebody has signed it.
pub const PACKAGE_FILE: &str = "package.toehold";

/// Bytes of a package, as its format has it.
const PACKAGE_BYTES: u64 = 64 << 20;

/// A package that somebody has signed.
#[derive(Clone, Debug)]
pub(crate) struct SignedPackage {
    bytes: Arc<[u8]>,
    signer: PublicKey,
}

impl SignedPackage {
    /// The bytes of a package that was opened, if it is signed.
    pub(super) fn of(package: &Package, bytes: &[u8]) -> Option<Self> {
        package.signer().map(|signer| Self { bytes: bytes.into(), signer: *signer })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn signer(&self) -> &PublicKey {
        &self.signer
    }
}

/// Reads a package's file, and opens it as far as its signature allows.
pub(super) fn read(path: &Path, trust: &Trust) -> Result<(Package, Vec<u8>), ExtensionError> {
    let bytes = read_file(path, PACKAGE_BYTES)?;
    let package = Package::open(&bytes, trust)
        .map_err(|source| ExtensionError::Package { path: path.to_owned(), source })?;
    Ok((package, bytes))
}

/// The extension in a package, loaded to see whether it can be, and its schemas.
pub(super) fn checked(
    package: &Package,
    path: &Path,
    limits: &Limits,
) -> Result<(Extension, Schemas), ExtensionError> {
    let schemas = schemas(package, path)?;
    let extension = Extension::load(package.manifest().clone(), package.module(), limits)
        .map_err(|source| ExtensionError::Load { path: path.to_owned(), source })?;
    let jobs = extension.jobs().iter().map(|job| job.name.as_str());
    schemas.are_for(jobs).map_err(|bad| ExtensionError::schema(path, bad))?;
    Ok((extension, schemas))
}

/// The schemas in a package, which lies there.
pub(super) fn schemas(package: &Package, path: &Path) -> Result<Schemas, ExtensionError> {
    Schemas::of_package(package.schemas()).map_err(|bad| ExtensionError::schema(path, bad))
}

/// The package beside an extension's files, before anybody has looked whether it is theirs.
#[derive(Debug)]
pub(super) struct Beside {
    path: PathBuf,
    package: Package,
    bytes: Vec<u8>,
}

/// The package in an extension's folder, if there is one. There must be where only some keys are trusted.
pub(super) fn beside(folder: &Path, trust: &Trust) -> Result<Option<Beside>, ExtensionError> {
    let path = folder.join(PACKAGE_FILE);
    match (read(&path, trust), trust) {
        (Ok((package, bytes)), _) => Ok(Some(Beside { path, package, bytes })),
        (Err(error), Trust::Anyone) => {
            if !is_missing(&error) {
                log::warn!("{error}; its extension counts as not signed");
            }
            Ok(None)
        }
        (Err(error), Trust::Signed(_)) if is_missing(&error) => {
            Err(ExtensionError::Unsigned { path: folder.to_owned() })
        }
        (Err(error), Trust::Signed(_)) => Err(error),
    }
}

fn is_missing(error: &ExtensionError) -> bool {
    matches!(error, ExtensionError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

impl Beside {
    /// The schemas in it.
    pub(super) fn schemas(&self) -> Result<Schemas, ExtensionError> {
        schemas(&self.package, &self.path)
    }

    /// This as the package of these files, if it is theirs. It must be where only some keys are trusted.
    pub(super) fn of_files(
        self,
        folder: &Path,
        manifest: &Manifest,
        module: &[u8],
        schemas: &Schemas,
        trust: &Trust,
    ) -> Result<Option<SignedPackage>, ExtensionError> {
        // A package without schemas may be older than those, and says nothing of them.
        let schemas_fit = match trust {
            // What the manifest's file says of them is not asked.
            Trust::Signed(_) => true,
            Trust::Anyone => {
                self.package.schemas().is_empty()
                    || self.schemas().is_ok_and(|signed| signed.keys() == schemas.keys())
            }
        };
        if self.package.manifest() == manifest && self.package.module() == module && schemas_fit {
            return Ok(SignedPackage::of(&self.package, &self.bytes));
        }
        if let Trust::Signed(_) = trust {
            return Err(ExtensionError::Changed { path: folder.to_owned() });
        }
        log::warn!(
            "{}: holds other files than lie beside it, which count as not signed",
            self.path.display()
        );
        Ok(None)
    }
}

/// Manifest and module of a package that was kept for a module, if the host trusts it.
///
/// # Errors
/// [`PackageError`] says why it does not.
pub(crate) fn trusted(package: Option<Vec<u8>>, trust: &Trust) -> Result<Package, PackageError> {
    package.ok_or(PackageError::Unsigned).and_then(|bytes| Package::open(&bytes, trust))
}
