//! What is asked of jobs reaches whoever has them, or has them next.

use std::time::Duration;

use serde_json::json;
use std_host::{
    fleet::{FleetConfig, FleetWorker, WorkerConfig, WorkerError},
    manager::{Dispatch, ManagerConfig},
};
use toehold::{JobState, Trust};

use crate::{
    servers::Servers,
    workers::{Desk, Worker, extension},
};

const LEASE: Duration = Duration::from_secs(2);

fn fleet(servers: &Servers) -> FleetConfig {
    FleetConfig { lease: LEASE, ..servers.config("steer") }
}

/// A job that is long enough for whatever is to happen to it.
fn long() -> serde_json::Value {
    json!({ "target": 1_000_000, "pace_ms": 1 })
}

#[test]
fn a_running_job_is_paused_goes_on_and_is_cancelled() {
    let servers = Servers::start(1);
    let config = fleet(&servers);
    let desk = Desk::with_extension(&config);
    let _worker = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let job = desk.dispatch("tally", &long());
    desk.wait(job, &[JobState::Running]);
    let handle = || desk.client.manager().job(job).unwrap();
    desk.runtime.block_on(handle().pause()).unwrap();
    desk.wait(job, &[JobState::Paused]);
    let items = desk.items(job);
    desk.runtime.block_on(handle().resume()).unwrap();
    desk.wait(job, &[JobState::Running]);
    while desk.items(job) <= items {
        std::thread::yield_now();
    }
    desk.runtime.block_on(handle().cancel()).unwrap();
    desk.wait(job, &[JobState::Cancelled]);
    assert!(desk.runtime.block_on(handle().pause()).is_err(), "it is over");
}

#[test]
fn what_is_wanted_of_a_job_whose_worker_is_gone_holds_at_the_next_claim() {
    let servers = Servers::start(1);
    let config = fleet(&servers);
    let desk = Desk::with_extension(&config);
    let worker = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let [paused, cancelled] = [(); 2].map(|()| desk.dispatch("tally", &long()));
    for job in [paused, cancelled] {
        desk.wait(job, &[JobState::Running]);
    }
    drop(worker);
    let handle = |job| desk.client.manager().job(job).unwrap();
    desk.runtime.block_on(handle(paused).pause()).unwrap();
    desk.runtime.block_on(handle(cancelled).cancel()).unwrap();
    let _next = Worker::start(&servers.urls()[0], &config, 10, &[]);
    desk.wait(paused, &[JobState::Paused]);
    desk.wait(cancelled, &[JobState::Cancelled]);
}

#[test]
fn jobs_of_nobody_are_steered_where_they_lie() {
    let servers = Servers::start(1);
    let config = fleet(&servers);
    let desk = Desk::with_extension(&config);
    let [one, other] = [(); 2].map(|()| desk.dispatch("counter", &json!({ "target": 10 })));
    let handle = |job| desk.client.manager().job(job).unwrap();
    desk.runtime.block_on(handle(one).pause()).unwrap();
    desk.runtime.block_on(handle(other).cancel()).unwrap();
    desk.wait(one, &[JobState::Paused]);
    desk.wait(other, &[JobState::Cancelled]);
    let _worker = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let third = desk.dispatch("counter", &json!({ "target": 10 }));
    desk.wait(third, &[JobState::Completed]);
    assert_eq!(desk.state(one), JobState::Paused);
    desk.runtime.block_on(handle(one).resume()).unwrap();
    desk.wait(one, &[JobState::Completed]);
}

#[test]
fn a_worker_that_stops_gives_its_jobs_to_another_at_once() {
    let servers = Servers::start(1);
    // Who has to wait for this waits too long.
    let config = FleetConfig { lease: Duration::from_secs(600), ..servers.config("steer") };
    let desk = Desk::with_extension(&config);
    let first = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let job = desk.dispatch("tally", &json!({ "target": 300, "pace_ms": 5 }));
    desk.wait(job, &[JobState::Running]);
    while desk.items(job) < 20 {
        std::thread::yield_now();
    }
    let _second = Worker::start(&servers.urls()[0], &config, 10, &[]);
    first.stop();
    // It fails itself where an effect is there twice.
    assert_eq!(desk.wait(job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
}

#[test]
fn a_full_queue_says_so_and_makes_no_job() {
    let servers = Servers::start(1);
    let config = FleetConfig { queue_limit: 2, ..servers.config("full") };
    let desk = Desk::with_extension(&config);
    for _ in 0..2 {
        desk.dispatch("counter", &json!({}));
    }
    let refused =
        desk.runtime.block_on(desk.client.manager().dispatch("test-extension:counter", Dispatch::default()));
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
    let counts = desk.client.manager().counts().unwrap();
    assert_eq!(counts, [(JobState::Queued, 2)]);
}

#[test]
fn a_worker_runs_what_somebody_it_trusts_has_signed() {
    let servers = Servers::start(1);
    let config = servers.config("trust");
    let key = toehold::SigningKey::from_seed(&[7; 32]);
    let data = tempfile::tempdir().unwrap();
    let worker = |trust| WorkerConfig {
        fleet: config.clone(),
        manager: ManagerConfig { trust, ..ManagerConfig::new(data.path()) },
        name: "w".to_owned(),
        slots: 1,
    };
    assert!(matches!(FleetWorker::start(worker(Trust::Anyone), false), Err(WorkerError::NoTrust)));
    let desk = Desk::with_extension(&config);
    let unsigned = desk.dispatch("counter", &json!({ "target": 10 }));
    let running = FleetWorker::start(worker(Trust::Signed(vec![key.public_key()])), false).unwrap();
    desk.wait(unsigned, &[JobState::Paused]);
    let reason = desk.client.manager().job(unsigned).unwrap().status().reason.unwrap();
    assert!(reason.contains("not taken here"), "{reason}");
    let files = std_host::ExtensionManager::new(data.path(), toehold::Limits::default(), Default::default());
    let installed = files.look_into(&extension()).unwrap();
    let package = toehold::Package::pack_signed(
        installed.extension().manifest(),
        &installed.packed_schemas(),
        installed.module(),
        &key,
    );
    let path = data.path().join("signed.toehold");
    std::fs::write(&path, package).unwrap();
    desk.client.manager().add_extension(&path).unwrap();
    desk.runtime.block_on(desk.client.manager().job(unsigned).unwrap().resume()).unwrap();
    desk.wait(unsigned, &[JobState::Completed]);
    running.stop();
}
