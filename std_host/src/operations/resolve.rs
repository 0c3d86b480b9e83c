use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, Metadata, OpenOptions, ReadDir};

use super::FileAccess;

/// Symbolic links that one path may lead through; systems allow about as many.
const MAX_LINKS: usize = 40;

/// Bytes of a path that a guest asks for; systems allow about as many. Each of its components is a look at the disk.
const MAX_PATH_BYTES: usize = 4_096;

/// Why a file or folder can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The path is empty, has more than 4,096 bytes, or contains a NUL character.
    #[error("a path must have from 1 to {MAX_PATH_BYTES} bytes, and no NUL character")]
    Path,
    /// It lies outside of the folders that the extension may read, whether it exists or not.
    #[error("outside of the folders that `permissions.file_access` and the operator let this extension read")]
    Outside,
    /// It may be read, but not be written.
    #[error(
        "it may be read, but not written: the folder must stand in the manifest's `permissions.file_access`, and the \
         operator must allow writing there (--allow-write-dir)"
    )]
    NotWritable,
    /// It lies in the extension's own folder, or in one of the host's, where none may write.
    #[error(
        "it lies in the extension's own folder, or in one of the host's, where none may write; write to another folder"
    )]
    Protected,
    /// The file is read-only.
    #[error("the file is read-only; write another, or let the operator make it writable")]
    ReadOnly,
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
    /// The system can't read or write it.
    #[error("{0}")]
    System(#[source] io::Error),
}

/// What lies at a path.
pub(super) struct Found {
    /// Where the path leads: absolute, in an allowed folder, and without symbolic links.
    pub(super) at: PathBuf,
    pub(super) what: What,
}

pub(super) enum What {
    Folder(Arc<Dir>),
    /// A file, or something else that is neither a folder nor a link.
    Entry(Place, Metadata),
    /// Nothing, in a folder that is there.
    Nothing(Place),
}

/// A name in an open folder.
pub(super) struct Place {
    pub(super) folder: Arc<Dir>,
    pub(super) name: OsString,
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
        match self.find(path)? {
            Found { what: What::Nothing(_), .. } => Err(FileError::NotFound),
            Found { at, .. } => Ok(at),
        }
    }

    /// Opens a regular file for reading, by a path as [`FileAccess::resolve`] takes it.
    ///
    /// # Errors
    /// Those of [`FileAccess::resolve`], and a path that leads to something else than a file.
    pub fn open(&self, path: &str) -> Result<File, FileError> {
        match self.find(path)?.what {
            // Before it is opened: to open a device can have effects.
            What::Entry(place, found) if found.is_file() => place.open(OpenOptions::new().read(true)),
            What::Nothing(_) => Err(FileError::NotFound),
            What::Entry(..) | What::Folder(_) => Err(FileError::NotAFile),
        }
    }

    /// Opens a folder to list it, by a path as [`FileAccess::resolve`] takes it; also gives where the path leads.
    pub(super) fn open_folder(&self, path: &str) -> Result<(PathBuf, ReadDir), FileError> {
        match self.find(path)? {
            Found { at, what: What::Folder(folder) } => Ok((at, folder.entries()?)),
            Found { what: What::Nothing(_), .. } => Err(FileError::NotFound),
            Found { what: What::Entry(..), .. } => Err(FileError::NotAFolder),
        }
    }

    /// A regular file that may be written, by a path as [`FileAccess::resolve`] takes it; it need not be there yet.
    pub(super) fn for_writing(&self, path: &str) -> Result<(Place, Option<Metadata>), FileError> {
        let Found { at, what } = self.find(path)?;
        self.may_write(&at)?;
        match what {
            What::Nothing(place) => Ok((place, None)),
            What::Entry(_, found) if found.is_file() && found.permissions().readonly() => {
                Err(FileError::ReadOnly)
            }
            What::Entry(place, found) if found.is_file() => Ok((place, Some(found))),
            What::Entry(..) | What::Folder(_) => Err(FileError::NotAFile),
        }
    }

    fn find(&self, path: &str) -> Result<Found, FileError> {
        if !(1..=MAX_PATH_BYTES).contains(&path.len()) || path.contains('\0') {
            return Err(FileError::Path);
        }
        self.walk(self.base.clone(), Path::new(path))
    }

    /// Follows a path component by component from `at`, a path without symbolic links.
    ///
    /// Each component is opened in the folder before it, which is open already, and never through a link: whatever is
    /// renamed or replaced meanwhile, what is found lies in an allowed folder.
    pub(super) fn walk(&self, at: PathBuf, path: &Path) -> Result<Found, FileError> {
        let mut walk = Walk { folders: self.enter(&at)?, access: self, at, ahead: VecDeque::new(), links: 0 };
        walk.go(path)?;
        walk.finish()
    }

    /// The folders from an allowed one to `at`, open; none if `at` is not in one.
    fn enter(&self, at: &Path) -> Result<Vec<Arc<Dir>>, FileError> {
        let inside = self.folders.iter().filter(|folder| at.starts_with(&folder.real));
        let Some(root) = inside.max_by_key(|folder| folder.real.as_os_str().len()) else {
            return Ok(Vec::new());
        };
        let mut folder = root.dir.clone();
        let mut folders = vec![folder.clone()];
        for name in at.strip_prefix(&root.real).into_iter().flatten() {
            folder = Arc::new(folder.open_dir_nofollow(name)?);
            folders.push(folder.clone());
        }
        Ok(folders)
    }

    /// Whether a path lies on the way to an allowed folder. So it is a folder, which need not be looked at.
    fn leads_to_a_folder(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| folder.real.starts_with(path) || folder.named.starts_with(path))
    }
}

impl Place {
    /// Opens a regular file. Neither follows a link nor waits, should the file have been replaced by a link or a pipe.
    pub(super) fn open(&self, options: &mut OpenOptions) -> Result<File, FileError> {
        options.follow(FollowSymlinks::No);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = self.folder.open_with(&self.name, options)?.into_std();
        if file.metadata()?.is_file() { Ok(file) } else { Err(FileError::Replaced) }
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

/// A path on its way.
struct Walk<'a> {
    access: &'a FileAccess,
    /// How far it is: absolute and without links.
    at: PathBuf,
    /// The folders from an allowed one to `at`, open; none while `at` is not in one.
    folders: Vec<Arc<Dir>>,
    ahead: VecDeque<Step>,
    links: usize,
}

impl Walk<'_> {
    fn finish(mut self) -> Result<Found, FileError> {
        while let Some(step) = self.ahead.pop_front() {
            let found = match step {
                Step::Up => self.up()?,
                Step::Down(name) => self.down(name)?,
            };
            if let Some(what) = found {
                return Ok(Found { at: self.at, what });
            }
        }
        match self.folders.pop() {
            Some(folder) => Ok(Found { at: self.at, what: What::Folder(folder) }),
            None => Err(FileError::Outside),
        }
    }

    fn up(&mut self) -> Result<Option<What>, FileError> {
        self.at.pop();
        self.folders.pop();
        if self.folders.is_empty() {
            // One allowed folder may lie in another.
            self.folders = self.access.enter(&self.at)?;
        }
        Ok(None)
    }

    /// Goes into what has this name. Gives it if it is no folder.
    fn down(&mut self, name: OsString) -> Result<Option<What>, FileError> {
        self.at.push(&name);
        if let Some(folder) = self.access.folders.iter().find(|folder| folder.named == self.at) {
            self.at.clone_from(&folder.real);
            self.folders = vec![folder.dir.clone()];
            return Ok(None);
        }
        let Some(folder) = self.folders.last().cloned() else {
            self.folders = self.access.enter(&self.at)?;
            let on_the_way = !self.folders.is_empty() || self.access.leads_to_a_folder(&self.at);
            return if on_the_way { Ok(None) } else { Err(FileError::Outside) };
        };
        let place = Place { folder, name };
        let found = match place.folder.symlink_metadata(&place.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.ahead.is_empty() => {
                return Ok(Some(What::Nothing(place)));
            }
            found => found?,
        };
        if found.is_symlink() {
            self.links += 1;
            if self.links > MAX_LINKS {
                return Err(FileError::TooManyLinks);
            }
            let target = place.folder.read_link_contents(&place.name)?;
            self.at.pop();
            self.go(&target)?;
        } else if found.is_dir() {
            // Should a link have taken its place, this fails.
            self.folders.push(Arc::new(place.folder.open_dir_nofollow(&place.name)?));
        } else if self.ahead.is_empty() {
            return Ok(Some(What::Entry(place, found)));
        } else {
            return Err(FileError::NotAFolder);
        }
        Ok(None)
    }

    /// Puts a path's components before those that are ahead already.
    fn go(&mut self, path: &Path) -> Result<(), FileError> {
        if path.is_absolute() {
            self.at = path.components().take_while(|part| !is_step(part)).collect();
            self.folders = self.access.enter(&self.at)?;
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push_front(Step::Down(name.to_owned())),
                Component::ParentDir => self.ahead.push_front(Step::Up),
                Component::RootDir | Component::Prefix(_) if !path.is_absolute() => {
                    return Err(FileError::Outside);
                }
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }
}

fn is_step(component: &Component<'_>) -> bool {
    matches!(component, Component::Normal(_) | Component::ParentDir)
}

#[cfg(all(test, unix))]
mod tests;
