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
    fs::create_dir_all(folder).map_err(|source| OpenError::Io { path: folder.to_owned(), source })?;
    let path = folder.join(LOCK_FILE);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
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
