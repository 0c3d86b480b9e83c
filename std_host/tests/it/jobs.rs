//! Jobs of the manager: their ways from state to state, through restarts.

use std::{future::Future, path::Path};

use serde_json::{Value, json};
use std_host::{
    manager::{Dispatch, JobHandle, JobStatus, Manager, ManagerConfig},
    store::{JobFilter, ListOrder, Retention},
};
use tempfile::TempDir;
use toehold::JobState;

use crate::support::root;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A manager's data folder, with the test extension in it.
pub(crate) struct Data(pub(crate) TempDir);

impl Data {
    pub(crate) fn new() -> Self {
        crate::support::log_to_stdout();
        let data = Self(tempfile::tempdir().unwrap());
        data.open().add_extension(&root().join("test-extension")).unwrap();
        data
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> ManagerConfig {
        ManagerConfig { workers: 2, backoff_ms: 1, ..ManagerConfig::new(self.path()) }
    }

    pub(crate) fn open(&self) -> Manager {
        self.open_with(|_| {})
    }

    pub(crate) fn open_with(&self, change: impl FnOnce(&mut ManagerConfig)) -> Manager {
        let mut config = self.config();
        change(&mut config);
        Manager::open(config).unwrap()
    }
}

pub(crate) fn dispatch(manager: &Manager, job: &str, state: &Value) -> JobHandle {
    let state = state.to_string().into_bytes();
    block_on(manager.dispatch(&format!("test-extension:{job}"), Dispatch { state, ..Dispatch::default() }))
        .unwrap()
}

pub(crate) fn run(manager: &Manager, job: &str, state: &Value) -> JobStatus {
    block_on(dispatch(manager, job, state).wait())
}

/// The keys of an extension that start so, with how often each was put, and what is there.
pub(crate) fn kv(manager: &Manager, prefix: &str) -> Vec<(String, u64, Value)> {
    let reader = manager.reader();
    let keys = reader.kv_list("test-extension", prefix, None, 100_000).unwrap();
    keys.into_iter()
        .map(|entry| {
            let value = reader.kv_get("test-extension", &entry.key).unwrap().unwrap().value;
            (entry.key, entry.version, serde_json::from_slice(&value).unwrap())
        })
        .collect()
}

#[test]
fn a_job_runs_to_its_end_and_is_listed() {
    let data = Data::new();
    let manager = data.open();
    let status = run(&manager, "counter", &json!({ "target": 25 }));
    assert_eq!((status.state, status.report.items), (JobState::Completed, 25), "{status:?}");
    let (listed, _) = manager.list(&JobFilter::default(), ListOrder::default(), None, 10).unwrap();
    assert_eq!(listed, std::slice::from_ref(&status));
    assert_eq!(manager.job(status.job_id).unwrap().status(), status);
}

#[test]
fn each_job_of_the_test_extension_ends_as_it_should() {
    let data = Data::new();
    let manager = data.open();
    let status = run(&manager, "tally", &json!({ "target": 30, "pace_ms": 1 }));
    assert_eq!((status.state, status.report.items), (JobState::Completed, 30), "{status:?}");
    assert_eq!(kv(&manager, "tally/").len(), 30);
    assert_eq!(run(&manager, "draw", &json!({})).state, JobState::Completed);
    assert_eq!(kv(&manager, "draw/").len(), 20);
    assert_eq!(run(&manager, "nap", &json!({ "ms": 2 })).state, JobState::Completed);
    let flaky = run(&manager, "flaky", &json!({ "fail_times": 2 }));
    assert_eq!((flaky.state, flaky.attempt), (JobState::Completed, 3), "{flaky:?}");
    let crash = run(&manager, "crash", &json!({}));
    assert_eq!((crash.state, crash.attempt), (JobState::Failed, 3));
    let last = crash.last_words.unwrap();
    assert!(last.last_error.unwrap().contains("this job always panics"));
    assert!(last.fault && last.memory_bytes > 0 && !last.log_tail.is_empty());
}

/// Waits until a job has so many items.
pub(crate) fn wait_for_items(job: &JobHandle, items: u64) {
    loop {
        let status = job.status();
        if status.report.items >= items {
            return;
        }
        assert!(!status.state.is_final(), "the job is over: {status:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_job_is_paused_and_goes_on_also_after_a_restart() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "tally", &json!({ "target": 300 }));
    wait_for_items(&job, 20);
    block_on(job.pause()).unwrap();
    let paused = block_on(job.wait_until_stopped());
    assert_eq!(paused.state, JobState::Paused, "{paused:?}");
    assert!(paused.report.items < 300);
    drop((manager, job));

    let manager = data.open();
    let job = manager.job(paused.job_id).unwrap();
    assert_eq!(job.status().state, JobState::Paused, "what was paused stays paused");
    block_on(job.resume()).unwrap();
    let status = block_on(job.wait());
    assert_eq!((status.state, status.report.items), (JobState::Completed, 300), "{status:?}");
    let puts = kv(&manager, "tally/");
    assert!(puts.len() == 300 && puts.iter().all(|(_, version, _)| *version == 1));
}

#[test]
fn what_ran_runs_again_after_a_restart() {
    let data = Data::new();
    let mut manager = data.open();
    let jobs: Vec<_> = (0..8)
        .map(|_| dispatch(&manager, "tally", &json!({ "target": 60, "prefix": "again" })).id())
        .collect();
    for (stop, job) in jobs.iter().enumerate().take(4) {
        wait_for_items(&manager.job(*job).unwrap(), 10 * (stop as u64 + 1));
        drop(manager);
        manager = data.open();
    }
    for id in jobs {
        let status = block_on(manager.job(id).unwrap().wait());
        assert_eq!((status.state, status.report.items), (JobState::Completed, 60), "{status:?}");
    }
    let puts = kv(&manager, "again/");
    assert_eq!(puts.len(), 8 * 60);
    assert!(puts.iter().all(|(_, version, _)| *version == 1), "{puts:?}");
}

#[test]
fn a_job_that_is_never_left_in_peace_ends_all_the_same() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "tally", &json!({ "target": 2_000 }));
    let mut random = 7_u64;
    block_on(async {
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let done = if random >> 63 == 0 { job.pause().await } else { job.resume().await };
            if done.is_err() {
                break;
            }
        }
        // It may be over already.
        let _ = job.resume().await;
    });
    let status = block_on(job.wait());
    assert_eq!((status.state, status.report.items), (JobState::Completed, 2_000), "{status:?}");
    assert!(kv(&manager, "tally/").iter().all(|(_, version, _)| *version == 1));
}

#[test]
fn a_cancelled_parent_takes_its_children_along() {
    let data = Data::new();
    let manager = data.open();
    let state = json!({ "children": 3, "job": "spin", "state": { "rounds": 1_000_000_000_000_u64 } });
    let parent = run(&manager, "family", &state);
    assert_eq!(parent.state, JobState::Completed, "{parent:?}");
    let filter = JobFilter { parent: Some(parent.job_id), ..JobFilter::default() };
    let children = |manager: &Manager| manager.list(&filter, ListOrder::default(), None, 10).unwrap().0;
    assert_eq!(children(&manager).len(), 3);
    assert!(children(&manager).iter().all(|child| !child.state.is_final()));

    let grand = json!({ "children": 1, "job": "spin", "state": { "rounds": 1_000_000_000_000_u64 } });
    let nap = json!({ "ms": 3_600_000 });
    let sleeper = dispatch(&manager, "nap", &nap);
    let child = block_on(manager.dispatch(
        "test-extension:spin",
        Dispatch {
            parent: Some(sleeper.id()),
            state: grand["state"].to_string().into_bytes(),
            ..Dispatch::default()
        },
    ))
    .unwrap();
    block_on(sleeper.cancel()).unwrap();
    assert_eq!(block_on(sleeper.wait()).state, JobState::Cancelled);
    assert_eq!(block_on(child.wait()).state, JobState::Cancelled);
    for child in children(&manager) {
        let child = manager.job(child.job_id).unwrap();
        block_on(child.cancel()).unwrap();
        assert_eq!(block_on(child.wait()).state, JobState::Cancelled);
    }
}

#[test]
fn no_more_jobs_of_an_extension_run_than_its_manifest_allows() {
    let data = Data::new();
    let manifest = data.path().join("extensions/test-extension/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace("\"concurrent_jobs\": 1000", "\"concurrent_jobs\": 2");
    assert!(text.contains(": 2"));
    std::fs::write(&manifest, text).unwrap();
    let manager = data.open();
    let spin = json!({ "rounds": 1_000_000_000_000_u64 });
    let spinning: Vec<_> = (0..2).map(|_| dispatch(&manager, "spin", &spin)).collect();
    for job in &spinning {
        wait_for_items(job, 1);
    }
    let waiting = dispatch(&manager, "counter", &json!({ "target": 5 }));
    assert_eq!(waiting.status().state, JobState::Queued);
    // One that is paused has no place among those that run.
    block_on(spinning[0].pause()).unwrap();
    block_on(spinning[0].wait_until_stopped());
    assert_eq!(block_on(waiting.wait()).state, JobState::Completed);
    let other = dispatch(&manager, "spin", &spin);
    wait_for_items(&other, 1);
    block_on(spinning[0].resume()).unwrap();
    assert_eq!(spinning[0].status().state, JobState::Queued);
    block_on(other.cancel()).unwrap();
    let items = spinning[0].status().report.items;
    wait_for_items(&spinning[0], items + 1);
}

#[test]
fn a_sleep_goes_on_through_a_restart_and_a_clock_that_was_put_back() {
    use toehold::{Change, Sleep};
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "nap", &json!({ "ms": 3_600_000, "naps": 1 })).id();
    let mut events = block_on(manager.job(job).unwrap().events(0)).unwrap();
    block_on(async {
        while manager.job(job).unwrap().status().sleeps_until.is_none() {
            tokio::task::yield_now().await;
        }
        assert!(events.next().await.unwrap().is_some());
    });
    drop((manager, events));
    // As if the sleep had begun long ago, and as if the clock had been put back since.
    for (ms, until) in [(20, 0), (20, u64::MAX)] {
        let store = std_host::SqliteStore::open(data.path(), std_host::StoreOptions::default()).unwrap();
        let mut record = store.reader().record(job).unwrap().unwrap().unwrap();
        let Sleep { call, .. } = record.sleep.unwrap();
        record.sleep = Some(Sleep { call, ms, until });
        record.state = JobState::Running;
        let change = Change { record: Some(record), commit: None };
        std_host::store::wait(&store, |done| store.change(job, &change, done)).unwrap();
        let backup = tempfile::tempdir().unwrap();
        store.close();
        copy(data.path(), backup.path());
        let manager =
            Manager::open(ManagerConfig { data: backup.path().to_owned(), ..data.config() }).unwrap();
        let status = block_on(manager.job(job).unwrap().wait_until_stopped());
        assert_eq!(status.state, JobState::Completed, "{status:?}");
    }
}

#[test]
fn a_clock_that_was_put_back_keeps_no_job_from_its_next_attempt() {
    use toehold::Change;
    let data = Data::new();
    let manager = data.open_with(|config| config.workers = 0);
    let job = dispatch(&manager, "counter", &json!({ "target": 3 })).id();
    drop(manager);
    let store = std_host::SqliteStore::open(data.path(), std_host::StoreOptions::default()).unwrap();
    let mut record = store.reader().record(job).unwrap().unwrap().unwrap();
    // As an attempt that was to come in a thousand years, by the clock of today.
    (record.attempt, record.retry_at) = (2, Some(record.created_at + 31_557_600_000_000));
    let change = Change { record: Some(record), commit: None };
    std_host::store::wait(&store, |done| store.change(job, &change, done)).unwrap();
    store.close();
    let manager = data.open();
    let status = block_on(manager.job(job).unwrap().wait());
    assert_eq!((status.state, status.attempt), (JobState::Completed, 2), "{status:?}");
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

#[test]
fn a_full_store_pauses_jobs_and_they_go_on_when_there_is_room() {
    let data = Data::new();
    let small = std_host::StoreOptions { max_bytes: Some(3 << 20), ..Default::default() };
    let manager = data.open_with(|config| config.store = small);
    let big = json!({ "target": 100_000, "prefix": "x".repeat(400) });
    let jobs: Vec<_> = (0..4).map(|_| dispatch(&manager, "tally", &big)).collect();
    let reason = block_on(async {
        for job in &jobs {
            let status = job.wait_until_stopped().await;
            assert_eq!(status.state, JobState::Paused, "{status:?}");
        }
        jobs[0].status().reason.unwrap()
    });
    assert!(reason.contains("no room"), "{reason}");
    let ids: Vec<_> = jobs.iter().map(JobHandle::id).collect();
    let state = format!("{{{}}}", " ".repeat(900_000)).into_bytes();
    let error = block_on(manager.dispatch("test-extension:tally", Dispatch { state, ..Dispatch::default() }));
    assert!(error.unwrap_err().to_string().contains("no room"));
    drop((jobs, manager));
    // With room they go on, each effect once.
    let manager = data.open();
    for id in ids {
        let job = manager.job(id).unwrap();
        wait_for_items(&job, 500);
        block_on(job.cancel()).unwrap();
        assert_eq!(block_on(job.wait()).state, JobState::Cancelled);
    }
    assert!(kv(&manager, "").iter().all(|(_, version, _)| *version == 1));
}

#[test]
fn who_waits_for_a_job_hears_when_the_manager_goes() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "nap", &json!({ "ms": 3_600_000 }));
    let waiting = std::thread::spawn(move || block_on(job.wait()));
    drop(manager);
    assert!(!waiting.join().unwrap().state.is_final());
}

#[test]
fn a_folder_is_opened_once_and_says_so_inside_of_an_executor_too() {
    let data = Data::new();
    let _manager = data.open();
    let error = block_on(async { Manager::open(data.config()) }).unwrap_err();
    assert!(error.to_string().contains("toehold.lock"), "{error}");
}

#[test]
fn old_jobs_go_when_the_manager_is_opened_however_few_they_are() {
    let data = Data::new();
    let manager = data.open();
    let jobs: Vec<_> = (0..3).map(|_| run(&manager, "counter", &json!({ "target": 1 })).job_id).collect();
    let paused = dispatch(&manager, "nap", &json!({ "ms": 3_600_000 }));
    block_on(paused.pause()).unwrap();
    let paused = paused.id();
    drop(manager);
    let listed = |manager: &Manager| -> Vec<_> {
        let (listed, _) = manager.list(&JobFilter::default(), ListOrder::OldestFirst, None, 10).unwrap();
        listed.into_iter().map(|status| status.job_id).collect()
    };
    let keep = |count| Retention { keep_count: Some(count), keep_ms: None };
    for (retention, left) in [
        (keep(2), vec![jobs[1], jobs[2], paused]),
        (Retention { keep_count: None, keep_ms: Some(0) }, vec![paused]),
    ] {
        // A command that only looks in removes nothing.
        let before = listed(&data.open_with(|config| {
            (config.workers, config.retention) = (0, retention);
        }));
        assert!(before.len() > left.len());
        let manager = data.open_with(|config| config.retention = retention);
        while listed(&manager) != left {
            assert!(left.iter().all(|id| listed(&manager).contains(id)));
            std::thread::yield_now();
        }
    }
}

/// A job that tells how far it is and then sleeps for an hour. Its state is its id.
const SLEEPER: &str = r#"(module
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "action:sleep{\"ms\":3600000}going to bed")
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_rest") (param i32 i32 i32 i32) (result i32)
        (call $progress (local.get 2) (f32.const 0.5) (i32.const 26) (i32.const 12))
        (drop (call $call (i32.const 0) (i32.const 12) (i32.const 0) (i32.const 12) (i32.const 14)))
        (i32.const 0)))"#;

#[test]
fn what_a_job_tells_before_it_waits_is_told_while_it_waits() {
    let folder = crate::support::Folder::new();
    let manifest = r#"{"id": "sleeper", "name": "Sleeper", "version": "1.0.0", "description": "Sleeps", "author": "x",
        "wasm_file": "module.wasm", "permissions": {"methods": ["action:sleep"]}}"#;
    let extension = folder.add_files("sleeper", manifest, &wat::parse_str(SLEEPER).unwrap());
    let data = Data::new();
    let manager = data.open();
    manager.add_extension(&extension).unwrap();
    let id = toehold::Uuid::new_v4();
    let dispatch = Dispatch { id: Some(id), state: id.as_bytes().to_vec(), ..Dispatch::default() };
    let job = block_on(manager.dispatch("sleeper:rest", dispatch)).unwrap();
    let told = block_on(async {
        let mut events = job.events(0).await.unwrap();
        while let Some(event) = events.next().await.unwrap() {
            if let std_host::manager::EventKind::Progress { progress, .. } = event.kind {
                return progress.message;
            }
        }
        panic!("it is over")
    });
    assert_eq!(told, "going to bed");
}
