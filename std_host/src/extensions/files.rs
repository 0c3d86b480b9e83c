use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use toehold::{Extension, Limits, Manifest, Trust};

use super::{
    ExtensionError,
    schema::{BadSchema, Schemas},
    signed::{self, SignedPackage},
};

/// The file that makes a folder an extension's.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The operator's configuration of an extension, beside its manifest; may be absent.
pub const CONFIG_FILE: &str = "config.json";

/// Bytes of a manifest or a configuration.
pub(super) const JSON_BYTES: u64 = 1 << 20;

/// An extension's files as they were read, nothing of them run yet.
#[derive(Debug)]
pub(super) struct ExtensionFiles {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) module_path: PathBuf,
    pub(super) module: Vec<u8>,
    pub(super) config: Value,
    /// Of its configuration and its jobs' states: those of the manifest's file, or those of the package where only signed ones
    /// are taken.
    pub(super) schemas: Schemas,
    /// The package that they came in, if somebody has signed it and they are still what it holds.
    pub(super) package: Option<SignedPackage>,
    /// SHA-256 over all of the files.
    pub(super) fingerprint: [u8; 32],
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Source {
    /// An extension's folder.
    Folder(PathBuf),
    /// Some other file: a package, as far as can be told from its name.
    Package(PathBuf),
}

impl Source {
    /// A folder, by itself or by the manifest in it, or a file.
    pub(super) fn of(path: &Path) -> Result<Self, ExtensionError> {
        // One spelling for each folder: it is how one that is loaded is known again.
        let path = canonical(path)?;
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        match path.parent() {
            Some(folder) if path.file_name().is_some_and(|name| name == MANIFEST_FILE) => {
                Ok(Self::Folder(folder.to_owned()))
            }
            _ => Ok(Self::Package(path)),
        }
    }
}

impl ExtensionFiles {
    /// Reads the files of a folder, or of its manifest. Where only some keys are trusted, the package beside them is
    /// looked at first, and they must be what it holds.
    pub(super) fn read(path: &Path, limits: &Limits, trust: &Trust) -> Result<Self, ExtensionError> {
        let folder = match Source::of(path)? {
            Source::Folder(folder) => folder,
            Source::Package(path) => return Err(ExtensionError::NoFolder { path }),
        };
        let beside = signed::beside(&folder, trust)?;
        let manifest_path = folder.join(MANIFEST_FILE);
        let manifest_bytes = manifest_bytes(&folder)?;
        let manifest: Manifest = from_json(&manifest_path, &manifest_bytes)?;
        let module_path = folder.join(manifest.wasm_file());
        // A link inside the folder may still lead out of it.
        stay_inside(&folder, &module_path)?;
        let module = read_file(&module_path, limits.module_bytes as u64)?;
        let schemas = match (trust, &beside) {
            (Trust::Anyone, _) => Schemas::of_manifest(&manifest_bytes)
                .map_err(|bad| ExtensionError::schema(&manifest_path, bad))?,
            (Trust::Signed(_), Some(beside)) => beside.schemas()?,
            (Trust::Signed(_), None) => Schemas::default(),
        };
        let package = match beside {
            Some(beside) => beside.of_files(&folder, &manifest, &module, &schemas, trust)?,
            None => None,
        };
        let (config, config_bytes) = config(&folder)?;
        let mut hash = Sha256::new();
        let package_bytes = package.as_ref().map_or(&[][..], SignedPackage::bytes);
        for bytes in [&manifest_bytes, &module, &config_bytes, package_bytes] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        let fingerprint = hash.finalize().into();
        Ok(Self { folder, manifest, module_path, module, config, schemas, package, fingerprint })
    }

    /// The configuration that the guest gets, with the schema's defaults in it: this one if there is one, else that of the
    /// folder.
    pub(super) fn configured(&self, instead: Option<&Value>) -> Result<Value, ExtensionError> {
        configured(&self.schemas, instead, &self.config, &self.folder.join(CONFIG_FILE))
    }

    /// Refuses schemas for jobs that the module does not have.
    pub(super) fn check_jobs(&self, extension: &Extension) -> Result<(), ExtensionError> {
        let jobs = extension.jobs().iter().map(|job| job.name.as_str());
        self.schemas
            .are_for(jobs)
            .map_err(|bad| ExtensionError::schema(&self.folder.join(MANIFEST_FILE), bad))
    }
}

impl ExtensionError {
    /// Of a manifest, or of a package.
    pub(super) fn schema(path: &Path, BadSchema { key, reason }: BadSchema) -> Self {
        Self::Schema { path: path.to_owned(), key, reason }
    }
}

/// The configuration of this file, or the one that was given instead, with the schema's defaults in it, if it fits.
pub(super) fn configured(
    schemas: &Schemas,
    instead: Option<&Value>,
    config: &Value,
    path: &Path,
) -> Result<Value, ExtensionError> {
    let path = instead.is_none().then(|| path.to_owned());
    let mut config = instead.unwrap_or(config).clone();
    let Some(schema) = &schemas.config else { return Ok(config) };
    schema.fill_defaults(&mut config);
    let problems = schema.problems(&config, true);
    if problems.is_empty() {
        return Ok(config);
    }
    Err(ExtensionError::Config { path, problems })
}

/// The operator's configuration in a folder, and its bytes; an empty one if there is none.
pub(super) fn config(folder: &Path) -> Result<(Value, Vec<u8>), ExtensionError> {
    let path = folder.join(CONFIG_FILE);
    match read_file(&path, JSON_BYTES) {
        Err(ExtensionError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok((Value::Object(serde_json::Map::new()), Vec::new()))
        }
        other => {
            let bytes = other?;
            // What it says reaches the guest, by `query:config.get`.
            stay_inside(folder, &path)?;
            Ok((from_json(&path, &bytes)?, bytes))
        }
    }
}

/// Only the manifest of a folder.
pub(super) fn manifest(folder: &Path) -> Result<Manifest, ExtensionError> {
    from_json(&folder.join(MANIFEST_FILE), &manifest_bytes(folder)?)
}

fn manifest_bytes(folder: &Path) -> Result<Vec<u8>, ExtensionError> {
    match read_file(&folder.join(MANIFEST_FILE), JSON_BYTES) {
        Err(ExtensionError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(ExtensionError::NoManifest { path: folder.to_owned() })
        }
        other => other,
    }
}

/// The folders in `folder` that have a manifest, sorted.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, ExtensionError> {
    let read = |source| ExtensionError::Read { path: folder.to_owned(), source };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if !super::install::is_under_way(&path) && path.join(MANIFEST_FILE).is_file() {
            folders.push(canonical(&path)?);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Refuses a path inside of `folder` that is a link which leads out of it.
fn stay_inside(folder: &Path, path: &Path) -> Result<(), ExtensionError> {
    let target = canonical(path)?;
    if target.starts_with(folder) {
        return Ok(());
    }
    Err(ExtensionError::OutsideFolder { path: path.to_owned(), target })
}

pub(crate) fn canonical(path: &Path) -> Result<PathBuf, ExtensionError> {
    path.canonicalize().map_err(|source| ExtensionError::Read { path: path.to_owned(), source })
}

fn from_json<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, ExtensionError> {
    serde_json::from_slice(bytes).map_err(|source| ExtensionError::Json { path: path.to_owned(), source })
}

/// Reads a file of at most `limit` bytes. Only regular files: a pipe could keep the host waiting for ever.
pub(super) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ExtensionError> {
    let error = |source| ExtensionError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file")));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(error)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > limit {
        return Err(ExtensionError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
