use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, ReadDir},
    io,
    path::{Component, Path, PathBuf},
};

use super::FileAccess;

/// Symbolic links that one path may lead through; systems allow about as many.
const MAX_LINKS: usize = 40;

/// Bytes of a path that a guest asks for; systems allow about as many. Each of its components is a look at the disk.
const MAX_PATH_BYTES: usize = 4_096;

/// Why a file or folder can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The path is empty, has more than 4,096 bytes, or contains a NUL character.
    #[error("a path must have from 1 to {MAX_PATH_BYTES} bytes, and no NUL character")]
    Path,
    /// It lies outside of the folders that the extension may read, whether it exists or not.
    #[error("outside of the folders that `permissions.file_access` and the operator let this extension read")]
    Outside,
    /// There is no such file or folder.
    #[error("no such file or folder")]
    NotFound,
    /// It is a folder or a device, where a file is needed.
    #[error("not a file")]
    NotAFile,
    /// It is a file or a device, where a folder is needed.
    #[error("not a folder")]
    NotAFolder,
    /// It leads through more than 40 symbolic links, most likely in a circle.
    #[error("too many symbolic links")]
    TooManyLinks,
    /// It became another file while it was opened.
    #[error("it was replaced while it was opened")]
    Replaced,
    /// The system can't read it.
    #[error("{0}")]
    System(#[source] io::Error),
}

impl FileAccess {
    /// Where a guest's path leads: an existing file or folder in one of the allowed folders, absolute and without
    /// symbolic links.
    ///
    /// A relative path starts at the extension's own folder; `/` separates. The disk is only looked at inside of the
    /// allowed folders, so that nobody learns what exists elsewhere, and a link that leaves them is not followed.
    ///
    /// # Errors
    /// A path that leads outside, or to nothing.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, FileError> {
        if !(1..=MAX_PATH_BYTES).contains(&path.len()) || path.contains('\0') {
            return Err(FileError::Path);
        }
        self.walk(self.base.clone(), Path::new(path))
    }

    /// Opens a regular file for reading, by a path as [`FileAccess::resolve`] takes it.
    ///
    /// # Errors
    /// Those of [`FileAccess::resolve`], and a path that leads to something else than a file.
    pub fn open(&self, path: &str) -> Result<File, FileError> {
        self.open_resolved(&self.resolve(path)?)
    }

    /// Opens a folder to list it, by a path as [`FileAccess::resolve`] takes it; also gives where the path leads.
    pub(super) fn open_folder(&self, path: &str) -> Result<(PathBuf, ReadDir), FileError> {
        let path = self.resolve(path)?;
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(FileError::NotAFolder);
        }
        let entries = fs::read_dir(&path)?;
        self.still_inside(&path)?;
        Ok((path, entries))
    }

    /// Follows a path component by component from `at`, a path without symbolic links.
    pub(super) fn walk(&self, mut at: PathBuf, path: &Path) -> Result<PathBuf, FileError> {
        let mut ahead = VecDeque::new();
        let mut links = 0;
        self.go(&mut at, path, &mut ahead)?;
        while let Some(step) = ahead.pop_front() {
            let Step::Down(name) = step else {
                at.pop();
                continue;
            };
            at.push(name);
            if let Some(folder) = self.folders.iter().find(|folder| folder.named == at) {
                at.clone_from(&folder.real);
            }
            if !self.contains(&at) {
                if self.leads_to_a_folder(&at) {
                    continue;
                }
                return Err(FileError::Outside);
            }
            let found = fs::symlink_metadata(&at)?;
            if found.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(FileError::TooManyLinks);
                }
                let target = fs::read_link(&at)?;
                at.pop();
                self.go(&mut at, &target, &mut ahead)?;
            } else if !found.is_dir() && !ahead.is_empty() {
                return Err(FileError::NotAFolder);
            }
        }
        if self.contains(&at) { Ok(at) } else { Err(FileError::Outside) }
    }

    fn open_resolved(&self, path: &Path) -> Result<File, FileError> {
        // Before it is opened: to open a device can have effects, and to open a pipe can wait for ever.
        if !fs::symlink_metadata(path)?.is_file() {
            return Err(FileError::NotAFile);
        }
        let file = reading().open(path)?;
        self.still_the_same(&file, path)?;
        Ok(file)
    }

    fn still_the_same(&self, file: &File, path: &Path) -> Result<(), FileError> {
        let opened = file.metadata()?;
        let inside = fs::symlink_metadata(self.still_inside(path)?)?;
        if opened.is_file() && is_same(&opened, &inside) { Ok(()) } else { Err(FileError::Replaced) }
    }

    /// Checks again what was just opened, in case that somebody put a link in its place, or in that of a folder on the
    /// way, after the path was resolved.
    ///
    /// Who swaps the two often enough, and at the right instants, is not noticed: std can't open a path folder by folder,
    /// which alone would exclude it. It takes a process that may write to these folders, which no guest can.
    fn still_inside(&self, path: &Path) -> Result<PathBuf, FileError> {
        let path = fs::canonicalize(path)?;
        if self.contains(&path) { Ok(path) } else { Err(FileError::Replaced) }
    }

    /// Puts a path's components before those that are ahead already.
    fn go(&self, at: &mut PathBuf, path: &Path, ahead: &mut VecDeque<Step>) -> Result<(), FileError> {
        if path.is_absolute() {
            *at = path.components().take_while(|part| !is_step(part)).collect();
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => ahead.push_front(Step::Down(name.to_owned())),
                Component::ParentDir => ahead.push_front(Step::Up),
                Component::RootDir | Component::Prefix(_) if !path.is_absolute() => {
                    return Err(FileError::Outside);
                }
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a path lies on the way to an allowed folder. So it is a folder, which need not be looked at.
    fn leads_to_a_folder(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| folder.real.starts_with(path) || folder.named.starts_with(path))
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::System(error),
        }
    }
}

/// One step of a path.
enum Step {
    Up,
    Down(OsString),
}

fn is_step(component: &Component<'_>) -> bool {
    matches!(component, Component::Normal(_) | Component::ParentDir)
}

/// Neither follows a link nor waits, should the file have been replaced by a link or a pipe.
fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    options
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere std gives files no identity.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{super::testing::Disk, *};

    fn text(access: &FileAccess, path: &str) -> Result<String, String> {
        let file = access.open(path).map_err(|error| error.to_string())?;
        io::read_to_string(file).map_err(|error| error.to_string())
    }

    fn outside() -> Result<String, String> {
        Err(FileError::Outside.to_string())
    }

    #[test]
    fn what_lies_in_an_allowed_folder_is_read_however_it_is_called() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        let absolute = disk.path("ext/samples/a.txt");
        for path in [
            "samples/a.txt",
            "./samples//./a.txt",
            "samples/inner/../a.txt",
            "samples/../samples/a.txt",
            "../ext/samples/a.txt",
            absolute.to_str().unwrap(),
        ] {
            assert_eq!(text(&access, path), Ok("alpha".to_owned()), "{path}");
        }
        assert_eq!(access.resolve("samples").unwrap(), disk.path("ext/samples"));
        assert_eq!(access.resolve("samples/inner/").unwrap(), disk.path("ext/samples/inner"));
    }

    #[test]
    fn what_lies_elsewhere_is_outside() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        let secret = disk.path("outside/secret.txt");
        for path in [
            ".",
            "..",
            "/",
            "private.txt",
            "samples/..",
            "samples/../private.txt",
            "../outside/secret.txt",
            "samples/../../outside/secret.txt",
            "../../../../../../../../../../../../etc/passwd",
            "/etc/passwd",
            "//etc/passwd",
            secret.to_str().unwrap(),
            // Another folder whose name starts like an allowed one, or that differs by case.
            "samples2/a.txt",
            "Samples/a.txt",
            "~/a.txt",
        ] {
            assert_eq!(text(&access, path), outside(), "{path}");
        }
        let long = "./".repeat(2_048) + "samples/a.txt";
        for path in ["", "\0", "samples/a.txt\0", "samples/\0/a.txt", &long] {
            assert!(matches!(access.open(path), Err(FileError::Path)), "{path:?}");
        }
    }

    #[test]
    fn nothing_tells_whether_something_exists_outside() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        disk.link("/nowhere/at/all", "ext/samples/broken");
        disk.link("../../outside/secret.txt", "ext/samples/secret");
        disk.link("../../outside", "ext/samples/folder");
        for path in [
            "../outside/none.txt",
            "../none/none.txt",
            "samples/broken",
            "samples/secret",
            "samples/secret/none",
            "samples/folder/secret.txt",
            "samples/folder/none.txt",
            // Ways that would only work if what they lead through existed.
            "../outside/../ext/samples/a.txt",
            "../none/../ext/samples/a.txt",
            "samples/folder/../ext/samples/a.txt",
        ] {
            assert_eq!(text(&access, path), outside(), "{path}");
        }
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        disk.link("inner/b.txt", "ext/samples/relative");
        disk.link("../inner/b.txt", "ext/samples/inner/up");
        disk.link(disk.path("ext/samples/inner").to_str().unwrap(), "ext/samples/absolute");
        disk.link("relative", "ext/samples/again");
        for path in ["samples/relative", "samples/inner/up", "samples/absolute/b.txt", "samples/again"] {
            assert_eq!(text(&access, path), Ok("beta".to_owned()), "{path}");
        }
        // `..` after a link leaves the folder that it leads to, as the system has it.
        assert_eq!(text(&access, "samples/absolute/../a.txt"), Ok("alpha".to_owned()));

        disk.link("circle", "ext/samples/circle");
        assert!(matches!(access.open("samples/circle"), Err(FileError::TooManyLinks)));
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        disk.pipe("ext/samples/pipe");
        assert!(matches!(access.open("samples"), Err(FileError::NotAFile)));
        assert!(matches!(access.open("samples/pipe"), Err(FileError::NotAFile)));
        assert!(matches!(access.open("samples/a.txt/b"), Err(FileError::NotAFolder)));
        assert!(matches!(access.open("samples/a.txt/../a.txt"), Err(FileError::NotAFolder)));
        assert!(matches!(access.open_folder("samples/a.txt"), Err(FileError::NotAFolder)));
        assert!(matches!(access.open("samples/none"), Err(FileError::NotFound)));
        assert!(matches!(access.open("samples/none/../a.txt"), Err(FileError::NotFound)));
        // A name here, a path elsewhere; it stays inside either way.
        assert!(matches!(access.open("samples/..\\private.txt"), Err(FileError::NotFound)));
        assert!(matches!(access.open(&format!("samples/{}", "x".repeat(300))), Err(FileError::System(_))));
    }

    #[test]
    fn a_file_that_was_replaced_is_not_read() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        // Between `resolve` and opening: the file becomes a link, a folder on the way becomes one, a pipe stands there.
        let resolved = access.resolve("samples/inner/b.txt").unwrap();
        fs::remove_dir_all(disk.path("ext/samples/inner")).unwrap();
        disk.link("../../outside", "ext/samples/inner");
        fs::write(disk.path("outside/b.txt"), "secret").unwrap();
        assert!(matches!(access.open_resolved(&resolved), Err(FileError::Replaced)));

        let resolved = access.resolve("samples/a.txt").unwrap();
        fs::remove_file(&resolved).unwrap();
        symlink(disk.path("outside/secret.txt"), &resolved).unwrap();
        assert!(matches!(access.open_resolved(&resolved), Err(FileError::NotAFile)));
        assert!(reading().open(&resolved).is_err(), "a link is not followed");

        let opened = File::open(disk.path("outside/secret.txt")).unwrap();
        let path = disk.path("ext/samples/other.txt");
        fs::write(&path, "other").unwrap();
        assert!(matches!(access.still_the_same(&opened, &path), Err(FileError::Replaced)));

        disk.pipe("ext/samples/pipe");
        let opened = reading().open(disk.path("ext/samples/pipe")).unwrap();
        assert!(!opened.metadata().unwrap().is_file(), "a pipe does not wait for a writer");
    }

    #[test]
    fn a_folder_of_the_extension_that_became_a_link_gives_nothing() {
        let disk = Disk::new();
        let access = disk.access(&["samples"]);
        fs::rename(disk.path("ext/samples"), disk.path("ext/before")).unwrap();
        disk.link("../outside", "ext/samples");
        assert_eq!(text(&access, "samples/secret.txt"), outside());
        fs::rename(disk.path("ext"), disk.path("moved")).unwrap();
        fs::create_dir(disk.path("outside/samples")).unwrap();
        fs::write(disk.path("outside/samples/a.txt"), "secret").unwrap();
        disk.link("outside", "ext");
        assert!(matches!(access.open("samples/a.txt"), Err(FileError::Replaced)));
        assert!(matches!(access.open_folder("samples"), Err(FileError::Replaced)));
    }

    #[test]
    fn who_has_no_access_reads_nothing() {
        for path in [".", "..", "/", "Cargo.toml", "src/lib.rs", "/etc/passwd"] {
            assert_eq!(text(&FileAccess::none(), path), outside(), "{path}");
        }
    }
}
