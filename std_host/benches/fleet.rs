//! What the fleet costs, beside plain writes of the same bytes to the same servers: `cargo xtask bench --fleet`.
//!
//! Three NATS servers on this machine, with the default `sync_interval`, and worker processes of this build.

#[path = "../tests/fleet/servers.rs"]
#[expect(dead_code, reason = "the tests do more to them")]
mod servers;
#[path = "../tests/fleet/workers.rs"]
#[expect(dead_code, reason = "the tests do more to them")]
mod workers;

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use serde_json::json;
use std_host::fleet::{FleetConfig, FleetStore};
use toehold::{
    Change, Checkpoint, Commit, Extension, Interrupt, JobRecord, JobStart, JobState, Limits, Manifest,
    Priority, Report, Store, Uuid,
};

use servers::{Servers, Stream, patiently};
use workers::{Desk, Worker, dispatch_all};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);
/// Jobs whose ends are counted.
const JOBS: usize = 2_000;
const LEASE: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test --benches` would only like to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let servers = Servers::start(3);
    checkpoints(&servers);
    jobs(&servers);
    failover(&servers);
}

fn checkpoints(servers: &Servers) {
    println!("checkpoints/s, three replicas");
    println!("{:>8} {:>6} {:>12} {:>12} {:>8}", "bytes", "jobs", "plain", "fleet", "share");
    for bytes in [1 << 10, 64 << 10] {
        for jobs in [1, 16, 64] {
            let plain = plain(servers, jobs, bytes);
            let fleet = fleet(servers, jobs, bytes);
            println!("{bytes:>8} {jobs:>6} {plain:>12.0} {fleet:>12.0} {:>8.2}", fleet / plain);
        }
    }
}

/// Writes with the same condition, straight to the servers.
fn plain(servers: &Servers, jobs: usize, bytes: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(servers.urls()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let name = format!("PLAIN-{jobs}-{bytes}");
        let config = async_nats::jetstream::stream::Config {
            name: name.clone(),
            subjects: vec![format!("plain.{jobs}.{bytes}.*")],
            max_messages_per_subject: 1,
            num_replicas: 3,
            ..Default::default()
        };
        // The servers may still be choosing who leads.
        while context.create_stream(config.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let payload = bytes::Bytes::from(vec![0x55; bytes]);
        let until = Instant::now() + TIME;
        let tasks: Vec<_> = (0..jobs)
            .map(|job| {
                let (context, payload, stream) = (context.clone(), payload.clone(), name.clone());
                tokio::spawn(async move {
                    let (mut last, mut count) = (0, 0_u64);
                    while Instant::now() < until {
                        let mut headers = async_nats::HeaderMap::new();
                        headers.insert(
                            async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                            u64::to_string(&last),
                        );
                        let subject = format!("plain.{jobs}.{bytes}.{job}");
                        let sent =
                            context.publish_with_headers(subject.clone(), headers, payload.clone()).await;
                        // One that was taken although its answer was lost is seen by its number.
                        let Ok(taken) = sent.unwrap().await else {
                            last = last_of(&context, &stream, &subject).await;
                            continue;
                        };
                        last = taken.sequence;
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.unwrap();
        }
        count as f64 / TIME.as_secs_f64()
    })
}

/// The number of the last message of a subject; 0 where there is none.
async fn last_of(context: &async_nats::jetstream::Context, stream: &str, subject: &str) -> u64 {
    loop {
        let Ok(stream) = context.get_stream(stream).await else { continue };
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => return message.sequence,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return 0,
            Err(_) => {}
        }
    }
}

fn fleet(servers: &Servers, jobs: usize, bytes: usize) -> f64 {
    let config = servers.config("bench");
    drop(patiently(|| FleetStore::open(&config)));
    let (record, checkpoint) = job();
    let barrier = Barrier::new(jobs);
    let counts: Vec<u64> = thread::scope(|scope| {
        let racers: Vec<_> = (0..jobs)
            .map(|_| {
                let (config, barrier) = (&config, &barrier);
                let (record, mut checkpoint) = (record.clone(), checkpoint.clone());
                scope.spawn(move || {
                    let id = Uuid::new_v4();
                    let mut store = FleetStore::open(config).unwrap();
                    checkpoint.job_id = id;
                    checkpoint.state = vec![0x55; bytes];
                    let change = |record, checkpoint: &Checkpoint| Change {
                        record,
                        commit: Some(Commit::first(checkpoint.clone()).into()),
                    };
                    store.change(id, &change(Some(record), &checkpoint)).unwrap();
                    store.take(id).unwrap();
                    barrier.wait();
                    let (until, mut count) = (Instant::now() + TIME, 0_u64);
                    while Instant::now() < until {
                        checkpoint.sequence += 1;
                        store.change(id, &change(None, &checkpoint)).unwrap();
                        count += 1;
                    }
                    store.remove(id).unwrap();
                    count
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    counts.iter().sum::<u64>() as f64 / TIME.as_secs_f64()
}

/// A job as another host gave it away.
fn job() -> (JobRecord, Checkpoint) {
    let module = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "execute_run") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#,
    )
    .unwrap();
    let extension = Extension::load(Manifest::new("bench").unwrap(), &module, &Limits::default()).unwrap();
    let checkpoint = extension.first_checkpoint("run", &JobStart::default()).unwrap();
    let record = JobRecord {
        job: "bench:run".to_owned(),
        module_hash: checkpoint.module_hash,
        library: None,
        parent: None,
        state: JobState::Queued,
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
    (record, checkpoint)
}

fn jobs(servers: &Servers) {
    println!("\njobs/s, of {JOBS} with one checkpoint each, from when the workers are ready");
    for count in [1, 2, 4] {
        let config = FleetConfig { lease: LEASE, ..servers.config(&format!("jobs-{count}")) };
        let desk = Desk::with_extension(&config);
        let start = Instant::now();
        dispatch_all(&desk, JOBS, "counter", &json!({ "target": 10 }));
        let dispatched = JOBS as f64 / start.elapsed().as_secs_f64();
        let url = servers.urls().join(",");
        let _workers: Vec<_> = (0..count).map(|_| Worker::start(&url, &config, 200, &[])).collect();
        let start = Instant::now();
        let queue = Stream::open(servers, Box::leak(format!("JOBS-{count}_QUEUE").into_boxed_str()));
        while queue.messages() != Some(0) {
            thread::sleep(Duration::from_millis(5));
        }
        let done = JOBS as f64 / start.elapsed().as_secs_f64();
        println!("{count} workers: {done:.0} done, {dispatched:.0} dispatched");
    }
}

fn failover(servers: &Servers) {
    let config = FleetConfig { lease: LEASE, ..servers.config("failover") };
    let desk = Desk::with_extension(&config);
    let url = servers.urls().join(",");
    let first = Worker::start(&url, &config, 10, &[]);
    let job = desk.dispatch("tally", &json!({ "target": 1_000_000, "pace_ms": 1 }));
    desk.wait(job, &[JobState::Running]);
    let _second = Worker::start(&url, &config, 10, &[]);
    let further = |items: u64| {
        while desk.items(job) <= items {
            thread::sleep(Duration::from_millis(1));
        }
    };
    // Long enough for the second one to know who is there.
    thread::sleep(LEASE);
    further(10);
    drop(first);
    let killed = Instant::now();
    thread::sleep(Duration::from_millis(200));
    further(desk.items(job));
    println!(
        "\nfailover: a job goes on {:.1} s after its worker was killed, with a lease of {LEASE:?}",
        killed.elapsed().as_secs_f64()
    );
}
