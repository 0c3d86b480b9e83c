//! `toehold serve` is killed again and again, and loses nothing.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use std_host::store::{JobFilter, ListOrder, StoreReader};
use toehold::{Checkpoint, JobState, Uuid};

use crate::jobs::{Data, dispatch, kv};

const JOBS: usize = 20;
const KILLS: u32 = 200;
/// Effects of each job: with some ten between two kills, enough for all of them.
const TARGET: u64 = 150;

/// A server that is killed with SIGKILL, without any warning, when this is dropped.
struct Server(Child);

impl Server {
    /// One that is ready.
    fn start(data: &Path) -> Self {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_toehold"));
        serve.args(["serve", "--json", "--data"]).arg(data);
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with('{'), "the server is not ready: {ready:?}");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The newest checkpoint of each job, which must never go backwards.
#[derive(Default)]
struct Sequences(HashMap<Uuid, u64>);

impl Sequences {
    fn check(&mut self, reader: &StoreReader, jobs: &[Uuid]) {
        for job in jobs {
            let newest = Checkpoint::decode(&reader.load(*job).unwrap().unwrap().newest).unwrap().sequence;
            let before = self.0.insert(*job, newest).unwrap_or_default();
            assert!(newest >= before, "job {job} had checkpoint {before}, and has {newest}");
        }
    }
}

#[test]
fn a_server_that_is_killed_two_hundred_times_carries_out_each_effect_once() {
    let data = Data::new();
    let jobs: Vec<Uuid> = {
        // Without a worker, so that nothing runs yet.
        let manager = data.open_with(|config| config.workers = 0);
        (0..JOBS).map(|_| dispatch(&manager, "tally", &json!({ "target": TARGET })).id()).collect()
    };
    let reader = StoreReader::open(data.path()).unwrap();
    let effects = || reader.kv_usage("test-extension").unwrap().keys;
    let unfinished = || {
        let states = vec![JobState::Queued, JobState::Running, JobState::Paused];
        let filter = JobFilter { states, ..JobFilter::default() };
        reader.list(&filter, ListOrder::default(), None, JOBS).unwrap().len()
    };
    let (mut sequences, mut random, mut busy) = (Sequences::default(), 0x5eed_u64, 0);
    for _ in 0..KILLS {
        let server = Server::start(data.path());
        // Killed after up to 31 more effects, at whatever instant that is; on average so that all kills hit running jobs.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = effects() + (random >> 59);
        while effects() < until && unfinished() > 0 {
            std::thread::yield_now();
        }
        drop(server);
        sequences.check(&reader, &jobs);
        busy += u32::from(unfinished() > 0);
    }
    assert!(busy > KILLS / 2, "{busy} of {KILLS} kills hit running jobs");
    let server = Server::start(data.path());
    while unfinished() > 0 {
        std::thread::yield_now();
    }
    drop(server);
    sequences.check(&reader, &jobs);

    let manager = data.open_with(|config| config.workers = 0);
    for job in &jobs {
        let status = manager.job(*job).unwrap().status();
        assert_eq!((status.state, status.report.items), (JobState::Completed, TARGET), "{status:?}");
    }
    let puts = kv(&manager, "tally/");
    assert_eq!(puts.len() as u64, JOBS as u64 * TARGET);
    assert!(puts.iter().all(|(_, version, _)| *version == 1), "an effect was carried out twice: {puts:?}");
}
