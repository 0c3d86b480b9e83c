//! A server that writes to its disk before it acknowledges.

use serde_json::json;
use toehold::JobState;

use crate::{
    checkpoints::Checkpoints,
    servers::{Servers, Stream},
    workers::{Desk, Worker, dispatch_all},
};

const JOBS: usize = 30;
/// Effects of each job.
const TARGET: u64 = 20;

/// That it outlives a machine without power nobody can show here; that it outlives its process, and answers in time, this does.
#[test]
fn what_a_server_with_sync_always_has_acknowledged_is_there_after_it_was_killed() {
    let mut servers = Servers::with(1, "sync_interval: always", "");
    let config = servers.config("sync");
    let desk = Desk::with_extension(&config);
    let values = Stream::open(&servers, "SYNC_VALUES");
    // Without a worker: all that there is of them is what was acknowledged.
    let jobs = dispatch_all(&desk, JOBS, "tally", &json!({ "target": TARGET, "pace_ms": 20 }));
    servers.kill_all();
    servers.start_all();
    let mut checkpoints = Checkpoints::of(&config);
    let late = Desk::open(&config);
    assert!(jobs.iter().all(|job| late.state(*job) == JobState::Queued));
    let _worker = Worker::start(&servers.urls()[0], &config, JOBS, &[]);
    let all = JOBS as u64 * TARGET;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    for share in [30, 60] {
        while values.messages().is_none_or(|there| there < all * share / 100) {
            assert!(std::time::Instant::now() < until, "nothing happens");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        checkpoints.check(&jobs);
        let before = values.messages();
        servers.kill_all();
        servers.start_all();
        while values.messages() < before {
            assert!(
                std::time::Instant::now() < until,
                "of {before:?} effects {:?} are there",
                values.messages()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    for job in &jobs {
        // It fails itself where an effect is there twice.
        assert_eq!(late.wait(*job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
    }
    checkpoints.check(&jobs);
    assert_eq!(values.messages(), Some(all), "each effect is there once");
}
