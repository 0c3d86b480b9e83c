//! The thread that writes: groups of what waits, each in one transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use rusqlite::Connection;

use super::{
    StoreError, StoreOptions,
    folder::Lock,
    history::Lost,
    places::{Places, Writing},
    queue::{Entry, Group, Queue},
    task::Task,
};

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) queue: Arc<Queue>,
    pub(super) places: Places,
    /// Lines of history that were dropped and are not counted in the database yet.
    pub(super) lost: Lost,
    pub(super) sync: Sync,
    /// Held until the connection is closed.
    pub(super) _lock: Lock,
}

/// Whether a transaction is durable when it ends, which is a setting of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    Full,
    /// The next one that is durable makes it so.
    Lazy,
}

impl Writer {
    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        // Should this thread panic, nobody may wait for it for ever.
        let _guard = Abandon { queue: self.queue.clone(), path: self.path.clone() };
        while let Some(group) = self.queue.take() {
            self.write(group);
        }
    }

    fn write(&mut self, group: Group) {
        let Group { mut entries, lost } = group;
        self.lost.add(lost);
        self.places.tidy();
        match self.transaction(&mut entries) {
            Ok(()) => tasks(entries).for_each(|task| finish(task, Ok(()))),
            Err(error) => {
                log::debug!("{}: a group of {} was undone: {error}", self.path.display(), entries.len());
                self.write_apart(entries);
            }
        }
    }

    /// Writes each task of a group that has failed in a transaction of its own, in order. Lines stay together.
    fn write_apart(&mut self, entries: Vec<Entry>) {
        let mut lines = Vec::new();
        for entry in entries {
            match entry {
                Entry::Line(_) => lines.push(entry),
                Entry::Task(task) => {
                    self.write_lines(std::mem::take(&mut lines));
                    let mut alone = vec![Entry::Task(task)];
                    let written = self.transaction(&mut alone);
                    let written = written.map_err(|error| StoreError::of(self.path.clone(), error));
                    // There is but one.
                    if let Some(task) = tasks(alone).next() {
                        finish(task, written);
                    }
                }
            }
        }
        self.write_lines(lines);
    }

    fn write_lines(&mut self, mut lines: Vec<Entry>) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.transaction(&mut lines) {
            log::warn!("{}: {} lines of history are lost: {error}", self.path.display(), lines.len());
            for line in lines {
                if let Entry::Line(line) = line {
                    self.lost.count(&line);
                }
            }
        }
    }

    /// Writes all of it, or nothing.
    fn transaction(&mut self, entries: &mut [Entry]) -> rusqlite::Result<()> {
        let has_task = entries.iter().any(|entry| matches!(entry, Entry::Task(_)));
        let written = self
            .begin(if has_task { Sync::Full } else { Sync::Lazy })
            .and_then(|()| self.apply(entries))
            .and_then(|()| self.execute("COMMIT"));
        match &written {
            Ok(()) => self.lost.counted(),
            Err(_) => {
                // What is remembered is of the transaction that is undone.
                self.places.clear();
                self.lost.undo();
                self.roll_back();
            }
        }
        written
    }

    fn begin(&mut self, sync: Sync) -> rusqlite::Result<()> {
        if sync != self.sync {
            self.execute(match sync {
                Sync::Full => "PRAGMA synchronous = full",
                Sync::Lazy => "PRAGMA synchronous = normal",
            })?;
            self.sync = sync;
        }
        self.execute("BEGIN IMMEDIATE")
    }

    fn apply(&mut self, entries: &mut [Entry]) -> rusqlite::Result<()> {
        let mut writing =
            Writing { connection: &self.connection, places: &mut self.places, options: &self.options };
        for entry in entries {
            match entry {
                Entry::Task(task) => task.apply(&mut writing)?,
                Entry::Line(line) => writing.append(line, &mut self.lost)?,
            }
        }
        Ok(())
    }

    /// Some errors have ended the transaction already.
    fn roll_back(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.execute("ROLLBACK") {
            log::error!("{}: can't undo a transaction: {error}", self.path.display());
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}

fn tasks(entries: Vec<Entry>) -> impl Iterator<Item = Box<dyn Task>> {
    entries.into_iter().filter_map(|entry| match entry {
        Entry::Task(task) => Some(task),
        Entry::Line(_) => None,
    })
}

/// Tells who asked. A panic there is no reason to stop writing for all others.
fn finish(task: Box<dyn Task>, written: Result<(), StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| task.finish(written))).is_err() {
        log::error!("what was to be told that it is stored has panicked");
    }
}

/// Closes the queue when the thread ends, however it does.
struct Abandon {
    queue: Arc<Queue>,
    path: PathBuf,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        for task in tasks(self.queue.abandon()) {
            finish(task, Err(StoreError::Closed { path: self.path.clone() }));
        }
    }
}
