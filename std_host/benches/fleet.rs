//! What the fleet costs, beside plain writes of the same bytes to the same servers: `cargo xtask bench --fleet`.
//!
//! Three NATS servers on this machine, with the default `sync_interval`, and worker processes of this build.

#[path = "../tests/fleet/bare_job.rs"]
mod bare_job;
#[path = "../tests/fleet/servers.rs"]
#[expect(dead_code, reason = "the tests do more to them")]
mod servers;
#[path = "../tests/fleet/workers.rs"]
#[expect(dead_code, reason = "the tests do more to them")]
mod workers;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use serde_json::json;
use std_host::fleet::{FleetConfig, FleetError, FleetStore};
use toehold::{Change, Checkpoint, Commit, JobRecord, JobState, Store, Uuid};

use bare_job::bare_job;
use servers::{Servers, Stream, patiently};
use workers::{Desk, Worker, dispatch_all};

/// How long each figure is measured in each round.
const TIME: Duration = Duration::from_secs(1);
/// How often plain writes and the fleet's take turns.
const ROUNDS: usize = 5;
/// Jobs whose ends are counted.
const JOBS: usize = 2_000;
const LEASE: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test --benches` would only like to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let servers = Servers::start(3);
    if is_asked("checkpoints") {
        checkpoints(&servers);
    }
    if is_asked("jobs") {
        jobs(&servers);
    }
    if is_asked("failover") {
        failover(&servers);
    }
}

fn checkpoints(servers: &Servers) {
    println!("checkpoints/s, three replicas, medians of {ROUNDS} rounds");
    println!(
        "{:>8} {:>6} {:>12} {:>12} {:>8} {:>14}",
        "bytes", "jobs", "plain", "fleet", "share", "all shares"
    );
    for bytes in [1 << 10, 64 << 10] {
        for jobs in [1, 16, 64, 256] {
            let rounds: Vec<_> = (0..ROUNDS)
                .map(|round| (plain(servers, jobs, bytes, round), fleet(servers, jobs, bytes)))
                .collect();
            let [mut plain, mut fleet, mut shares] = [
                rounds.iter().map(|(plain, _)| *plain).collect::<Vec<_>>(),
                rounds.iter().map(|(_, fleet)| *fleet).collect(),
                rounds.iter().map(|(plain, fleet)| fleet / plain).collect(),
            ];
            let median = |of: &mut Vec<f64>| {
                of.sort_by(f64::total_cmp);
                of[of.len() / 2]
            };
            let (plain, fleet, share) = (median(&mut plain), median(&mut fleet), median(&mut shares));
            let (least, most) = (shares[0], shares[ROUNDS - 1]);
            println!(
                "{bytes:>8} {jobs:>6} {plain:>12.0} {fleet:>12.0} {share:>8.2} {least:>7.2} – {most:.2}"
            );
        }
    }
}

/// Writes with the same condition, straight to the servers.
fn plain(servers: &Servers, jobs: usize, bytes: usize, round: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(servers.urls()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let name = format!("PLAIN-{jobs}-{bytes}-{round}");
        let config = async_nats::jetstream::stream::Config {
            name: name.clone(),
            subjects: vec![format!("plain.{jobs}.{bytes}.{round}.*")],
            max_messages_per_subject: 1,
            num_replicas: 3,
            ..Default::default()
        };
        // The servers may still be choosing who leads.
        while context.create_stream(config.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let payload = bytes::Bytes::from(vec![0x55; bytes]);
        // As the fleet's jobs are there before their time is taken.
        context
            .publish(format!("plain.{jobs}.{bytes}.{round}.first"), "".into())
            .await
            .unwrap()
            .await
            .unwrap();
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
                        let subject = format!("plain.{jobs}.{bytes}.{round}.{job}");
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
        context.delete_stream(&name).await.unwrap();
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

/// The same through the fleet's store, as a worker writes: one connection, and no thread waits.
fn fleet(servers: &Servers, jobs: usize, bytes: usize) -> f64 {
    let config = servers.config("bench");
    let mut store = patiently(|| FleetStore::open(&config));
    let (record, checkpoint) = bare_job();
    let checkpoints: Vec<Checkpoint> = (0..jobs)
        .map(|_| {
            let checkpoint =
                Checkpoint { job_id: Uuid::new_v4(), state: vec![0x55; bytes], ..checkpoint.clone() };
            store.change(checkpoint.job_id, &change(Some(record.clone()), &checkpoint)).unwrap();
            store.take(checkpoint.job_id).unwrap();
            checkpoint
        })
        .collect();
    let ids: Vec<Uuid> = checkpoints.iter().map(|checkpoint| checkpoint.job_id).collect();
    let (over, overs) = mpsc::channel();
    let writing = Arc::new(Writing { store: Mutex::new(store), until: Instant::now() + TIME });
    for checkpoint in checkpoints {
        writing.clone().go_on(checkpoint, 0, over.clone());
    }
    drop(over);
    let counts: Vec<u64> = overs.iter().map(|count| count.unwrap()).collect();
    assert_eq!(counts.len(), jobs);
    let mut store = writing.store.lock().unwrap();
    ids.into_iter().for_each(|id| store.remove(id).unwrap());
    counts.iter().sum::<u64>() as f64 / TIME.as_secs_f64()
}

fn change(record: Option<JobRecord>, checkpoint: &Checkpoint) -> Change {
    Change { record, commit: Some(Commit::first(checkpoint.clone()).into()) }
}

struct Writing {
    store: Mutex<FleetStore>,
    until: Instant,
}

impl Writing {
    /// Writes a job's next checkpoint, and once that is durable the one after it, until the time is over.
    fn go_on(
        self: Arc<Self>,
        mut checkpoint: Checkpoint,
        count: u64,
        over: mpsc::Sender<Result<u64, FleetError>>,
    ) {
        if Instant::now() >= self.until {
            over.send(Ok(count)).unwrap();
            return;
        }
        checkpoint.sequence += 1;
        let (job, change, next) = (checkpoint.job_id, change(None, &checkpoint), self.clone());
        let done = move |written| match written {
            Ok(()) => next.go_on(checkpoint, count + 1, over),
            Err(error) => over.send(Err(error)).unwrap(),
        };
        self.store.lock().unwrap().begin(job, &change, done).unwrap();
    }
}

fn jobs(servers: &Servers) {
    println!("\njobs/s, of {JOBS} with one checkpoint each, which wait when the workers begin");
    for count in [1, 2, 4, 8] {
        let config = FleetConfig { lease: LEASE, ..servers.config(&format!("jobs-{count}")) };
        let desk = Desk::with_extension(&config);
        let url = servers.urls().join(",");
        let workers: Vec<_> = (0..count).map(|_| Worker::start(&url, &config, 200, &[])).collect();
        // They stand still until all jobs are there, which takes much less than the lease.
        workers.iter().for_each(|worker| worker.signal("-STOP"));
        let start = Instant::now();
        dispatch_all(&desk, JOBS, "counter", &json!({ "target": 10 }));
        let dispatched = JOBS as f64 / start.elapsed().as_secs_f64();
        let queue = Stream::open(servers, Box::leak(format!("JOBS-{count}_QUEUE").into_boxed_str()));
        assert_eq!(queue.messages(), Some(JOBS as u64), "somebody has begun");
        let start = Instant::now();
        workers.iter().for_each(|worker| worker.signal("-CONT"));
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
