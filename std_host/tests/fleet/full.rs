//! A stream of jobs that has no room.

use serde_json::json;
use std_host::manager::Dispatch;
use toehold::JobState;

use crate::{
    servers::{Servers, Stream},
    workers::{Desk, Worker},
};

#[test]
fn jobs_stand_still_while_there_is_no_room_and_go_on_once_one_is_removed() {
    let servers = Servers::start(1);
    let config = servers.config("room");
    let desk = Desk::with_extension(&config);
    let _worker = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let manager = desk.client.manager();
    // It fails at once, and is kept.
    let state = json!({ "message": "x".repeat(200_000) }).to_string().into_bytes();
    let dispatch = Dispatch { state, attempts: Some(1), ..Dispatch::default() };
    let old = desk.runtime.block_on(manager.dispatch("test-extension:crash", dispatch)).unwrap().id();
    desk.wait(old, &[JobState::Failed]);
    let job = desk.dispatch("tally", &json!({ "target": 1_000_000, "pace_ms": 1 }));
    desk.wait(job, &[JobState::Running]);

    Stream::open(&servers, "ROOM_JOBS").fill();
    desk.wait(job, &[JobState::Paused]);
    let status = || manager.job(job).unwrap().status();
    let reason = status().reason.unwrap();
    assert!(reason.contains("the fleet has no room"), "{reason}");
    // Who looks only now sees the same.
    let late = Desk::open(&config);
    assert_eq!(late.state(job), JobState::Paused);
    let new = desk.runtime.block_on(manager.dispatch("test-extension:counter", Dispatch::default()));
    let error = new.unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");

    let items = desk.items(job);
    desk.runtime.block_on(manager.remove(old)).unwrap();
    desk.wait(job, &[JobState::Running]);
    while desk.items(job) <= items + 20 {
        std::thread::yield_now();
    }
    assert_eq!(late.wait(job, &[JobState::Running]), JobState::Running);
    assert_eq!(status().reason, None);
    for desk in [&desk, &late] {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while desk.client.manager().job(old).is_ok() {
            assert!(std::time::Instant::now() < until, "it is still shown");
            std::thread::yield_now();
        }
    }
    desk.runtime.block_on(manager.job(job).unwrap().cancel()).unwrap();
    desk.wait(job, &[JobState::Cancelled]);
}
