//! What is asked of the thread that writes.

use std::sync::mpsc;

use super::{StoreError, places::Writing};

/// What came of writing something: an outer error is SQLite's and undoes the group, an inner one is a refusal, which
/// has changed nothing and is nobody else's business.
pub(super) type Applied<T, E> = rusqlite::Result<Result<T, E>>;

/// Something to be written and acknowledged.
pub(super) trait Task: Send {
    /// Bytes that it writes, about.
    fn bytes(&self) -> usize;

    /// Writes it within a transaction, or refuses to before it has written anything. It may come to this again, if the
    /// transaction has failed.
    fn apply(&mut self, to: &mut Writing<'_>) -> rusqlite::Result<()>;

    /// Tells who asked, once it is durable or has failed.
    fn finish(self: Box<Self>, written: Result<(), StoreError>);
}

/// A task of two functions.
pub(super) struct Asked<A, T, E, D> {
    pub(super) bytes: usize,
    pub(super) apply: A,
    pub(super) result: Option<Result<T, E>>,
    pub(super) done: D,
}

impl<A, T, E, D> Task for Asked<A, T, E, D>
where
    A: FnMut(&mut Writing<'_>) -> Applied<T, E> + Send,
    D: FnOnce(Result<T, E>) + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn apply(&mut self, to: &mut Writing<'_>) -> rusqlite::Result<()> {
        let before = to.connection.total_changes();
        let result = (self.apply)(to)?;
        let unchanged = to.connection.total_changes() == before;
        debug_assert!(
            result.is_ok() || unchanged,
            "who refuses looks before it writes: others are in its transaction"
        );
        self.result = Some(result);
        Ok(())
    }

    fn finish(self: Box<Self>, written: Result<(), StoreError>) {
        let Self { result, done, .. } = *self;
        match (written, result) {
            (Ok(()), Some(result)) => done(result),
            (Err(error), _) => done(Err(error.into())),
            // It is never finished with success before it was applied.
            (Ok(()), None) => {}
        }
    }
}

/// Waits for what a `done` of [`SqliteStore`](super::SqliteStore) gets:
/// `wait(&store, |done| store.change(job, &change, done))`.
///
/// Not for a `done` itself, which runs on the thread that it would wait for.
///
/// # Errors
/// What `done` got; [`StoreError::Closed`] if it was never called.
pub fn wait<T, E>(
    store: &super::SqliteStore,
    ask: impl FnOnce(Box<dyn FnOnce(Result<T, E>) + Send>),
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (tell, told) = mpsc::sync_channel(1);
    ask(Box::new(move |result| {
        // Whoever asked is below, and waits.
        let _ = tell.send(result);
    }));
    told.recv().unwrap_or_else(|_| Err(store.closed().into()))
}
