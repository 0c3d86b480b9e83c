use std::{io, path::PathBuf};

use rusqlite::ErrorCode;
use toehold::{CallKey, JobState, Uuid};

/// What SQLite says; its type is no part of this crate's interface.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store was not opened. Its file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder or a file in it could not be made, read or locked.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open for writing.
    #[error("{path}: in use by another process, or by another store in this one; stop that first, or open it read-only", path = path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// Others on this machine may write in the folder, and so put there what they want.
    #[error("{path}: others on this machine may write in it (mode {mode:o}), and have jobs run or changed; `chmod 700 {path}` keeps it to its owner", path = path.display())]
    Loose {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is no store, and who only reads makes none.
    #[error("{path}: there is no such file, so no job was ever stored here; name another data folder", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is no SQLite database.
    #[error("{path}: is no database of Toehold; move it away, or name another data folder", path = path.display())]
    NoDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is the database of something else.
    #[error("{path}: is the database of another application (its id is {found:#010x}, Toehold's is {expected:#010x}); move it away, or name another data folder", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The `application_id` that it has.
        found: u32,
        /// The `application_id` that Toehold gives.
        expected: u32,
    },
    /// A newer version of Toehold wrote the file.
    #[error("{path}: has format {found}, this build reads up to {newest}: use a newer Toehold", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of the format that it has.
        found: u32,
        /// The newest that this build reads.
        newest: u32,
    },
    /// An older version wrote the file, and who only reads does not bring it up to date.
    #[error("{path}: has format {found}, this build reads {newest}: start Toehold on this data folder once, it brings the file up to date", path = path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The version of the format that it has.
        found: u32,
        /// The version that this build reads.
        newest: u32,
    },
    /// SQLite could not open it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store could not write or read something. What was to be written is not there, except where it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or the database has the bytes that it may have. What was to be written is not there; it may be
    /// tried again once there is room.
    #[error("{path}: no room to write ({source}); free some of the disk, keep fewer jobs that are over, or raise the store's limit", path = path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: Source,
    },
    /// There is no such job, and a change without a record and a checkpoint makes none.
    #[error("there is no job {job} in the store; its first change needs a record and a checkpoint")]
    NoSuchJob {
        /// The job.
        job: Uuid,
    },
    /// The file is damaged.
    #[error("{path}: is damaged ({source}); stop Toehold, keep a copy of the file with its -wal, then try sqlite3's .recover on the copy", path = path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: Source,
    },
    /// SQLite could not do it. After an error of the disk while writing, what was to be written may be there all the
    /// same.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: Source,
    },
    /// There is such a job already, in a store that managers share.
    #[error("there is a job {job} already")]
    Exists {
        /// The job.
        job: Uuid,
    },
    /// Another manager has the job by now, in a store that managers share. Nothing was changed.
    #[error("job {job} is run by another host by now; nothing was changed")]
    Lost {
        /// The job.
        job: Uuid,
    },
    /// The job is over.
    #[error("job {job} is {state} already: nothing can be changed about it")]
    Over {
        /// The job.
        job: Uuid,
        /// How it ended.
        state: JobState,
    },
    /// A store on other machines has no room, or could not be asked.
    #[error("{source}")]
    Remote {
        /// What is wrong.
        source: Source,
        /// Whether it has no room.
        full: bool,
    },
    /// The store is closed, or the thread that writes has ended.
    #[error("{path}: the store is closed; nothing was written", path = path.display())]
    Closed {
        /// The database.
        path: PathBuf,
    },
}

/// A call came a second time and asked for something else: its job went another way than it did before. Nothing was
/// changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "call {key} was carried out before with another request (SHA-256 {before}, now {now}): a job that goes on must make the same calls again",
    before = hex(before), now = hex(now)
)]
pub struct KeyReused {
    /// The call.
    pub key: CallKey,
    /// SHA-256 of the request that was carried out.
    pub before: [u8; 32],
    /// SHA-256 of the request that was refused.
    pub now: [u8; 32],
}

/// Why an effect was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectError {
    /// Its call came before, with another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a value was not put or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The extension would have more than it may.
    #[error(
        "{extension} may keep {max_keys} keys and {max_bytes} bytes; with {key:?} it would have {keys} keys and {bytes} bytes: delete some first"
    )]
    Quota {
        /// The extension.
        extension: String,
        /// The key that was to be put.
        key: String,
        /// Keys that it would have.
        keys: u64,
        /// Keys that it may have.
        max_keys: u64,
        /// Bytes of keys and values that it would have.
        bytes: u64,
        /// Bytes of keys and values that it may have.
        max_bytes: u64,
    },
    /// Its call came before, with another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// What an error of SQLite means for who asked.
    pub(super) fn of(path: PathBuf, error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        let code = error.sqlite_error_code();
        // A value that no Toehold has written.
        let is_strange = matches!(
            error,
            FromSqlConversionFailure(..)
                | IntegralValueOutOfRange(..)
                | InvalidColumnType(..)
                | Utf8Error(..)
        );
        let source = Source::from(error);
        match code {
            None if is_strange => Self::Damaged { path, source },
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            Some(ErrorCode::SystemIoFailure) if is_disk_full(&path) => Self::Full { path, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Whether there is no room beside a file. SQLite reports some full disks, and all used-up quotas, as failures of the
/// disk, and does not pass on what the operating system said; so a small file is tried.
fn is_disk_full(beside: &std::path::Path) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    const PROBE_BYTES: usize = 64 << 10;
    let path = beside.with_extension("probe");
    let tried = std::fs::write(&path, vec![0x55; PROBE_BYTES]);
    // It is of no use to anybody; that it can't be removed changes nothing.
    let _ = std::fs::remove_file(&path);
    tried.is_err_and(|error| matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
