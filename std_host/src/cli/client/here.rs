//! The API in this process, on a data folder that no server has.

use std::{
    fmt::Display,
    fs::{DirBuilder, File, TryLockError},
    io,
    path::Path,
};

use std_host::{
    api::Api,
    manager::{Manager, ManagerConfig, ManagerError},
    store::{OpenError, SqliteStore},
};

use crate::cli::problem::Problem;

/// Beside the database: who has it open for writing holds this.
const LOCK_FILE: &str = "toehold.lock";

/// Reads the folder's store, if no process has it.
pub(super) fn reader_of_free(data: &Path) -> Result<Option<Api>, Problem> {
    if is_in_use(data) { Ok(None) } else { reader(data, false).map(Some) }
}

/// Reads the folder's store, which another process has if `in_use`.
pub(super) fn reader(data: &Path, in_use: bool) -> Result<Api, Problem> {
    let reader = SqliteStore::open_read_only(data).map_err(|error| match error {
        OpenError::Missing { .. } => Problem::new("no_data", error),
        error @ OpenError::Io { .. } => unusable(data, &error),
        error => Problem::new("failed", error),
    })?;
    Ok(Api::read_only(reader, in_use))
}

/// Takes the folder, without running its jobs. None if another process has it.
pub(super) fn manager(config: &ManagerConfig) -> Result<Option<Api>, Problem> {
    make_private(&config.data)?;
    match Manager::open(ManagerConfig { workers: 0, ..config.clone() }) {
        Ok(manager) => Ok(Some(Api::new(manager))),
        Err(ManagerError::Open(OpenError::InUse { .. })) => Ok(None),
        Err(error) => Err(not_opened(&config.data, &error)),
    }
}

/// Why a manager could not open a data folder.
pub(crate) fn not_opened(data: &Path, error: &ManagerError) -> Problem {
    match error {
        ManagerError::Open(OpenError::Io { .. }) => unusable(data, error),
        error => Problem::new("failed", error),
    }
}

/// That a folder is not fit for data, which the operating system says in a word or two.
fn unusable(data: &Path, error: &impl Display) -> Problem {
    let message = format!(
        "{error}; the data folder {} has to be one that can be read and written, and --data DIR names another",
        data.display()
    );
    Problem::new("failed", message)
}

/// Makes a data folder that is not there, for its owner alone.
pub(crate) fn make_private(data: &Path) -> Result<(), Problem> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(|error| unusable(data, &error))?;
    warn_of_others(data);
    Ok(())
}

/// Says so where others on this machine can read what is kept: somebody may have made the folder for that.
#[cfg(unix)]
fn warn_of_others(data: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(data).map(|found| found.permissions().mode() & 0o077);
    if mode.is_ok_and(|others| others != 0) {
        log::warn!(
            "{0}: others on this machine can open it; `chmod 700 {0}` keeps it to its owner",
            data.display()
        );
    }
}

#[cfg(not(unix))]
fn warn_of_others(_data: &Path) {}

/// Whether a process has the store of a folder open for writing.
fn is_in_use(data: &Path) -> bool {
    let locked = |file: File| match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    };
    let found: io::Result<bool> = File::open(data.join(LOCK_FILE)).and_then(locked);
    // Without the lock's file nobody ever wrote there. Where it can't be opened, the store will say what is wrong.
    found.unwrap_or(false)
}
