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

#[cfg(all(test, unix))]
mod tests {
    use super::{super::testing::Disk, *};

    fn folders(access: &FileAccess) -> Vec<PathBuf> {
        access.folders().map(Path::to_owned).collect()
    }

    #[test]
    fn a_manifest_opens_folders_of_its_own_extension() {
        let disk = Disk::new();
        let asked = ["samples", "./samples/inner/", "samples/../samples"];
        let access = disk.access(&asked);
        assert_eq!(access.refused(), []);
        assert!(folders(&access).contains(&disk.path("ext/samples")));
        assert!(folders(&access).iter().all(|folder| folder.starts_with(disk.path("ext/samples"))));

        assert_eq!(folders(&disk.access(&["."])), [disk.path("ext")]);
        let absolute = disk.path("ext/samples").to_str().unwrap().to_owned();
        assert_eq!(folders(&disk.access(&[&absolute])), [disk.path("ext/samples")]);
        assert_eq!(disk.access(&[]).folders().count(), 0, "nothing asked is nothing allowed");
    }

    #[test]
    fn a_manifest_alone_opens_nothing_else() {
        let disk = Disk::new();
        disk.link("../outside", "ext/link");
        let outside = disk.path("outside").to_str().unwrap().to_owned();
        let asked = ["/", &outside, "link", "samples/none", "private.txt", "samples"];
        let access = disk.access(&asked);
        assert_eq!(folders(&access), [disk.path("ext/samples")]);
        let refused: Vec<&str> = access.refused().iter().map(|refused| refused.entry.as_str()).collect();
        assert_eq!(refused, asked[..5]);
        assert!(access.refused()[..3].iter().all(|refused| refused.reason == RefusalReason::NotGranted));
        assert!(matches!(access.refused()[3].reason, RefusalReason::Unusable(_)));
        assert!(matches!(access.refused()[4].reason, RefusalReason::Unusable(_)));
        assert_eq!(
            access.refused()[0].to_string(),
            "`permissions.file_access` has \"/\", which is not granted: it lies outside of the extension's folder; \
             only the operator can grant it"
        );
    }

    #[test]
    fn a_relative_entry_that_leaves_the_extension_is_an_error() {
        let disk = Disk::new();
        for entry in ["..", "../..", "samples/../..", "../ext/samples", "samples/../../ext/samples", ""] {
            let error = FileAccess::new(&disk.path("ext"), &[entry.to_owned()], &[]).unwrap_err();
            assert!(matches!(&error, FileAccessError::Entry(found) if found == entry), "{error}");
            assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
        }
    }

    #[test]
    fn an_operator_opens_any_folder() {
        let disk = Disk::new();
        disk.link("outside", "alias");
        disk.link("../outside", "ext/link");
        let inner = disk.path("outside/inner").to_str().unwrap().to_owned();
        fs::create_dir(&inner).unwrap();
        let asked = ["link".to_owned(), inner];
        let access = FileAccess::new(&disk.path("ext"), &asked, &[disk.path("alias")]).unwrap();
        assert_eq!(access.refused(), [], "what the manifest asks for lies in what is granted");
        for path in ["alias/secret.txt", "outside/secret.txt", "ext/link/secret.txt"] {
            let path = disk.path(path);
            let resolved = access.resolve(path.to_str().unwrap()).unwrap();
            assert_eq!(resolved, disk.path("outside/secret.txt"));
        }
        assert_eq!(access.resolve("link/secret.txt").unwrap(), disk.path("outside/secret.txt"));
        assert!(access.resolve("private.txt").is_err());
    }

    #[test]
    fn what_an_operator_opens_is_absolute_and_exists() {
        let disk = Disk::new();
        let grant = |folder: PathBuf| FileAccess::new(&disk.path("ext"), &[], &[folder]).unwrap_err();
        assert!(matches!(grant("samples".into()), FileAccessError::Relative(_)));
        assert!(matches!(grant(disk.path("none")), FileAccessError::Unusable { .. }));
        assert!(matches!(grant(disk.path("outside/secret.txt")), FileAccessError::Unusable { .. }));
        let no_extension = FileAccess::new(&disk.path("none"), &[], &[]);
        assert!(matches!(no_extension, Err(FileAccessError::Unusable { .. })));
    }
}
