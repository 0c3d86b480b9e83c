use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    OpenError, StoreError, StoreOptions, StoreReader, folder,
    history::{Line, Lost},
    journal::Pieces,
    places::{Places, Writing},
    queue::Queue,
    schema,
    task::{Applied, Asked},
    wal::Wal,
    writer::{Pace, Sync, Writer},
};

/// The store of a server: a handle, cheap to clone, to a database and the thread that writes it.
///
/// What changes something takes a `done`, which gets to know once the change is durable or has failed. It runs on the
/// thread that writes, so it must be short and must not wait for the store; [`wait`](super::wait) makes a call of it that
/// waits. What reads is at [`SqliteStore::reader`].
///
/// One process at a time has a data folder open for writing. When the last handle goes, what waits is still written, and
/// the thread ends.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    reader: StoreReader,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the store of a data folder, and makes both if they are not there.
    ///
    /// # Errors
    /// [`OpenError`] says why not; a file that is not of Toehold, or of a newer one, is left as it is.
    pub fn open(folder: impl AsRef<Path>, options: StoreOptions) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        let lock = folder::lock(folder)?;
        let path = folder::database(folder);
        let mut connection = schema::open_for_writing(&path, options.max_bytes)?;
        folder::keep_private(&path);
        let failed = |error| StoreError::of(path.clone(), error);
        let pieces = Pieces::read(&connection).map_err(failed)?;
        let wal = Wal::of(&mut connection, &path).map_err(failed)?;
        let reader = StoreReader::new(path.clone());
        let queue = Arc::new(Queue::default());
        let writer = Writer {
            connection,
            path: path.clone(),
            options,
            queue: queue.clone(),
            places: Places::default(),
            pieces,
            wal,
            lost: Lost::default(),
            sync: Sync::Full,
            pace: Pace::default(),
            _lock: lock,
        };
        let thread = thread::Builder::new()
            .name("toehold store".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path, source })?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { shared: Arc::new(Shared { reader, queue, writer }) })
    }

    /// Opens the store of a data folder only for reading, while another process may write it.
    ///
    /// # Errors
    /// [`OpenError`] says why not.
    pub fn open_read_only(folder: impl AsRef<Path>) -> Result<StoreReader, OpenError> {
        StoreReader::open(folder.as_ref())
    }

    /// What reads. It sees all that was acknowledged before it was asked.
    #[must_use]
    pub fn reader(&self) -> &StoreReader {
        &self.shared.reader
    }

    /// Has something written by the thread that writes. `apply` may run more than once, and changes nothing where it
    /// refuses.
    pub(super) fn ask<T, E>(
        &self,
        bytes: usize,
        done: impl FnOnce(Result<T, E>) + Send + 'static,
        apply: impl FnMut(&mut Writing<'_>) -> Applied<T, E> + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let task = Box::new(Asked { bytes, apply, result: None, done });
        if let Err(task) = self.shared.queue.push(task) {
            task.finish(Err(self.closed()));
        }
    }

    /// Writes what waits, and lets go of the data folder, which another store may then open. From then on this one only
    /// reads, for as long as the folder is there; what is asked of it otherwise is [`StoreError::Closed`].
    ///
    /// Not for a `done`, which runs on the thread that this waits for.
    pub fn close(&self) {
        self.shared.close();
    }

    pub(super) fn append(&self, line: Line) {
        self.shared.queue.push_line(line);
    }

    pub(super) fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.shared.reader.path().to_owned() }
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // The last handle may have been in a `done`; then this is the thread that would be waited for.
            if writer.thread().id() != thread::current().id() && writer.join().is_err() {
                log::error!("{}: the thread that writes has panicked", self.reader.path().display());
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("path", &self.reader.path()).finish_non_exhaustive()
    }
}
