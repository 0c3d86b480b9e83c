use std::{io, path::PathBuf};

use toehold::{Fault, LoadError, PackageError};

/// Why an extension was not loaded, found or unloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// A file or folder could not be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder has no manifest.
    #[error("{path}: has no manifest.json, so it is no extension's folder", path = path.display())]
    NoManifest {
        /// Which.
        path: PathBuf,
    },
    /// A file is neither a folder nor its manifest.
    #[error(
        "{path}: is neither an extension's folder nor its manifest.json; if it is a package, \
         `toehold extension add` installs it",
        path = path.display()
    )]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// It is installed here, and others who share the store can't install it.
    #[error(
        "extension {id} is installed here, but not for the others who share its jobs: {source}; add it again"
    )]
    Publish {
        /// The extension.
        id: String,
        /// Why.
        source: crate::store::StoreError,
    },
    /// A package was refused.
    #[error("{path}: {source}", path = path.display())]
    Package {
        /// The package.
        path: PathBuf,
        /// Why.
        source: PackageError,
    },
    /// Only signed packages are taken, and a folder has none.
    #[error(
        "{path}: a folder carries no signature, and only packages that a trusted key has signed are taken here; \
         have it packed and signed (`toehold extension pack DIR --sign KEYFILE`), and add the package",
        path = path.display()
    )]
    Unsigned {
        /// The folder.
        path: PathBuf,
    },
    /// Only signed packages are taken, and the files of a folder are no longer what its package holds.
    #[error(
        "{path}: manifest or module were changed since they came in their signed package; add the package again",
        path = path.display()
    )]
    Changed {
        /// The folder.
        path: PathBuf,
    },
    /// A file is over its limit.
    #[error("{path}: has more than {limit} bytes, the limit", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A manifest or configuration is no JSON, lacks a field, or has one that can't be right.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The module or the configuration lies outside of the extension's folder, by way of a symbolic link.
    #[error("{path}: leads to {target}, outside of the extension's folder", path = path.display(), target = target.display())]
    OutsideFolder {
        /// The link.
        path: PathBuf,
        /// Where it leads to.
        target: PathBuf,
    },
    /// `permissions.file_access` asks for a folder that no extension can have.
    #[error("{path}: {reason}", path = path.display())]
    FileAccess {
        /// The extension's folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A schema of the manifest or of the package is none.
    #[error("{path}: `{key}` is no schema that can be used: {reason}", path = path.display())]
    Schema {
        /// The manifest, or the package.
        path: PathBuf,
        /// `config_schema`, or `state_schemas.JOB`.
        key: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// The configuration is not what the manifest's `config_schema` expects.
    #[error(
        "{what}: is not what the `config_schema` of the extension's manifest expects: {problems}; mend it and load the \
         extension again",
        what = path.as_ref().map_or("the configuration that was given".to_owned(), |path| path.display().to_string()),
        problems = problems.join("; ")
    )]
    Config {
        /// The configuration's file, which need not be there; none where another one was given instead
        /// ([`GrantOptions::config`](crate::GrantOptions::config)).
        path: Option<PathBuf>,
        /// Each place, and what was expected there. Without values, which may be secret.
        problems: Vec<String>,
    },
    /// The module was refused.
    #[error("{path}: {source}", path = path.display())]
    Load {
        /// The module.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// Another folder's extension has this id.
    #[error("{path}: extension {id} is loaded already, from {other}", path = path.display(), other = other.display())]
    Duplicate {
        /// The id.
        id: String,
        /// The folder that was to be loaded.
        path: PathBuf,
        /// The folder that is loaded.
        other: PathBuf,
    },
    /// The extension in a folder has another id than it had.
    #[error("{path}: its id was {expected} and now is {found}; unload the one, then load the other", path = path.display())]
    OtherId {
        /// The folder.
        path: PathBuf,
        /// The id that it had.
        expected: String,
        /// The id that it has.
        found: String,
    },
    /// No extension with this id is loaded.
    #[error("no extension {id:?} in {folder}; {have}", folder = folder.display(), have = have(known))]
    Unknown {
        /// The id.
        id: String,
        /// The folder of the extensions.
        folder: PathBuf,
        /// The ids that there are.
        known: Vec<String>,
    },
    /// The extension with this id lies there, and could not be loaded.
    #[error(
        "extension {id} is installed but was not loaded: {reason}; once that is mended, `toehold extension reload {id}` loads it"
    )]
    NotLoaded {
        /// The id.
        id: String,
        /// Why, with the path it is about.
        reason: String,
    },
    /// `plugin_cleanup` ended with a fault; the extension is unloaded all the same.
    #[error("{id}: unloaded, but its clean-up failed: {fault}")]
    Cleanup {
        /// The id.
        id: String,
        /// What happened.
        fault: Fault,
    },
}

fn have(known: &[String]) -> String {
    match known {
        [] => "it has none; name another with --extensions DIR".to_owned(),
        known => format!("it has {}", known.join(", ")),
    }
}
