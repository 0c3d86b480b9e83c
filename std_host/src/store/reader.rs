use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction};

use super::{OpenError, StoreError, folder, schema};

/// Connections that are kept for the next who reads.
const IDLE: usize = 4;

/// Reads a store, cheap to clone; also one that another process writes.
///
/// Each method is one short transaction, in a state that the store had. Nothing here stays open: while somebody reads,
/// the write-ahead log can't start over, and grows.
#[derive(Clone, Debug)]
pub struct StoreReader {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl StoreReader {
    /// Opens the store of a data folder, while another process may write it.
    ///
    /// # Errors
    /// [`OpenError`] says why not.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let reader = Self::new(folder::database(folder));
        let connection = schema::open_for_reading(&reader.path)?;
        reader.lock().push(connection);
        Ok(reader)
    }

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), idle: Arc::default() }
    }

    /// The database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the database's files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let log = |ending: &str| {
            let mut path = self.path().as_os_str().to_owned();
            path.push(ending);
            path
        };
        let size = |path: &std::ffi::OsStr| std::fs::metadata(path).map_or(0, |found| found.len());
        size(self.path().as_os_str()) + size(&log("-wal"))
    }

    /// Whether the database is whole: reads all of it. The texts say what is wrong; there are none where nothing is.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read at all.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        let found = self.read(|transaction| {
            let mut check = transaction.prepare("PRAGMA integrity_check")?;
            check.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        });
        match found {
            Ok(texts) => Ok(texts.into_iter().filter(|text| text != "ok").collect()),
            // Some damage ends the check.
            Err(StoreError::Damaged { source, .. }) => Ok(vec![source.to_string()]),
            Err(error) => Err(error),
        }
    }

    /// Reads within one transaction.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::of(self.path.to_path_buf(), error);
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_read_only(&self.path)?,
        };
        let transaction = connection.transaction().map_err(failed)?;
        let found = read(&transaction).map_err(failed)?;
        transaction.finish().map_err(failed)?;
        let mut idle = self.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
