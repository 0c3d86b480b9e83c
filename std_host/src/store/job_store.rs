//! What a job manager needs of the place where its jobs are kept.

use std::fmt;

use toehold::{Change, Interrupt, JobState, LogLevel, Saved, UnixMillis, Uuid};

use super::{Effect, KvEntry, KvError, KvQuota, KvValue, SqliteStore, StoreError, StoredModule};

/// Gets to know what came of something, once that is durable or has failed. It must be short, and wait for nothing.
pub(crate) type Done<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// Where the jobs of a manager are kept, with all that belongs to them: the database of its data folder, or a place that many
/// managers share.
///
/// What changes something is durable once its `done` says so, as with [`toehold::Store`]; changes of one job are made in the
/// order in which they are given. In a place that is shared, a manager changes only jobs that are its own, and hears
/// [`StoreError::Lost`] of one that is another's by now: then nothing was changed.
pub(crate) trait JobStore: fmt::Debug + Send + Sync {
    /// Makes changes of a job durable, in order and as a whole. The first one of a job makes it, and needs a record and a
    /// checkpoint.
    fn change(&self, job: Uuid, changes: &[Change], done: Done<(), StoreError>);

    /// Removes all that there is of a job.
    fn remove(&self, job: Uuid, done: Done<(), StoreError>);

    /// All that there is of a job. Where the place is shared, of one that is this manager's.
    fn load(&self, job: Uuid) -> Result<Option<Saved>, StoreError>;

    /// The jobs that a job has dispatched.
    fn children(&self, parent: Uuid) -> Result<Vec<Uuid>, StoreError>;

    /// How a job stands, by its record, if it is there and that can be read.
    fn state(&self, job: Uuid) -> Option<JobState>;

    /// As [`SqliteStore::kv_put`].
    fn kv_put(&self, of: KvKey, value: Vec<u8>, effect: Effect, quota: KvQuota, done: Done<u64, KvError>);

    /// As [`SqliteStore::kv_delete`].
    fn kv_delete(&self, of: KvKey, effect: Effect, done: Done<bool, KvError>);

    /// A key's value, if there is one.
    fn kv_get(&self, of: KvKey, done: Done<Option<KvValue>, StoreError>);

    /// An extension's keys that start with `prefix` and come behind `after`, in the order of their bytes, at most `limit`.
    fn kv_list(&self, of: KvList, done: Done<Vec<KvEntry>, StoreError>);

    /// Keeps a module for those who go on with its jobs.
    fn keep_module(&self, module: StoredModule, done: Done<(), StoreError>);

    /// Lets all managers install a module that was installed here, where the place is shared. `schemas` are those that its
    /// package would have.
    fn publish(&self, module: StoredModule, schemas: Vec<u8>, done: Done<(), StoreError>) {
        let _ = (module, schemas);
        done(Ok(()));
    }

    /// Notes that something happened to a job. Nobody waits for it.
    fn note_event(&self, job: Uuid, at: UnixMillis, kind: &str, data: &str);

    /// Notes what a job has logged. Nobody waits for it.
    fn note_line(&self, job: Uuid, at: UnixMillis, level: LogLevel, text: &str);

    /// Whether other managers have jobs there too.
    fn is_shared(&self) -> bool {
        false
    }

    /// Asks something of a job that is not this manager's, in a place that is shared.
    fn steer(&self, job: Uuid, wanted: Interrupt, done: Done<(), StoreError>) {
        let _ = wanted;
        done(Err(StoreError::NoSuchJob { job }));
    }
}

/// A key of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvKey {
    pub(crate) extension: String,
    pub(crate) key: String,
}

/// Keys of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvList {
    pub(crate) extension: String,
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl JobStore for SqliteStore {
    fn change(&self, job: Uuid, changes: &[Change], done: Done<(), StoreError>) {
        match changes {
            [change] => SqliteStore::change(self, job, change, done),
            changes => self.change_all(job, changes, done),
        }
    }

    fn remove(&self, job: Uuid, done: Done<(), StoreError>) {
        SqliteStore::remove(self, job, done);
    }

    fn load(&self, job: Uuid) -> Result<Option<Saved>, StoreError> {
        self.reader().load(job)
    }

    fn children(&self, parent: Uuid) -> Result<Vec<Uuid>, StoreError> {
        Ok(self.reader().children(parent)?.into_iter().map(|child| child.id).collect())
    }

    fn state(&self, job: Uuid) -> Option<JobState> {
        match self.reader().record(job) {
            Ok(Some(Ok(record))) => Some(record.state),
            _ => None,
        }
    }

    fn kv_put(&self, of: KvKey, value: Vec<u8>, effect: Effect, quota: KvQuota, done: Done<u64, KvError>) {
        SqliteStore::kv_put(self, &of.extension, &of.key, value, Some(effect), quota, done);
    }

    fn kv_delete(&self, of: KvKey, effect: Effect, done: Done<bool, KvError>) {
        SqliteStore::kv_delete(self, &of.extension, &of.key, Some(effect), done);
    }

    fn kv_get(&self, of: KvKey, done: Done<Option<KvValue>, StoreError>) {
        done(self.reader().kv_get(&of.extension, &of.key));
    }

    fn kv_list(&self, of: KvList, done: Done<Vec<KvEntry>, StoreError>) {
        let KvList { extension, prefix, after, limit } = of;
        done(self.reader().kv_list(&extension, &prefix, after.as_deref(), limit));
    }

    fn keep_module(&self, module: StoredModule, done: Done<(), StoreError>) {
        self.put_module(module, move |added| done(added.map(|_| ())));
    }

    fn note_event(&self, job: Uuid, at: UnixMillis, kind: &str, data: &str) {
        self.append_event(job, at, kind, data);
    }

    fn note_line(&self, job: Uuid, at: UnixMillis, level: LogLevel, text: &str) {
        self.append_log(job, at, level, text);
    }
}
