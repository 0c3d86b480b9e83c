//! The data folder, and who may write in it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{OpenError, STORE_FILE};

const LOCK_FILE: &str = "toehold.lock";

/// The right to write in a folder, which one process has at a time. It ends with the value, and with the process.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Not only by closing the file: a process that is just being started by another thread of this one has it open, too,
    /// until it executes its program.
    fn drop(&mut self) {
        // The file is closed in any case.
        let _ = self.file.unlock();
    }
}

/// The database of a folder.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join(STORE_FILE)
}

/// Makes the folder if it is not there, and takes its lock.
pub(super) fn lock(folder: &Path) -> Result<Lock, OpenError> {
    let io = |source| OpenError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io)?;
    private::check(folder)?;
    let path = folder.join(LOCK_FILE);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = private::only(&mut options)
        .open(&path)
        .map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

/// Makes a file that is not there, for its owner alone.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.create_new(true).write(true);
    private::only(&mut options).open(path).map(drop)
}

/// Keeps the files of a store to their owner, who had them made by an older version, or gave others a look since.
pub(super) fn keep_private(database: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(ending);
        private::close(Path::new(&path));
    }
    private::close(&database.with_file_name(LOCK_FILE));
}

/// On systems that know an owner, a group and others.
#[cfg(unix)]
mod private {
    use std::{
        fs::{self, OpenOptions, Permissions},
        os::unix::fs::{OpenOptionsExt, PermissionsExt},
        path::Path,
    };

    use super::OpenError;

    /// For anybody but the owner.
    const OTHERS: u32 = 0o077;
    /// What lets others put their own files in the place of ours.
    const OTHERS_WRITE: u32 = 0o022;

    /// Refuses a folder in which others may write, as ssh does: whoever can put a database there has jobs run.
    pub(super) fn check(folder: &Path) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { path: folder.to_owned(), source };
        let mode = fs::metadata(folder).map_err(io)?.permissions().mode() & 0o777;
        if mode & OTHERS_WRITE == 0 {
            return Ok(());
        }
        Err(OpenError::Loose { path: folder.to_owned(), mode })
    }

    pub(super) fn only(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(0o600)
    }

    pub(super) fn close(path: &Path) {
        let Ok(mode) = fs::symlink_metadata(path).map(|found| found.permissions().mode()) else { return };
        if mode & OTHERS == 0 {
            return;
        }
        match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS & 0o777)) {
            Ok(()) => log::warn!("{}: others could open it; now only its owner can", path.display()),
            Err(error) => {
                log::warn!("{0}: others can open it, and that stays so: {error}", path.display());
            }
        }
    }
}

/// Elsewhere folders are what the system makes them.
#[cfg(not(unix))]
mod private {
    use std::{fs::OpenOptions, path::Path};

    use super::OpenError;

    pub(super) fn check(_folder: &Path) -> Result<(), OpenError> {
        Ok(())
    }

    pub(super) fn only(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(super) fn close(_path: &Path) {}
}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder can't be opened as a file; a rename is as durable as the file system makes it.
#[cfg(not(unix))]
pub(super) fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}
