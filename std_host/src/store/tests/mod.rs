mod effects;
mod full;
mod groups;
mod history;
mod jobs;
mod kill;
mod lists;
mod modules;
mod opening;
mod retention;

use std::sync::{Arc, mpsc};

use tempfile::TempDir;
use toehold::{
    Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, Limits, LogLevel, Priority, Report, Saved,
    Store, Uuid, conformance::PowerStore,
};

use super::{
    Cap, KvError, KvQuota, Listed, Retention, SqliteStore, StoreError, StoreOptions, StoredModule, wait,
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(folder: &TempDir) -> SqliteStore {
    open_with(folder, StoreOptions::default())
}

fn open_with(folder: &TempDir, options: StoreOptions) -> SqliteStore {
    SqliteStore::open(folder.path(), options).expect("the store opens")
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A record as it may stand in a store.
pub(crate) fn record(job: &str, state: JobState) -> JobRecord {
    JobRecord {
        job: job.to_owned(),
        module_hash: [7; 32],
        library: None,
        parent: None,
        state,
        wanted: Interrupt::None,
        priority: Priority::Normal,
        reason: None,
        attempt: 1,
        attempts: 1,
        retry_at: None,
        sleep: None,
        created_at: 1_000,
        started_at: None,
        ended_at: state.is_final().then_some(2_000),
        report: Report::default(),
        fuel_used: 0,
        last_words: None,
    }
}

fn checkpoint(job: Uuid, sequence: u64, calls: u64, state: &[u8]) -> Checkpoint {
    Checkpoint {
        job_id: job,
        library: None,
        extension: "example".to_owned(),
        extension_version: "1.0.0".to_owned(),
        state_version: 0,
        module_hash: [7; 32],
        job: "count".to_owned(),
        sequence,
        calls,
        fuel_used: 0,
        limits: Limits::default().noticed(),
        report: Report::default(),
        state: state.to_vec(),
    }
}

fn first(job: Uuid, record: JobRecord) -> Change {
    Change { record: Some(record), commit: Some(Arc::new(Commit::first(checkpoint(job, 0, 0, b"start")))) }
}

fn commit(journal: &[u8], checkpoint: Option<Checkpoint>) -> Change {
    Change { record: None, commit: Some(Arc::new(Commit::new(journal.to_vec(), checkpoint))) }
}

fn new_run(journal: &[u8], checkpoint: Option<Checkpoint>) -> Change {
    let mut commit = Commit::new(journal.to_vec(), checkpoint);
    commit.new_run = true;
    Change { record: None, commit: Some(Arc::new(commit)) }
}

fn change(store: &SqliteStore, job: Uuid, change: &Change) -> Result<(), StoreError> {
    wait(store, |done| store.change(job, change, done))
}

/// Dispatches a job that then is in this state.
fn dispatch(store: &SqliteStore, number: u128, state: JobState) -> Uuid {
    change(store, id(number), &first(id(number), record("example:count", state))).expect("there is room");
    id(number)
}

/// xorshift64: the same in each run of a test.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Keeps the writer busy until what it gives is dropped, so that all that comes waits for one group.
fn hold(store: &SqliteStore) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    store.ask(
        0,
        |_: Result<(), StoreError>| {},
        move |_| {
            // Whoever holds it may have gone already.
            let _ = tell.send(());
            let _ = released.recv();
            Ok(Ok(()))
        },
    );
    told.recv().expect("the writer has come to it");
    release
}

fn load(store: &SqliteStore, job: Uuid) -> Saved {
    store.reader().load(job).expect("it can be read").expect("it is there")
}
