use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use cap_std::{ambient_authority, fs::Dir};

use super::FileError;

/// The folders that one extension may read and write. The default is none.
///
/// An extension reads what lies in its own folder, as far as its manifest asks for it, and what the operator grants. It
/// writes where both its manifest and the operator name the folder, and never into its own folder. A manifest
/// alone opens nothing else, so that installing an extension never opens the disk to it.
///
/// Which folders these are is settled once, when this is built, which holds them open: a folder that comes later, or in
/// the place of one of them, is not in it.
#[derive(Clone, Debug, Default)]
pub struct FileAccess {
    /// Where the extension's relative paths start, without symbolic links. Empty for no access.
    pub(super) base: PathBuf,
    pub(super) folders: Vec<Folder>,
    /// Those that may be written, without symbolic links.
    writable: Vec<PathBuf>,
    /// Where nothing may be written, whatever lies around it; without symbolic links.
    protected: Vec<PathBuf>,
    refused: Vec<RefusedFolder>,
}

/// What the operator grants of the disk, all of it by absolute paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileGrants<'a> {
    /// Folders that every extension may read.
    pub read: &'a [PathBuf],
    /// Folders that an extension may read and write if its manifest names them, or folders in them.
    pub write: &'a [PathBuf],
    /// Folders in which nothing may be written, whatever else is granted; the extension's own is one of them anyway.
    pub protected: &'a [PathBuf],
}

/// A folder that may be read.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// As the manifest or the operator calls it, made absolute; paths may use this name.
    pub(super) named: PathBuf,
    /// The same folder without symbolic links.
    pub(super) real: PathBuf,
    pub(super) dir: Arc<Dir>,
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
    /// A folder that the operator grants for writing lies in the extension's own, or in one of the host's.
    #[error(
        "{} is granted for writing, but lies in the extension's own folder, or in one of the host's, where none may \
         write; grant another",
        .0.display()
    )]
    Protected(PathBuf),
    /// The extension's own folder, or one that the operator grants, can't be used.
    #[error("{} can't be used as a folder to read or write: {source}", .path.display())]
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

    /// What the extension in `own_folder` may read and write: the entries `asked` for in its manifest's
    /// `permissions.file_access` as far as they lie in that folder, and what the operator `granted`.
    ///
    /// Other entries, and those that don't exist, are [refused](Self::refused) one by one; the rest still counts.
    ///
    /// # Errors
    /// A relative entry that leaves the extension's folder is a manifest to be mended, and a granted folder that is
    /// relative, does not exist or may not be written is a setting to be mended.
    pub fn new(
        own_folder: &Path,
        asked: &[String],
        granted: FileGrants<'_>,
    ) -> Result<Self, FileAccessError> {
        let base = real_folder(own_folder)?;
        // One that does not exist protects nothing yet.
        let protected = granted.protected.iter().filter_map(|folder| fs::canonicalize(folder).ok());
        let protected = protected.chain([base.clone()]).collect();
        let mut access = Self { base, protected, ..Self::default() };
        for folder in granted.read {
            let real = access.granted(folder)?;
            access.grant(folder.clone(), real)?;
        }
        let mut writable = Vec::new();
        for folder in granted.write {
            let real = access.granted(folder)?;
            if access.is_protected(&real) {
                return Err(FileAccessError::Protected(folder.clone()));
            }
            writable.push(real);
        }
        for entry in asked {
            let named = access
                .named(entry)
                .filter(|_| !entry.is_empty())
                .ok_or_else(|| FileAccessError::Entry(entry.clone()))?;
            if let Err(reason) = access.ask(named, &writable) {
                access.refused.push(RefusedFolder { entry: entry.clone(), reason });
            }
        }
        Ok(access)
    }

    /// A folder that the operator names, without symbolic links.
    fn granted(&self, folder: &Path) -> Result<PathBuf, FileAccessError> {
        if folder.is_absolute() {
            real_folder(folder)
        } else {
            Err(FileAccessError::Relative(folder.to_owned()))
        }
    }

    /// The folders that may be read, with all that is in them; absolute and without symbolic links.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|folder| folder.real.as_path())
    }

    /// Those of them that may be written too; absolute and without symbolic links.
    pub fn writable(&self) -> impl Iterator<Item = &Path> {
        self.writable.iter().map(PathBuf::as_path)
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

    /// Refuses a path without symbolic links that may not be written.
    pub(super) fn may_write(&self, real: &Path) -> Result<(), FileError> {
        if self.is_protected(real) {
            return Err(FileError::Protected);
        }
        if self.writable().any(|folder| real.starts_with(folder)) {
            Ok(())
        } else {
            Err(FileError::NotWritable)
        }
    }

    fn is_protected(&self, real: &Path) -> bool {
        self.protected.iter().any(|folder| real.starts_with(folder))
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

    /// Grants a folder that the manifest asks for, if it is the extension's own or the operator's already, or one that the
    /// operator lets be written.
    fn ask(&mut self, named: PathBuf, writable: &[PathBuf]) -> Result<(), RefusalReason> {
        let unusable = |error: FileAccessError| match error {
            FileAccessError::Unusable { source, .. } => RefusalReason::Unusable(source.to_string()),
            error => RefusalReason::Unusable(error.to_string()),
        };
        let real = real_folder(&named).map_err(unusable)?;
        let is_writable = writable.iter().any(|folder| real.starts_with(folder));
        // `real` and not `named`: a link in the extension's folder must not open what it leads to.
        if !real.starts_with(&self.base) && !self.contains(&real) && !is_writable {
            return Err(RefusalReason::NotGranted);
        }
        self.grant(named, real.clone()).map_err(unusable)?;
        if is_writable && !self.is_protected(&real) {
            self.writable.push(real);
        }
        Ok(())
    }

    fn grant(&mut self, named: PathBuf, real: PathBuf) -> Result<(), FileAccessError> {
        let named = named.components().collect();
        if !self.folders.iter().any(|folder| folder.named == named && folder.real == real) {
            let dir = Dir::open_ambient_dir(&real, ambient_authority())
                .map_err(|source| FileAccessError::Unusable { path: real.clone(), source })?;
            self.folders.push(Folder { named, real, dir: Arc::new(dir) });
        }
        Ok(())
    }
}

impl std::fmt::Display for RefusedFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`permissions.file_access` has {:?}, which is not granted: {}", self.entry, self.reason)
    }
}

fn real_folder(path: &Path) -> Result<PathBuf, FileAccessError> {
    let unusable = |source| FileAccessError::Unusable { path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(unusable)?;
    if fs::metadata(&real).map_err(unusable)?.is_dir() {
        Ok(real)
    } else {
        Err(unusable(io::ErrorKind::NotADirectory.into()))
    }
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
            let error =
                FileAccess::new(&disk.path("ext"), &[entry.to_owned()], FileGrants::default()).unwrap_err();
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
        let granted = FileGrants { read: &[disk.path("alias")], ..FileGrants::default() };
        let access = FileAccess::new(&disk.path("ext"), &asked, granted).unwrap();
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
        let grant = |folder: PathBuf| {
            let write = FileGrants { write: std::slice::from_ref(&folder), ..FileGrants::default() };
            assert!(FileAccess::new(&disk.path("ext"), &[], write).is_err());
            let read = FileGrants { read: &[folder], ..FileGrants::default() };
            FileAccess::new(&disk.path("ext"), &[], read).unwrap_err()
        };
        assert!(matches!(grant("samples".into()), FileAccessError::Relative(_)));
        assert!(matches!(grant(disk.path("none")), FileAccessError::Unusable { .. }));
        assert!(matches!(grant(disk.path("outside/secret.txt")), FileAccessError::Unusable { .. }));
        let no_extension = FileAccess::new(&disk.path("none"), &[], FileGrants::default());
        assert!(matches!(no_extension, Err(FileAccessError::Unusable { .. })));
    }

    #[test]
    fn what_may_be_written_is_named_by_both_and_is_no_extension_s() {
        let disk = Disk::new();
        let named = |path: &str| disk.path(path).to_str().unwrap().to_owned();
        let access = |asked: &[String], write: &[PathBuf]| {
            let granted = FileGrants { write, protected: &[disk.path("none")], ..FileGrants::default() };
            FileAccess::new(&disk.path("ext"), asked, granted)
        };
        let writable = |asked: &[String], write: &[PathBuf]| -> Vec<PathBuf> {
            access(asked, write).unwrap().writable().map(Path::to_owned).collect()
        };
        assert_eq!(writable(&[named("outside")], &[disk.path("outside")]), [disk.path("outside")]);
        assert!(writable(&[], &[disk.path("outside")]).is_empty(), "the manifest must name it");
        assert!(writable(&[named("outside")], &[]).is_empty(), "so must the operator");
        assert_eq!(folders(&access(&[], &[disk.path("outside")]).unwrap()).len(), 0, "nor is it read then");
        // What the operator grants may be larger than what is asked for, but not smaller.
        assert_eq!(writable(&[named("outside")], &[disk.path("")]), [disk.path("outside")]);
        let refused = access(&[named("")], &[disk.path("outside")]).unwrap();
        assert_eq!(refused.refused()[0].reason, RefusalReason::NotGranted);
        // The extension's own folder, by whatever name.
        disk.link("ext", "alias");
        for own in ["ext", "ext/samples", "alias/samples"] {
            let error = access(&[named(own)], &[disk.path(own)]).unwrap_err();
            assert!(matches!(error, FileAccessError::Protected(_)), "{error}");
        }
        let around = access(&[named(""), "samples".to_owned()], &[disk.path("")]).unwrap();
        assert_eq!(around.writable().collect::<Vec<_>>(), [disk.path("")]);
        for path in ["ext/new", "ext/samples/a.txt"] {
            assert!(matches!(around.for_writing(&named(path)), Err(FileError::Protected)), "{path}");
        }
        assert!(around.for_writing(&named("outside/new")).is_ok());
    }
}
