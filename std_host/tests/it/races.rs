//! What is asked of jobs at unlucky moments.

use std::{fs, future::Future, thread};

use serde_json::json;
use std_host::manager::Dispatch;
use toehold::JobState;

use crate::{
    jobs::{Data, block_on, dispatch, wait_for_items},
    support::{Folder, manifest, module},
};

#[test]
fn a_job_runs_though_nobody_waits_for_its_dispatch() {
    let data = Data::new();
    let manager = data.open();
    let id = toehold::Uuid::from_u128(99);
    let state = br#"{"target":5}"#.to_vec();
    {
        let mut dispatch = Box::pin(
            manager
                .dispatch("test-extension:counter", Dispatch { id: Some(id), state, ..Dispatch::default() }),
        );
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        // It is given to the store, and then the caller goes away.
        let _ = dispatch.as_mut().poll(&mut nobody);
    }
    assert_eq!(block_on(manager.job(id).unwrap().wait()).state, JobState::Completed);
}

#[test]
fn a_pause_takes_no_cancel_back() {
    let data = Data::new();
    let manager = data.open();
    for _ in 0..20 {
        let job = dispatch(&manager, "spin", &json!({ "rounds": 1_000_000_000_000_u64 }));
        block_on(job.cancel()).unwrap();
        // It may be over already.
        let _ = block_on(job.pause());
        assert_eq!(block_on(job.wait_until_stopped()).state, JobState::Cancelled);
    }
}

#[test]
fn a_cancelled_job_can_still_be_exported_and_replayed() {
    let data = Data::new();
    let manager = data.open();
    for items in 5..25 {
        let job = dispatch(&manager, "tally", &json!({ "target": 100_000, "prefix": items.to_string() }));
        wait_for_items(&job, items);
        block_on(job.cancel()).unwrap();
        assert_eq!(block_on(job.wait()).state, JobState::Cancelled);
        let bundle = manager.export(job.id(), false).unwrap();
        toehold::Bundle::decode(&bundle.encode()).unwrap();
    }
}

#[test]
fn a_long_line_of_descendants_is_cancelled() {
    let data = Data::new();
    let manager = data.open();
    let state = json!({ "ms": 3_600_000 });
    let root = dispatch(&manager, "nap", &state);
    let mut parent = root.id();
    let mut last = root.clone();
    for _ in 0..600 {
        let state = state.to_string().into_bytes();
        let child = Dispatch { parent: Some(parent), state, ..Dispatch::default() };
        last = block_on(manager.dispatch("test-extension:nap", child)).unwrap();
        parent = last.id();
    }
    // As deep as this, a call for each would not fit.
    let cancel = move || block_on(root.cancel()).unwrap();
    std::thread::Builder::new().stack_size(256 << 10).spawn(cancel).unwrap().join().unwrap();
    assert_eq!(block_on(last.wait()).state, JobState::Cancelled);
}

#[test]
fn events_end_with_the_job_whatever_number_one_asks_for() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "counter", &json!({ "target": 300 }));
    // As after a crash that has lost the last ones.
    let mut events = block_on(job.events(1_000)).unwrap();
    block_on(job.wait());
    while block_on(events.next()).unwrap().is_some() {}
}

/// Of those who install one extension at once each comes through, one after the other, and what is there at the end is whole.
#[test]
fn installs_of_one_extension_at_once_follow_each_other() {
    let data = Data::new();
    let manager = data.open();
    let folder = Folder::new();
    let sources: Vec<_> = (1..=8)
        .map(|version| {
            let manifest =
                manifest("a").replace("\"version\": \"1\"", &format!("\"version\": \"{version}\""));
            let wasm = wat::parse_str(module("(i32.const 0)")).unwrap();
            folder.add_files(&format!("source-{version}"), &manifest, &wasm)
        })
        .collect();
    for _ in 0..10 {
        thread::scope(|scope| {
            for source in &sources {
                scope.spawn(|| manager.add_extension(source).unwrap());
            }
        });
        let loaded = manager.extensions().get("a").unwrap();
        let written = fs::read_to_string(data.path().join("extensions/a/manifest.json")).unwrap();
        let version = loaded.extension().manifest().version();
        assert!(
            written.contains(&format!("\"version\": \"{version}\"")),
            "{version} is not that of {written}"
        );
        let names: Vec<_> = fs::read_dir(data.path().join("extensions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "test-extension")
            .collect();
        assert_eq!(names, ["a"], "nothing is left of those that came before");
    }
}
