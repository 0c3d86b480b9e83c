use std::{collections::BTreeMap, fs, path::Path};

use rusqlite::Connection;

use super::*;
use crate::store::{OpenError, STORE_FILE, StoreReader, schema::VERSION};

const PAGE: usize = 4_096;

/// All files with their bytes, but the lock, which is empty, and the index that readers share.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
        })
        .filter(|(name, _)| name != "toehold.lock" && !name.ends_with("-shm"))
        .collect()
}

/// Opens a folder both ways, and looks that nothing was changed.
fn refused(folder: &TempDir) -> (OpenError, OpenError) {
    let before = files(folder.path());
    let writing = SqliteStore::open(folder.path(), StoreOptions::default()).expect_err("it is refused");
    let reading = SqliteStore::open_read_only(folder.path()).expect_err("it is refused");
    assert!(files(folder.path()) == before, "a file was changed");
    (writing, reading)
}

#[test]
fn what_is_no_database_is_refused_and_kept() {
    let long_text = b"my notes ".repeat(1_000);
    let header_only = b"SQLite format 3\0".as_slice();
    for bytes in [b"".as_slice(), b"my notes", &long_text, header_only] {
        let folder = folder();
        fs::write(folder.path().join(STORE_FILE), bytes).expect("a file");
        let (writing, reading) = refused(&folder);
        assert!(matches!(writing, OpenError::NoDatabase { .. }), "{writing}");
        assert!(matches!(reading, OpenError::NoDatabase { .. }), "{reading}");
    }
}

#[test]
fn the_database_of_another_application_is_refused_and_kept() {
    for application in [0, 0x1234] {
        let folder = folder();
        let other = Connection::open(folder.path().join(STORE_FILE)).expect("a database");
        other.pragma_update(None, "application_id", application).expect("an id");
        other.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE notes (text)").expect("a table");
        other.close().expect("closed");
        let (writing, reading) = refused(&folder);
        assert!(matches!(writing, OpenError::Foreign { found, .. } if found == application), "{writing}");
        assert!(matches!(reading, OpenError::Foreign { found, .. } if found == application), "{reading}");
    }
}

#[test]
fn a_newer_database_is_refused_and_kept() {
    let folder = folder();
    drop(open(&folder));
    let newer = Connection::open(folder.path().join(STORE_FILE)).expect("a database");
    newer.pragma_update(None, "user_version", 9).expect("a version");
    let is_newer = |error| matches!(error, OpenError::Newer { found: 9, newest: VERSION, .. });
    // Only the write-ahead log has the version yet.
    let (writing, reading) = refused(&folder);
    assert!(is_newer(writing) && is_newer(reading));
    newer.close().expect("closed");
    let (writing, reading) = refused(&folder);
    assert!(writing.to_string().contains("use a newer Toehold"), "{writing}");
    assert!(is_newer(writing) && is_newer(reading));
}

#[test]
fn one_at_a_time_writes() {
    let folder = folder();
    let store = open(&folder);
    let other = SqliteStore::open(folder.path(), StoreOptions::default()).expect_err("it is in use");
    assert!(matches!(other, OpenError::InUse { .. }), "{other}");
    drop(store);
    open(&folder);
}

#[test]
fn who_reads_makes_no_store() {
    let folder = folder();
    let missing = SqliteStore::open_read_only(folder.path()).expect_err("there is none");
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    assert_eq!(files(folder.path()), BTreeMap::new());
}

#[test]
fn a_creation_that_was_cut_off_is_begun_again() {
    let folder = folder();
    let half = Connection::open(folder.path().join("toehold.new")).expect("a database");
    half.execute_batch("CREATE TABLE jobs (id)").expect("a table");
    drop(half);
    dispatch(&open(&folder), 1, JobState::Queued);
    assert_eq!(open(&folder).reader().jobs().expect("it can be read"), [id(1)]);
}

#[test]
fn damage_is_an_error_and_is_not_overwritten() {
    let sound = folder();
    let store = open(&sound);
    for number in 1..=20 {
        dispatch(&store, number, JobState::Queued);
        change(&store, id(number), &commit(&[7; 3_000], Some(checkpoint(id(number), 1, 0, &[1; 3_000]))))
            .expect("there is room");
    }
    let all: Vec<_> = (1..=20).map(|number| load(&store, id(number))).collect();
    drop(store);
    let bytes = fs::read(sound.path().join(STORE_FILE)).expect("a file");
    let mut errors = 0;
    for page in 0..bytes.len() / PAGE {
        let folder = folder();
        let mut damaged = bytes.clone();
        let start = if page == 0 { 100 } else { page * PAGE };
        damaged[start..(page + 1) * PAGE].fill(0xa5);
        fs::write(folder.path().join(STORE_FILE), &damaged).expect("a file");
        match SqliteStore::open(folder.path(), StoreOptions::default()) {
            Err(error) => {
                assert!(matches!(&error, OpenError::Store(StoreError::Damaged { .. })), "{error}");
                errors += 1;
            }
            Ok(store) => errors += u32::from(is_damaged(store.reader(), &all)),
        }
        let after = fs::read(folder.path().join(STORE_FILE)).expect("a file");
        assert!(after == damaged, "page {page} was written");
    }
    // Some pages are of tables and indexes that are not looked at here.
    assert!(errors > 20, "only {errors} of {} damaged pages were noticed", bytes.len() / PAGE);
}

/// Whether something is not as it was. What is read is either as it was, or an error, or its own checksum is wrong.
fn is_damaged(reader: &StoreReader, all: &[Saved]) -> bool {
    (1..).zip(all).any(|(number, expected)| match reader.load(id(number)) {
        Err(StoreError::Damaged { .. }) => true,
        Err(other) => panic!("{other}"),
        Ok(saved) => saved.as_ref() != Some(expected),
    })
}

#[test]
fn a_check_reads_all_of_it() {
    let sound = folder();
    dispatch(&open(&sound), 1, JobState::Queued);
    assert_eq!(open(&sound).reader().check().expect("it can be read"), Vec::<String>::new());
    let bytes = fs::read(sound.path().join(STORE_FILE)).expect("a file");
    let mut texts = Vec::new();
    for page in 1..bytes.len() / PAGE {
        let folder = folder();
        let mut damaged = bytes.clone();
        damaged[page * PAGE..(page + 1) * PAGE].fill(0xa5);
        fs::write(folder.path().join(STORE_FILE), damaged).expect("a file");
        let reader = SqliteStore::open_read_only(folder.path()).expect("it opens");
        let found = reader.check().expect("it can be read");
        assert!(!found.is_empty(), "page {page}");
        texts.extend(found);
    }
    // Some damage ends the check, other is found by it.
    assert!(texts.iter().any(|text| text.contains("malformed")), "{texts:?}");
    assert!(texts.iter().any(|text| !text.contains("malformed")), "{texts:?}");
}

/// As ssh does: what others may write in is no place for what decides which jobs run.
#[cfg(unix)]
#[test]
fn a_store_is_its_owner_s() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let mode = |path: &std::path::Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode is set");
    };
    let temp = tempfile::tempdir().expect("a folder");
    let folder = temp.path().join("data");
    fs::create_dir(&folder).expect("a folder");
    set(&folder, 0o755);
    let files =
        ["toehold.db", "toehold.db-wal", "toehold.db-shm", "toehold.lock"].map(|name| folder.join(name));
    let store = SqliteStore::open(&folder, StoreOptions::default()).expect("others may look into the folder");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
    drop(store);

    // As an older version made them.
    files.iter().filter(|file| file.exists()).for_each(|file| set(file, 0o644));
    let store = SqliteStore::open(&folder, StoreOptions::default()).expect("it is put right");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
    drop(store);

    for loose in [0o770, 0o702, 0o777] {
        set(&folder, loose);
        let error = SqliteStore::open(&folder, StoreOptions::default()).expect_err("others may write");
        assert!(matches!(error, OpenError::Loose { mode, .. } if mode == loose), "{error}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
    set(&folder, 0o700);
}
