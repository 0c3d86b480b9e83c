use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// The folders that one extension may read. The default is none.
///
/// An extension reads what lies in its own folder, as far as its manifest asks for it, and what the operator grants.
/// A manifest alone opens nothing else, so that installing an extension never opens the disk to it.
///
/// Which folders these are is settled once, when this is built: a folder that comes later is not in it.
#[derive(Clone, Debug, Default)]
pub struct FileAccess {
    /// Where the extension's relative paths start, without symbolic links. Empty for no access.
    pub(super) base: PathBuf,
    pub(super) folders: Vec<Folder>,
    refused: Vec<RefusedFolder>,
}

/// A folder that may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// As the manifest or the operator calls it, made absolute; paths may use this name.
    pub(super) named: PathBuf,
    /// The same folder without symbolic links.
    pub(super) real: PathBuf,
}

/// An entry of a manifest's `permissions.file_access` that was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFolder {
    /// The entry as the manifest has it.
    pub entry: String,
    /// Why it was not granted.
    pub reason: RefusalReason,
}

/// Why an entry of a manifest's `permissions.file_access` was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It lies outside of the extension's folder, and of all that the operator granted.
    #[error("it lies outside of the extension's folder; only the operator can grant it")]
    NotGranted,
    /// There is no such folder, it is no folder, or it can't be reached.
    #[error("it can't be used: {0}")]
    Unusable(String),
}

/// Why no file access could be made of a manifest and an operator's grants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileAccessError {
    /// A relative entry of the manifest leaves the extension's folder, or is empty.
    #[error(
        "`permissions.file_access` has {0:?}; a relative entry must be a folder inside the extension's folder, \
         and not lead out of it by `..`"
    )]
    Entry(String),
    /// A folder that the operator grants is not an absolute path.
    #[error("{} is granted to the extension, but only an absolute path can be", .0.display())]
    Relative(PathBuf),
    /// The extension's own folder, or one that the operator grants, can't be used.
    #[error("{} can't be used as a folder to read: {source}", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says of it.
        source: io::Error,
    },
}

impl FileAccess {
    /// No file at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the extension in `own_folder` may read: the entries `asked` for in its manifest's
    /// `permissions.file_access` as far as they lie in that folder, and the folders that the operator `granted`.
    ///
    /// Other entries, and those that don't exist, are [refused](Self::refused) one by one; the rest still counts.
    ///
    /// # Errors
    /// A relative entry that leaves the extension's folder is a manifest to be mended, and a granted folder that is
    /// relative or does not exist is a setting to be mended.
    pub fn new(own_folder: &Path, asked: &[String], granted: &[PathBuf]) -> Result<Self, FileAccessError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            |source| FileAccessError::Unusable { path, source }
        };
        let base = real_folder(own_folder).map_err(unusable(own_folder))?;
        let mut access = Self { base, folders: Vec::new(), refused: Vec::new() };
        for folder in granted {
            if !folder.is_absolute() {
                return Err(FileAccessError::Relative(folder.clone()));
            }
            let real = real_folder(folder).map_err(unusable(folder))?;
            access.grant(folder.clone(), real);
        }
        for entry in asked {
            let named = access
                .named(entry)
                .filter(|_| !entry.is_empty())
                .ok_or_else(|| FileAccessError::Entry(entry.clone()))?;
            if let Err(reason) = access.ask(named) {
                access.refused.push(RefusedFolder { entry: entry.clone(), reason });
            }
        }
        Ok(access)
    }

    /// The folders that may be read, with all that is in them; absolute and without symbolic links.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|folder| folder.real.as_path())
    }

    /// What the manifest asks for and does not get, for the operator to know.
    #[must_use]
    pub fn refused(&self) -> &[RefusedFolder] {
        &self.refused
    }

    /// Whether a path without symbolic links lies in a folder that may be read.
    pub(super) fn contains(&self, real: &Path) -> bool {
        self.folders().any(|folder| real.starts_with(folder))
    }

    /// An entry as an absolute path, without a look at the disk; none if a relative one leaves the extension's folder.
    fn named(&self, entry: &str) -> Option<PathBuf> {
        let entry = Path::new(entry);
        if entry.is_absolute() {
            return Some(entry.to_owned());
        }
        let mut inside: Vec<&std::ffi::OsStr> = Vec::new();
        for component in entry.components() {
            match component {
                Component::Normal(name) => inside.push(name),
                Component::CurDir => {}
                Component::ParentDir => drop(inside.pop()?),
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(self.base.join(inside.into_iter().collect::<PathBuf>()))
    }

    /// Grants a folder that the manifest asks for, if it is the extension's own or the operator's already.
    fn ask(&mut self, named: PathBuf) -> Result<(), RefusalReason> {
        let real = real_folder(&named).map_err(|error| RefusalReason::Unusable(error.to_string()))?;
        // `real` and not `named`: a link in the extension's folder must not open what it leads to.
        if !real.starts_with(&self.base) && !self.contains(&real) {
            return Err(RefusalReason::NotGranted);
        }
        self.grant(named, real);
        Ok(())
    }

    fn grant(&mut self, named: PathBuf, real: PathBuf) {
        let folder = Folder { named: named.components().collect(), real };
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }
}

impl std::fmt::Display for RefusedFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`permissions.file_access` has {:?}, which is not granted: {}", self.entry, self.reason)
    }
}

fn real_folder(path: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    if fs::metadata(&real)?.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
}
