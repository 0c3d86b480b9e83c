//! The thread that writes: groups of what waits, each in one transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};

use super::{
    StoreError, StoreOptions,
    folder::Lock,
    history::Lost,
    journal::Pieces,
    places::{Places, Writing},
    queue::{Entry, Group, Queue},
    task::Task,
    wal::Wal,
};

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) queue: Arc<Queue>,
    pub(super) places: Places,
    pub(super) pieces: Pieces,
    pub(super) wal: Wal,
    /// Lines of history that were dropped and are not counted in the database yet.
    pub(super) lost: Lost,
    pub(super) sync: Sync,
    pub(super) pace: Pace,
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

/// What the next group is worth waiting for: jobs that are told that their changes are durable tend to come with the
/// next ones at once, and then one fsync is enough for all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Tasks that waited already when the last group was done, and those that were told then.
    tasks: usize,
    patience: Duration,
}

/// The part of the time of the last group that the next one is waited for.
const PATIENCE: u32 = 4;
/// The longest that it is waited for, also after the disk has hung.
const PATIENCE_MOST: Duration = Duration::from_millis(5);

impl Writer {
    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        // Should this thread panic, nobody may wait for it for ever.
        let _guard = Abandon { queue: self.queue.clone(), path: self.path.clone() };
        if !self.pieces.is_empty() {
            // So that those who load the jobs that go on now do not each read all of it.
            self.empty_recent();
        }
        while let Some(group) = self.queue.take(self.pace.tasks, self.pace.patience) {
            self.write(group);
            // All of this comes after everybody has been told.
            if self.pieces.is_enough() {
                self.empty_recent();
            }
            if self.wal.is_long() {
                self.checkpoint("PRAGMA wal_checkpoint(passive)");
            }
        }
    }

    fn write(&mut self, group: Group) {
        let Group { mut entries, lost } = group;
        self.lost.add(lost);
        self.places.tidy();
        let start = Instant::now();
        let written = self.transaction(&mut entries);
        let told = entries.iter().filter(|entry| matches!(entry, Entry::Task(_))).count();
        self.pace = Pace {
            tasks: self.queue.tasks().saturating_add(told),
            patience: (start.elapsed() / PATIENCE).min(PATIENCE_MOST),
        };
        match written {
            Ok(()) => tasks(entries).for_each(|task| finish(task, Ok(()))),
            Err(error) => {
                log::debug!("{}: a group of {} was undone: {error}", self.path.display(), entries.len());
                if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
                    // The log that starts over has room, even where the disk has none; and what it had may be what is missing.
                    self.checkpoint("PRAGMA wal_checkpoint(truncate)");
                }
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

    /// Moves what is in the write-ahead log into the database, so that it starts over. As long as somebody reads an older
    /// state, it can't, and is tried again after the next group.
    fn checkpoint(&mut self, how: &str) {
        let moved = self.connection.prepare_cached(how);
        if let Err(error) = moved.and_then(|mut moved| moved.query_row([], |_| Ok(()))) {
            log::warn!("{}: the write-ahead log stays as long as it is: {error}", self.path.display());
        }
        self.wal.fit();
    }

    /// Tidies the journals up. Whether that works or not, nothing is lost.
    fn empty_recent(&mut self) {
        if let Err(error) = self.write_all(Sync::Lazy, |writing, _| writing.empty_recent()) {
            log::warn!("{}: can't tidy the journals up: {error}", self.path.display());
            self.pieces.put_off();
        }
    }

    /// Writes all of it, or nothing.
    fn transaction(&mut self, entries: &mut [Entry]) -> rusqlite::Result<()> {
        let has_task = entries.iter().any(|entry| matches!(entry, Entry::Task(_)));
        let sync = if has_task { Sync::Full } else { Sync::Lazy };
        self.write_all(sync, |writing, lost| {
            entries.iter_mut().try_for_each(|entry| match entry {
                Entry::Task(task) => task.apply(writing),
                Entry::Line(line) => writing.append(line, lost),
            })
        })
    }

    fn write_all(
        &mut self,
        sync: Sync,
        apply: impl FnOnce(&mut Writing<'_>, &mut Lost) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let before = self.pieces.counts();
        let written = self
            .begin(sync)
            .and_then(|()| {
                let mut writing = Writing {
                    connection: &self.connection,
                    places: &mut self.places,
                    pieces: &mut self.pieces,
                    options: &self.options,
                };
                apply(&mut writing, &mut self.lost)?;
                writing.write_recent()
            })
            .and_then(|()| self.execute("COMMIT"));
        match &written {
            Ok(()) => self.lost.counted(),
            Err(_) => {
                // What is remembered is of the transaction that is undone.
                self.places.clear();
                self.pieces.undo(before);
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
