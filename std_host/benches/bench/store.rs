//! Durable checkpoints: `SqliteStore` beside SQLite alone, with as many in one transaction as wait, and with one in each.
//!
//! Each job asks for its next checkpoint once the one before is durable, as jobs do. Times are by the clock on the wall,
//! for they are mostly the disk's.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use std_host::store::{SqliteStore, StoreOptions, wait};
use tempfile::TempDir;
use toehold::{Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, Limits, Priority, Report, Uuid};

use crate::rounds::{Effort, Variant, compare};

const JOBS: [usize; 3] = [1, 10, 100];
const STATES: [usize; 2] = [1 << 10, 64 << 10];
/// What the journal gets with a checkpoint: that it was durable.
const JOURNAL_BYTES: usize = 25;
/// No two checkpoints of a job in a row have the same bytes.
const DIFFERENT: u8 = 4;

/// The most that wait is taken into one transaction, as in the store.
const GROUP_BYTES: usize = 8 << 20;

pub(crate) fn ratios(effort: Effort) {
    println!("\n## store: durable checkpoints per second\n");
    println!(
        "| state | jobs | one fsync each | SQLite, groups | store | to SQLite | quartiles | to one each |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for bytes in STATES {
        for jobs in JOBS {
            row(effort, bytes, jobs);
        }
    }
}

fn row(effort: Effort, bytes: usize, jobs: usize) {
    let count = effort.pick(jobs, jobs.max(10) * if bytes > 10_000 { 10 } else { 150 });
    let folders: [TempDir; 3] = std::array::from_fn(|_| tempfile::tempdir().expect("a folder"));
    let commits: Vec<Arc<Commit>> = (0..DIFFERENT).map(|fill| commit(fill, bytes)).collect();
    let blobs: Vec<Arc<Vec<u8>>> = commits
        .iter()
        .map(|commit| Arc::new(commit.checkpoint.as_ref().expect("it has one").encode()))
        .collect();
    let raw = Raw::open(folders[0].path());
    let single = database(folders[1].path());
    let store = store(folders[2].path(), jobs, bytes);
    let variants = vec![
        Variant::timed("SQLite, groups", || {
            drive(jobs, count, |job, turn, done| raw.put(job, blobs[turn % blobs.len()].clone(), done))
        }),
        Variant::timed("one fsync each", || {
            let start = Instant::now();
            for turn in 0..count {
                upsert(&single, turn % jobs, &blobs[turn / jobs % blobs.len()]);
            }
            start.elapsed()
        }),
        Variant::timed("store", || {
            drive(jobs, count, |job, turn, done| {
                let change = Change { record: None, commit: Some(commits[turn % commits.len()].clone()) };
                store.change(id(job), &change, move |result| {
                    result.expect("there is room");
                    done(job);
                });
            })
        }),
    ];
    let summaries = compare(effort.pick(1, 21), variants);
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    let [grouped, each, store] = summaries.as_slice() else { unreachable!("three variants") };
    // The ratios are of times to those of SQLite in groups.
    let [low, median, high] = store.ratio.map(|ratio| 1.0 / ratio);
    println!(
        "| {} KiB | {jobs} | {:.0} | {:.0} | {:.0} | **{median:.2}** | {high:.2} – {low:.2} | **{:.1}** |",
        bytes >> 10,
        rate(each.time),
        rate(grouped.time),
        rate(store.time),
        each.ratio[1] / store.ratio[1],
    );
}

type Done = Box<dyn FnOnce(usize) + Send>;

/// Has all jobs write, each its next once the one before is durable, until `count` are.
fn drive(jobs: usize, count: usize, write: impl Fn(usize, usize, Done)) -> Duration {
    let (tell, told) = mpsc::channel();
    let mut turns = vec![0; jobs];
    let start = Instant::now();
    let mut ask = |job: usize| {
        let tell = tell.clone();
        turns[job] += 1;
        write(job, turns[job], Box::new(move |job| tell.send(job).expect("somebody listens")));
    };
    (0..jobs).for_each(&mut ask);
    for _ in jobs..count {
        let job = told.recv().expect("an answer");
        ask(job);
    }
    for _ in 0..jobs {
        told.recv().expect("an answer");
    }
    start.elapsed()
}

fn id(job: usize) -> Uuid {
    Uuid::from_u128(0x70e << 64 | job as u128)
}

fn commit(fill: u8, bytes: usize) -> Arc<Commit> {
    let checkpoint = Checkpoint {
        job_id: id(0),
        library: None,
        extension: "example".to_owned(),
        extension_version: "1.0.0".to_owned(),
        state_version: 0,
        module_hash: [7; 32],
        job: "count".to_owned(),
        sequence: u64::from(fill),
        calls: 0,
        fuel_used: 1 << 30,
        limits: Limits::default().noticed(),
        report: Report::default(),
        state: vec![fill; bytes],
    };
    Arc::new(Commit::new(vec![fill; JOURNAL_BYTES], Some(checkpoint)))
}

fn store(folder: &Path, jobs: usize, bytes: usize) -> SqliteStore {
    let store = SqliteStore::open(folder, StoreOptions::default()).expect("the store opens");
    for job in 0..jobs {
        let record = JobRecord {
            job: "example:count".to_owned(),
            module_hash: [7; 32],
            library: None,
            parent: None,
            state: JobState::Running,
            wanted: Interrupt::None,
            priority: Priority::Normal,
            reason: None,
            attempt: 1,
            attempts: 1,
            retry_at: None,
            sleep: None,
            created_at: 0,
            started_at: None,
            ended_at: None,
            report: Report::default(),
            fuel_used: 0,
            last_words: None,
        };
        let change = Change { record: Some(record), commit: Some(commit(0, bytes)) };
        wait(&store, |done| store.change(id(job), &change, done)).expect("there is room");
    }
    store
}

/// A job, what it writes, and who is told.
type Asked = (usize, Arc<Vec<u8>>, Done);

/// SQLite with a thread that writes, and nothing else.
struct Raw {
    queue: Option<mpsc::Sender<Asked>>,
    writer: Option<JoinHandle<()>>,
}

impl Raw {
    fn open(folder: &Path) -> Self {
        let database = database(folder);
        let (queue, waiting) = mpsc::channel::<Asked>();
        let writer = std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let mut bytes = first.1.len();
                let mut group = vec![first];
                while bytes < GROUP_BYTES {
                    let Ok(next) = waiting.try_recv() else { break };
                    bytes += next.1.len();
                    group.push(next);
                }
                database.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
                for (job, bytes, _) in &group {
                    upsert(&database, *job, bytes);
                }
                database.execute_batch("COMMIT").expect("a transaction");
                for (job, _, done) in group {
                    done(job);
                }
            }
        });
        Self { queue: Some(queue), writer: Some(writer) }
    }

    fn put(&self, job: usize, bytes: Arc<Vec<u8>>, done: Done) {
        let queue = self.queue.as_ref().expect("it is open");
        assert!(queue.send((job, bytes, done)).is_ok(), "it writes");
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.queue = None;
        self.writer.take().map(JoinHandle::join);
    }
}

fn database(folder: &Path) -> Connection {
    let database = Connection::open(folder.join("raw.db")).expect("a database");
    database
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
            CREATE TABLE checkpoints (job INTEGER PRIMARY KEY, bytes BLOB)",
        )
        .expect("a table");
    database
}

fn upsert(database: &Connection, job: usize, bytes: &[u8]) {
    database
        .prepare_cached(
            "INSERT INTO checkpoints VALUES (?1, ?2) ON CONFLICT (job) DO UPDATE SET bytes = excluded.bytes",
        )
        .and_then(|mut statement| statement.execute((job as i64, bytes)))
        .expect("it is written");
}

#[divan::bench(args = STATES)]
fn checkpoint_of_one_job(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path(), 1, bytes);
    let commits: Vec<_> = (0..DIFFERENT).map(|fill| commit(fill, bytes)).collect();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let change = Change { record: None, commit: Some(commits[turn % commits.len()].clone()) };
        wait(&store, |done| store.change(id(0), &change, done)).expect("there is room");
    });
}
