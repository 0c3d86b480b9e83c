//! SQLite's write-ahead log, and how long it may get.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rusqlite::Connection;

/// Pages that the log has before it is emptied: 16 MiB. SQLite's own 1,000 would have each page of a busy database written
/// twice as often.
const MOST_PAGES: usize = 4_000;
/// And where the disk is small: less would be emptied after each write.
const LEAST_PAGES: usize = 32;
/// Bytes of a page, unless somebody has changed that.
const PAGE_BYTES: u64 = 4 << 10;
/// The part of the disk's free room that the log may have. What is in it has to fit into the database as well, or neither can
/// be written any more.
const PART: u64 = 8;

/// The length of the log, as SQLite tells it.
#[derive(Clone, Debug)]
pub(super) struct Wal {
    pages: Arc<AtomicUsize>,
    folder: PathBuf,
    limit: usize,
}

impl Wal {
    /// Follows the log of a connection, which then leaves it to us when to empty it.
    pub(super) fn of(connection: &mut Connection, database: &Path) -> rusqlite::Result<Self> {
        let pages = Arc::<AtomicUsize>::default();
        let told = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            told.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let folder = database.parent().unwrap_or(database).to_owned();
        let mut wal = Self { pages, folder, limit: MOST_PAGES };
        wal.fit();
        Ok(wal)
    }

    /// Whether it is time to empty it.
    pub(super) fn is_long(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.limit
    }

    /// Looks how much room the disk has, which others use too.
    pub(super) fn fit(&mut self) {
        // A disk that can't be asked counts as large.
        self.limit = free_bytes(&self.folder).map_or(MOST_PAGES, pages_for);
    }
}

fn pages_for(free: u64) -> usize {
    let pages = usize::try_from(free / PART / PAGE_BYTES).unwrap_or(usize::MAX);
    pages.clamp(LEAST_PAGES, MOST_PAGES)
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_has_a_short_log() {
        assert_eq!(pages_for(u64::MAX), MOST_PAGES);
        assert_eq!(pages_for(128 << 20), MOST_PAGES);
        assert_eq!(pages_for(8 << 20), 256);
        assert_eq!(pages_for(0), LEAST_PAGES);
        assert!(free_bytes(Path::new(".")).is_some_and(|bytes| bytes > 0) || cfg!(not(unix)));
        assert_eq!(free_bytes(Path::new("/nowhere/at/all")), None);
    }
}
