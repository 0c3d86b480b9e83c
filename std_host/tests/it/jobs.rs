//! Jobs of the manager: their ways from state to state, through restarts.

use std::{future::Future, path::Path};

use serde_json::{Value, json};
use std_host::{
    manager::{Dispatch, JobHandle, JobStatus, Manager, ManagerConfig},
    store::{JobFilter, ListOrder},
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
    assert_eq!(listed, [status.clone()]);
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
