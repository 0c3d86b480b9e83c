//! Jobs whose effects are counted, while workers and servers are killed, stopped and cut off.

use std::{
    collections::HashMap,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use std_host::fleet::{FleetConfig, FleetStore};
use toehold::{Checkpoint, JobRecord, JobState, Uuid};

use crate::{
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

/// A link that can be cut: what goes through it stands still until it is mended.
struct Link {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Link {
    fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let (target, cut) = (url.trim_start_matches("nats://").to_owned(), is_cut.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let cut = cut.clone();
                    thread::spawn(move || pass(from, to, &cut));
                }
            }
        });
        Self { port, is_cut }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    use std::io::{Read, Write};
    let mut bytes = [0; 16 << 10];
    loop {
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                // As packets that nobody answers: they arrive, or never do.
                while cut.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(10));
                }
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// The newest checkpoint of each job, by the revision at which it was seen.
struct Sequences {
    store: FleetStore,
    seen: HashMap<Uuid, (u64, u64)>,
}

impl Sequences {
    fn check(&mut self, jobs: &[Uuid]) {
        for job in jobs {
            // While there is no leader, nobody answers.
            let Ok(Some((revision, saved))) = self.store.load_at(*job) else { continue };
            let newest = Checkpoint::decode(&saved.newest).unwrap().sequence;
            let (before, sequence) = self.seen.get(job).copied().unwrap_or_default();
            if revision >= before {
                assert!(newest >= sequence, "job {job} had checkpoint {sequence}, and has {newest}");
                self.seen.insert(*job, (revision, newest));
            } else {
                assert!(newest <= sequence, "job {job} had checkpoint {newest}, and had {sequence} later");
            }
        }
    }
}

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
    let mut workers = vec![start(), start(), start(), Worker::start(&link.url(), &config, SLOTS, &[])];
    let mut sequences = Sequences { store: patiently(|| FleetStore::open(&config)), seen: HashMap::new() };
    let all = JOBS as u64 * TARGET;
    let mut stopped = None;
    for (fault, share) in (1_u64..).zip([8, 16, 24, 32, 40, 48, 56, 64, 72, 80]) {
        wait_for(|| values.messages().is_some_and(|there| there >= all * share / 100));
        sequences.check(&jobs[..20]);
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
    sequences.check(&jobs);
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
