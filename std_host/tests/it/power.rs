//! A job of the test extension that is cut off at every single commit and call, on the real store.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use std_host::{
    SqliteStore, StoreOptions,
    manager::Manager,
    store::{Effect, KvQuota, wait},
};
use toehold::{
    Answer, Call, Change, Commit, Extension, Interrupt, JobRecord, JobStart, JobState, Limits, Outcome,
    Priority, Recovery, Registry, Step, Uuid,
};

use crate::{
    jobs::{block_on, copy, kv},
    support::root,
};

const ID: Uuid = Uuid::from_u128(0x1d);

/// A shell that does what a manager does, one thing after the other, and is cut off after so many.
struct Shell {
    store: SqliteStore,
    left: usize,
    random: u64,
}

struct Cut;

impl Shell {
    fn event(&mut self) -> Result<(), Cut> {
        self.left = self.left.checked_sub(1).ok_or(Cut)?;
        Ok(())
    }

    fn commit(&mut self, commit: std::sync::Arc<Commit>) -> Result<Answer, Cut> {
        self.event()?;
        let change = Change { record: None, commit: Some(commit.clone()) };
        wait(&self.store, |done| self.store.change(ID, &change, done)).unwrap();
        self.event()?;
        Ok(Answer::Committed { commit: commit.number, durable: true })
    }

    fn call(&mut self, call: &Call) -> Result<Answer, Cut> {
        self.event()?;
        let reply = match call.method.as_str() {
            "query:random.bytes" => {
                self.random += 1;
                format!("{{\"bytes\":\"{}\"}}", self.random)
            }
            "query:time.now" => format!("{{\"unix_ms\":{}}}", 1_000 + self.random),
            "action:kv.put" => {
                let put: serde_json::Value = serde_json::from_slice(&call.payload).unwrap();
                // The very hash that the manager takes, which sees a call that is not the same.
                let request = Sha256::new_with_prefix(b"action:kv.put\0").chain_update(&call.payload);
                let effect = Effect { key: call.key, request: request.finalize().into() };
                let (key, value) = (put["key"].as_str().unwrap(), put["value"].to_string().into_bytes());
                let version = wait(&self.store, |done| {
                    self.store.kv_put("test-extension", key, value, Some(effect), KvQuota::default(), done);
                });
                format!("{{\"version\":{}}}", version.unwrap())
            }
            other => panic!("{other}"),
        };
        self.event()?;
        Ok(Answer::Reply { call: call.key.number, reply: Ok(reply.into_bytes()) })
    }

    /// Whether the job came to its end before it was cut off.
    fn run(&mut self, extension: &Extension) -> bool {
        let saved = self.store.reader().load(ID).unwrap().unwrap();
        let mut job = extension.recover(&Registry::default(), Recovery::new(&saved).unwrap()).unwrap();
        let mut step = job.step(1_000_000, 0).unwrap();
        loop {
            let answer = match step {
                Step::Finished(outcome) => {
                    assert_eq!(outcome, Outcome::Completed);
                    return true;
                }
                Step::Call(call) => self.call(&call),
                Step::Commit(commit) => self.commit(commit),
                _ => {
                    step = job.step(1_000_000, 0).unwrap();
                    continue;
                }
            };
            let Ok(answer) = answer else { return false };
            step = job.answer(answer, 0).unwrap();
        }
    }
}

fn record(extension: &Extension, job: &str) -> JobRecord {
    JobRecord {
        job: format!("test-extension:{job}"),
        module_hash: extension.module().hash,
        library: None,
        parent: None,
        state: JobState::Running,
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
        report: Default::default(),
        fuel_used: 0,
        last_words: None,
    }
}

#[test]
fn a_job_that_draws_in_its_prologue_has_each_effect_once_wherever_it_is_cut_off() {
    let folder = root().join("test-extension");
    let manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let module = std::fs::read(folder.join("test_extension.wasm")).unwrap();
    let extension = Extension::load(manifest, &module, &Limits::default()).unwrap();
    let state = br#"{"rounds":8,"done":0}"#.to_vec();
    let first = extension.first_checkpoint("draw", &JobStart { id: ID, state, library: None }).unwrap();
    for events in 0.. {
        let data = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(data.path(), StoreOptions::default()).unwrap();
        let change = Change {
            record: Some(record(&extension, "draw")),
            commit: Some(Commit::first(first.clone()).into()),
        };
        wait(&store, |done| store.change(ID, &change, done)).unwrap();
        let mut shell = Shell { store, left: events, random: 0 };
        let ended = shell.run(&extension);
        shell.store.close();
        if !ended {
            // The manager takes over, as after a crash; its random numbers are others.
            copy(&folder, &data.path().join("extensions/test-extension"));
            let config = std_host::manager::ManagerConfig {
                workers: 1,
                ..std_host::manager::ManagerConfig::new(data.path())
            };
            let manager = Manager::open(config).unwrap();
            let status = block_on(manager.job(ID).unwrap().wait_until_stopped());
            assert_eq!(status.state, JobState::Completed, "cut off after {events}: {status:?}");
            let puts = kv(&manager, "draw/");
            assert_eq!(puts.len(), 8, "cut off after {events}");
            assert!(puts.iter().all(|(_, version, _)| *version == 1), "cut off after {events}: {puts:?}");
            // All of one run have one draw: those before the checkpoint in the middle, and those after it.
            let mut draws: BTreeMap<String, usize> = BTreeMap::new();
            for (_, _, value) in &puts {
                *draws.entry(format!("{} {}", value["random"], value["time"])).or_default() += 1;
            }
            let split: Vec<usize> = draws.into_values().collect();
            assert!(split == [8] || split == [4, 4], "cut off after {events}: {puts:?}");
            continue;
        }
        // Two queries; eight effects with two commits and a call; a checkpoint. Each may be cut before and after.
        assert_eq!(events, 2 * (2 + 8 * 3 + 1));
        return;
    }
}
