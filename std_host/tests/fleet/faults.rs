//! Jobs whose effects are counted, while workers and servers are killed, stopped and cut off.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use std_host::fleet::{FleetConfig, FleetStore};
use toehold::{JobRecord, JobState};

use crate::{
    checkpoints::Checkpoints,
    link::Link,
    servers::{Servers, Stream, patiently},
    workers::{Desk, Worker, dispatch_all},
};

const JOBS: usize = 500;
/// Effects of each job.
const TARGET: u64 = 30;
/// Longer than servers take to choose a leader, so that this alone takes no job from a worker.
const LEASE: Duration = Duration::from_secs(10);
const SLOTS: usize = 100;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn five_hundred_jobs_are_done_once_whatever_is_killed_stopped_or_cut() {
    let mut servers = Servers::start(3);
    let config = FleetConfig { lease: LEASE, ..servers.config("faults") };
    let desk = Desk::with_extension(&config);
    let values = Stream::open(&servers, "FAULTS_VALUES");
    let jobs = dispatch_all(&desk, JOBS, "tally", &json!({ "target": TARGET, "pace_ms": 20 }));
    let url = servers.urls().join(",");
    let start = || Worker::start(&url, &config, SLOTS, &[]);
    let link = Link::to(&servers.urls()[0]);
    let mut workers = vec![
        start(),
        start(),
        start(),
        Worker::start(&format!("nats://{}", link.address()), &config, SLOTS, &[]),
    ];
    let mut checkpoints = Checkpoints::of(&config);
    let all = JOBS as u64 * TARGET;
    let mut stopped = None;
    for (fault, share) in (1_u64..).zip([8, 16, 24, 32, 40, 48, 56, 64, 72, 80]) {
        wait_for(|| values.messages().is_some_and(|there| there >= all * share / 100));
        checkpoints.check(&jobs[..20]);
        match fault {
            1 | 6 => {
                workers.remove(0);
                workers.push(start());
            }
            2 => {
                workers[0].signal("-STOP");
                stopped = Some(Instant::now());
            }
            3 => servers.kill(patiently(|| values.leader().ok_or("no leader"))),
            4 => {
                // By now its jobs are others', whatever the machine does meanwhile.
                wait_for(|| stopped.is_none_or(|stopped| stopped.elapsed() > LEASE * 2));
                workers[0].signal("-CONT");
                servers.start_all();
            }
            5 => link.cut(true),
            7 => {
                servers.kill_all();
                servers.start_all();
            }
            8 => link.cut(false),
            9 => {
                let stream = Stream::open(&servers, "FAULTS_JOBS");
                let leader = patiently(|| stream.leader().ok_or("no leader"));
                servers.kill(leader);
            }
            _ => {
                servers.start_all();
                workers.remove(1);
                workers.push(start());
            }
        }
    }
    let store = patiently(|| FleetStore::open(&config));
    let record =
        |job| store.load_at(job).ok().flatten().map(|(_, saved)| JobRecord::decode(&saved.record).unwrap());
    for job in &jobs {
        wait_for(|| record(*job).is_some_and(|record| record.state.is_final()));
        let record = record(*job).unwrap();
        // It fails itself where an effect is there twice.
        assert_eq!(record.state, JobState::Completed, "{:?}", record.reason);
        assert_eq!(record.report.items, TARGET);
    }
    checkpoints.check(&jobs);
    assert_eq!(values.messages(), Some(all), "each effect is there once");
    // Nobody is told of jobs that want nobody.
    let queue = Stream::open(&servers, "FAULTS_QUEUE");
    wait_for(|| queue.messages() == Some(0));
}

fn wait_for(is_it: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < until, "nothing has happened for {} s", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}
