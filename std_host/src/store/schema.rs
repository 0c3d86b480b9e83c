//! The tables, and what a file must be before anything is done to it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{OpenError, StoreError, folder, row::integer};

/// `tohd`, in the header of the file.
pub(super) const APPLICATION_ID: u32 = 0x746f_6864;
/// The format that this build writes.
pub(super) const VERSION: u32 = 3;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where the header of SQLite's files has the two, big-endian.
const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;
const HEADER_BYTES: usize = 100;

/// How long to wait for a lock that somebody else holds, as `sqlite3` on a shell may. In milliseconds.
const BUSY_MS: u32 = 5_000;

/// Bytes that the write-ahead log keeps on the disk.
const WAL_BYTES: i64 = 32 << 20;

/// The tables of format 1, which [`MIGRATIONS`] bring to the newest in a new file as in an old one.
///
/// A job has two places for checkpoints, with its id and with 2^62 more; `base` and `newest` say which place has which, so
/// that a new run moves no bytes. Its journal is its pieces from number `first` on: see `journal.rs`.
const TABLES: &str = "
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid BLOB NOT NULL UNIQUE,
    state TEXT NOT NULL,
    extension TEXT NOT NULL,
    job TEXT NOT NULL,
    priority TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    parent BLOB,
    module BLOB NOT NULL,
    base INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    first INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_extension ON jobs (extension);
CREATE INDEX jobs_parent ON jobs (parent) WHERE parent IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY,
    calls INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
    n INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX journal_job ON journal (job);

CREATE TABLE recent (
    last INTEGER PRIMARY KEY,
    pieces BLOB NOT NULL
) STRICT;

CREATE TABLE effects (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    request BLOB NOT NULL,
    reply BLOB NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE kv (
    id INTEGER PRIMARY KEY,
    extension TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (extension, key)
) STRICT;

CREATE TABLE kv_usage (
    extension TEXT PRIMARY KEY,
    keys INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE modules (
    hash BLOB PRIMARY KEY,
    manifest TEXT NOT NULL,
    module BLOB NOT NULL,
    config TEXT NOT NULL,
    added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES ('flushes', 0), ('pieces', 0);
";

/// What brings a file of format `n + 1` to the next one, at index `n`.
const MIGRATIONS: &[&str] = &[
    // The signed packages that modules came in, by the module's hash.
    "CREATE TABLE packages (
        hash BLOB PRIMARY KEY,
        package BLOB NOT NULL
    ) STRICT;",
    // Whether a module was never installed here, but came with a job.
    "ALTER TABLE modules ADD COLUMN brought INTEGER NOT NULL DEFAULT 0;",
];

/// What a file says that it is, by its header alone: a database of another application is not even opened.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
}

/// Opens the database of a folder for the one thread that writes, and makes or migrates it if need be.
pub(super) fn open_for_writing(path: &Path, max_bytes: Option<u64>) -> Result<Connection, OpenError> {
    if look_at(path)? == Found::Nothing {
        create(path)?;
    }
    // What the write-ahead log has of the version is newer than the header; who opens read-only changes nothing by it.
    let found = version(path, &open_read_only(path)?)?;
    if found > VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found, newest: VERSION });
    }
    let failed = |error| StoreError::of(path.to_owned(), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    set_up_writer(&connection, max_bytes).map_err(failed)?;
    if found < VERSION {
        migrate(&mut connection, found, MIGRATIONS).map_err(failed)?;
    }
    Ok(connection)
}

/// Opens the database of a folder, of this version, for reading.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    if look_at(path)? == Found::Nothing {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let connection = open_read_only(path)?;
    let found = version(path, &connection)?;
    match found {
        VERSION => Ok(connection),
        ..VERSION => Err(OpenError::Older { path: path.to_owned(), found, newest: VERSION }),
        _ => Err(OpenError::Newer { path: path.to_owned(), found, newest: VERSION }),
    }
}

/// A connection that reads, to a file that was looked at before.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        set_up(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::of(path.to_owned(), error))
}

fn look_at(path: &Path) -> Result<Found, OpenError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    match File::open(path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
        Ok(_) => {}
    }
    let number = |at| {
        let bytes = header.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let (Some(application), Some(version), true) =
        (number(APPLICATION_ID_AT), number(USER_VERSION_AT), header.starts_with(MAGIC))
    else {
        return Err(OpenError::NoDatabase { path: path.to_owned() });
    };
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            found: application,
            expected: APPLICATION_ID,
        });
    }
    match version {
        // No Toehold has written that.
        0 => Err(OpenError::NoDatabase { path: path.to_owned() }),
        1..=VERSION => Ok(Found::Ours),
        found => Err(OpenError::Newer { path: path.to_owned(), found, newest: VERSION }),
    }
}

fn version(path: &Path, connection: &Connection) -> Result<u32, StoreError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| StoreError::of(path.to_owned(), error))
}

/// Makes a new database under another name first, so that whatever stops it leaves none that is not whole.
fn create(path: &Path) -> Result<(), OpenError> {
    let new = path.with_extension("new");
    let io = |source| OpenError::Io { path: new.clone(), source };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    // What SQLite puts beside it gets the same mode.
    folder::make_private(&new).map_err(io)?;
    let write = || {
        let mut connection = Connection::open(&new)?;
        let transaction = connection.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(TABLES)?;
        MIGRATIONS.iter().try_for_each(|migration| transaction.execute_batch(migration))?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.close().map_err(|(_, error)| error)
    };
    write().map_err(|error| StoreError::of(path.to_owned(), error))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&new, path).map_err(io)?;
    let folder = path.parent().unwrap_or(path);
    folder::sync(folder).map_err(|source| OpenError::Io { path: folder.to_owned(), source })
}

/// Brings a file from format `found` up to date: all of it or nothing.
fn migrate(connection: &mut Connection, found: u32, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut version = found;
    let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    for migration in migrations.iter().skip(done) {
        transaction.execute_batch(migration)?;
        version += 1;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS.into()))?;
    // More than there are different statements, so that each is compiled once.
    connection.set_prepared_statement_cache_capacity(64);
    // Nothing in a file may call functions that have effects.
    connection.pragma_update(None, "trusted_schema", false)
}

fn set_up_writer(connection: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    set_up(connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    // What a large group or a long read has made longer is cut when the log starts over.
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    // Pages have 32-bit numbers; the largest is the default.
    const MOST_PAGES: i64 = 0xffff_fffe;
    let pages = max_bytes.map_or(MOST_PAGES, |bytes| (integer(bytes) / page.max(1)).clamp(1, MOST_PAGES));
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_older_version_becomes_what_a_new_one_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let tables = |path: &Path| -> Vec<String> {
            let connection = open_read_only(path).expect("it can be read");
            assert_eq!(version(path, &connection).expect("a version"), VERSION);
            let mut found = connection.prepare("SELECT name FROM sqlite_schema ORDER BY name").expect("SQL");
            let names = found.query_map([], |row| row.get(0)).expect("names");
            names.collect::<Result<_, _>>().expect("names")
        };
        let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
        let connection = Connection::open(&old).expect("a database");
        connection.execute_batch(TABLES).expect("the tables of format 1");
        connection.pragma_update(None, "application_id", APPLICATION_ID).expect("an application");
        connection.pragma_update(None, "user_version", 1).expect("a version");
        drop(connection);
        for path in [&old, &new] {
            drop(open_for_writing(path, None).expect("it can be written"));
        }
        assert_eq!(tables(&old), tables(&new));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.pragma_update(None, "user_version", 1).expect("a version");
        let version = |connection: &Connection| -> u32 {
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
        };
        let tables = |connection: &Connection| -> u32 {
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("a count")
        };
        let good = "CREATE TABLE a (x) ";
        migrate(&mut connection, 1, &[good, "no SQL"]).expect_err("the second step is none");
        assert_eq!((version(&connection), tables(&connection)), (1, 0));
        migrate(&mut connection, 1, &[good, "CREATE TABLE b (x)"]).expect("both are good");
        assert_eq!((version(&connection), tables(&connection)), (3, 2));
        migrate(&mut connection, 3, &[good, "no", "CREATE TABLE c (x)"]).expect("only the third is new");
        assert_eq!((version(&connection), tables(&connection)), (4, 3));
    }
}
