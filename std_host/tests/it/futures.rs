//! Operations that are futures: they hold no thread, end with their job's cancelling and with their host, and work in each
//! host.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use serde_json::json;
use std_host::{
    AsyncContext, Operations,
    manager::{Dispatch, JobHandle, Manager, ManagerConfig},
};
use toehold::{JobState, Outcome};
use tokio::sync::Barrier;

use crate::{
    jobs::block_on,
    support::{Folder, TestHost, caller, permitted},
};

/// An extension whose job `go` calls `action:wait`.
fn waiter(folder: &Folder) -> std::path::PathBuf {
    let limits = json!({ "rate_limits": { "concurrent_jobs": 1_000, "requests_per_minute": 100_000 } });
    let wasm = wat::parse_str(caller("action:wait", "7")).unwrap();
    folder.add_files("a", &permitted(&limits), &wasm)
}

fn manager(folder: &Folder, operations: Operations) -> Manager {
    let config = ManagerConfig { operations, workers: 2, ..ManagerConfig::new(folder.path().join("data")) };
    let manager = Manager::open(config).unwrap();
    manager.add_extension(&waiter(folder)).unwrap();
    manager
}

fn dispatch(manager: &Manager) -> JobHandle {
    block_on(manager.dispatch("a:go", Dispatch::default())).unwrap()
}

/// Tells when it is dropped.
struct Dropped(Sender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// An operation that tells when it is begun and when it is dropped, and never ends.
fn endless() -> (Operations, Receiver<&'static str>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let mut operations = Operations::empty();
    let wait = move |_: AsyncContext, _: u32| {
        let tell = tell.lock().unwrap().clone();
        async move {
            tell.send("begun").unwrap();
            let _dropped = Dropped(tell);
            pending::<Result<(), String>>().await
        }
    };
    operations.register_async("action:wait", wait).unwrap();
    (operations, told)
}

#[test]
fn more_futures_wait_at_a_time_than_there_may_be_threads() {
    // Tokio has 512 threads for what blocks.
    const JOBS: usize = 600;
    let all = Arc::new(Barrier::new(JOBS));
    let mut operations = Operations::empty();
    let wait = move |_: AsyncContext, input: u32| {
        let all = all.clone();
        async move {
            all.wait().await;
            Ok::<_, String>(input)
        }
    };
    operations.register_async("action:wait", wait).unwrap();
    let folder = Folder::new();
    let manager = manager(&folder, operations);
    let jobs: Vec<_> = (0..JOBS).map(|_| dispatch(&manager)).collect();
    for job in jobs {
        assert_eq!(block_on(job.wait()).state, JobState::Completed);
    }
}

#[test]
fn a_job_that_is_cancelled_does_not_wait_for_its_future() {
    let (operations, told) = endless();
    let folder = Folder::new();
    let manager = manager(&folder, operations);
    let job = dispatch(&manager);
    assert_eq!(told.recv(), Ok("begun"));
    block_on(job.cancel()).unwrap();
    assert_eq!(block_on(job.wait()).state, JobState::Cancelled);
    assert_eq!(told.recv(), Ok("dropped"));
}

#[test]
fn a_future_is_dropped_with_its_manager_and_begun_again_by_the_next() {
    let (operations, told) = endless();
    let folder = Folder::new();
    let first = manager(&folder, operations.clone());
    dispatch(&first);
    assert_eq!(told.recv(), Ok("begun"));
    drop(first);
    assert_eq!(told.recv(), Ok("dropped"));
    let config = ManagerConfig { operations, ..ManagerConfig::new(folder.path().join("data")) };
    let next = Manager::open(config).unwrap();
    assert_eq!(told.recv(), Ok("begun"));
    drop(next);
    assert_eq!(told.recv(), Ok("dropped"));
}

#[test]
fn a_host_without_a_store_carries_out_futures_too() {
    let mut operations = Operations::empty();
    let wait = |context: AsyncContext, input: u32| async move {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        Ok::<_, String>(json!({ "input": input, "of": context.get().extension() }))
    };
    operations.register_async("action:wait", wait).unwrap();
    let folder = Folder::new();
    let test = TestHost::with(|config| config.operations = operations);
    test.host.extensions().load(&waiter(&folder)).unwrap();
    let ended = test.dispatch("a:go", "").wait();
    assert_eq!(ended.outcome, Outcome::Completed);
    assert_eq!(ended.log_tail.last().unwrap().text, r#"{"input":7,"of":"a"}"#);
}

#[test]
fn a_host_without_a_store_drops_the_future_of_a_job_that_is_cancelled() {
    let (operations, told) = endless();
    let folder = Folder::new();
    let test = TestHost::with(|config| config.operations = operations);
    test.host.extensions().load(&waiter(&folder)).unwrap();
    let job = test.dispatch("a:go", "");
    assert_eq!(told.recv(), Ok("begun"));
    job.cancel();
    assert_eq!(job.wait().outcome, Outcome::Cancelled);
    assert_eq!(told.recv(), Ok("dropped"));
}
