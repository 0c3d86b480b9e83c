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

/// Why a file or folder can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The path is empty, or contains a NUL character.
    #[error("a path must not be empty, nor contain a NUL character")]
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
        if path.is_empty() || path.contains('\0') {
            return Err(FileError::Path);
        }
        self.walk(self.base.clone(), Path::new(path))
    }

    /// Opens a regular file for reading, by a path as [`FileAccess::resolve`] takes it.
    ///
    /// # Errors
    /// Those of [`FileAccess::resolve`], and a path that leads to something else than a file.
    pub fn open(&self, path: &str) -> Result<File, FileError> {
        let path = self.resolve(path)?;
        // Before it is opened: to open a device can have effects, and to open a pipe can wait for ever.
        let found = fs::symlink_metadata(&path)?;
        if !found.is_file() {
            return Err(FileError::NotAFile);
        }
        let file = reading().open(&path)?;
        // Somebody may have put another file, or a link to one, in its place meanwhile. That is noticed, unless he puts
        // everything back in time: std has no way to open a path folder by folder, which alone would exclude it. To
        // win that race takes a process that may write to the folder, which no guest can.
        let opened = file.metadata()?;
        if !opened.is_file() || !is_same(&found, &opened) || !self.contains(&fs::canonicalize(&path)?) {
            return Err(FileError::Replaced);
        }
        Ok(file)
    }

    /// Opens a folder to list it, by a path as [`FileAccess::resolve`] takes it; also gives where the path leads.
    pub(super) fn open_folder(&self, path: &str) -> Result<(PathBuf, ReadDir), FileError> {
        let path = self.resolve(path)?;
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(FileError::NotAFolder);
        }
        let entries = fs::read_dir(&path)?;
        // As in `open`.
        if !self.contains(&fs::canonicalize(&path)?) {
            return Err(FileError::Replaced);
        }
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
fn is_same(found: &Metadata, opened: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino()) == (opened.dev(), opened.ino())
}

/// Elsewhere std gives files no identity.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}
