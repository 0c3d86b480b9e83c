//! The job `counter` of test-extension in its three builds: they do the same, and a job can move between them.

use std::{sync::Arc, task::Poll};

use toehold::{
    Call, Called, Checkpoint, Commit, Extension, JobContext, Limits, Manifest, NotDurable, Outcome, Platform,
    Registry, Stopped, run,
};

use crate::guests::*;

fn load_from(folder: &str) -> Extension {
    let folder = format!("{}/test-extension/{folder}", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read(format!("{folder}/manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let module = std::fs::read(format!("{folder}/{}", manifest.wasm_file())).unwrap();
    Extension::load(manifest, &module, &Limits::default()).unwrap()
}

fn large() -> Extension {
    load_from("")
}

fn small() -> Extension {
    load_from("small")
}

fn tiny() -> Extension {
    load_from("tiny")
}

/// Runs a job to its end; gives what it left.
fn ran(extension: &Extension, checkpoint: &Checkpoint) -> (Outcome, Desk, String) {
    let mut job = extension.resume(&Registry::default(), checkpoint).unwrap();
    let mut desk = Desk::default();
    let Stopped::Finished(outcome) = run(&mut job, &mut desk, SLICE) else {
        panic!("nobody stopped the job")
    };
    let told = format!("{:?} {:?}", job.context().report(), job.context().log_tail());
    (outcome, desk, told)
}

fn first(extension: &Extension, state: &[u8]) -> Checkpoint {
    extension.first_checkpoint("counter", &with_state(state)).unwrap()
}

#[test]
fn they_are_small() {
    let sizes = |extension: &Extension| (extension.module().bytes, extension.module().memory_bytes);
    let (module, memory) = sizes(&small());
    assert!(module <= 24 << 10 && memory <= 16 << 10, "{module} bytes, memory {memory}");
    let (module, memory) = sizes(&tiny());
    assert!(module <= 1 << 10 && memory == 1 << 10, "{module} bytes, memory {memory}");
    assert!(small().warnings().is_empty() && tiny().warnings().is_empty());
}

#[test]
fn they_say_and_write_the_same() {
    for state in [
        "",
        "{}",
        r#"{"target": 25}"#,
        r#"{"current":7,"target":33,"processed":2}"#,
        r#"{ "processed" : 9, "target":1000000, "current" : 999985 }"#,
        r#"{"current":18446744073709551610,"target":18446744073709551615}"#,
        r#"{"current":5,"target":5}"#,
    ] {
        let (outcome, desk, told) = ran(&large(), &first(&large(), state.as_bytes()));
        assert_eq!(outcome, Outcome::Completed, "{state}");
        let states: Vec<_> = desk.saved.iter().map(|checkpoint| &checkpoint.state).collect();
        for other in [small(), tiny()] {
            let (outcome, desk, told_by_other) = ran(&other, &first(&other, state.as_bytes()));
            assert_eq!(outcome, Outcome::Completed, "{state}");
            assert_eq!(told_by_other, told);
            assert!(
                desk.saved.iter().map(|checkpoint| &checkpoint.state).eq(states.iter().copied()),
                "{state}"
            );
        }
    }
}

#[test]
fn a_job_moves_between_them() {
    let (large, small, tiny) = (large(), small(), tiny());
    let (_, undisturbed, _) = ran(&large, &first(&large, b""));
    for way in [[&large, &small, &large], [&small, &large, &tiny], [&tiny, &small, &tiny]] {
        // A third of the way on each.
        let (_, desk, _) = ran(way[0], &first(way[0], b""));
        let (_, desk, _) = ran(way[1], &way[1].upgrade(&desk.saved[2]).unwrap());
        let (outcome, desk, _) = ran(way[2], &way[2].upgrade(&desk.saved[2]).unwrap());
        assert_eq!(outcome, Outcome::Completed);
        let (last, expected) = (desk.saved.last().unwrap(), undisturbed.saved.last().unwrap());
        assert_eq!(last.state, expected.state);
        assert_eq!((last.report.items, &last.report.progress), (100, &expected.report.progress));
    }
}

/// Stores checkpoints, and asks the job to pause at the first one.
#[derive(Default)]
struct Pausing(Vec<Vec<u8>>);

impl Platform for Pausing {
    fn now(&mut self) -> u64 {
        0
    }

    fn call(&mut self, _call: &Arc<Call>) -> Called {
        unreachable!("a counter calls nobody")
    }

    fn commit(&mut self, job: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        self.0.extend(commit.checkpoint.as_ref().map(|checkpoint| checkpoint.state.clone()));
        job.control().pause();
        Poll::Ready(Ok(()))
    }

    fn idle(&mut self, _until: Option<u64>) {
        unreachable!("a counter waits for nothing")
    }
}

#[test]
fn they_checkpoint_and_stop_when_they_are_asked_to() {
    for extension in [large(), small(), tiny()] {
        let mut job = extension.start(&Registry::default(), "counter", with_state(b"")).unwrap();
        let mut platform = Pausing::default();
        assert_eq!(run(&mut job, &mut platform, SLICE), Stopped::Finished(Outcome::Interrupted));
        let state = br#"{"current":10,"target":100,"processed":10}"#;
        assert_eq!(platform.0, [state, state]);
    }
}

#[test]
fn they_fail_where_nothing_is_durable() {
    for extension in [large(), small(), tiny()] {
        let mut job = extension.start(&Registry::default(), "counter", with_state(b"")).unwrap();
        let mut desk = Desk { full: true, ..Desk::default() };
        let stopped = run(&mut job, &mut desk, SLICE);
        assert!(matches!(stopped, Stopped::Finished(Outcome::Failed(_))), "{stopped:?}");
        assert_eq!(job.context().report().items, 10);
    }
}

#[test]
fn a_state_that_is_none_is_told_of() {
    let (outcome, _, _) = ran(&small(), &first(&small(), br#"{"target":"ten"}"#));
    assert_eq!(
        failure(&outcome),
        "the state can't be read: expected test_extension::counter::CounterState as JSON, \
         found 16 bytes `{\"target\":\"ten\"}`: expected a number at byte 10"
    );
}

#[test]
fn what_their_memory_has_no_room_for_is_refused() {
    let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(5_000));
    for extension in [small(), tiny()] {
        let registry = Registry::default();
        let error = match extension.start(&registry, "counter", with_state(long.as_bytes())) {
            Ok(mut job) => failure(&finish(&mut job)),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("wasm_alloc"), "{error}");
    }
}

#[test]
fn keys_that_a_job_does_not_know_may_hold_anything() {
    let nested = format!(r#"{{"target":3,"x":{}{}}}"#, "[".repeat(120), "]".repeat(120));
    assert_eq!(ran(&small(), &first(&small(), nested.as_bytes())).0, Outcome::Completed);
    let refused = format!(r#"{{"target":3,"x":{}{}}}"#, "[".repeat(130), "]".repeat(130));
    let (outcome, _, _) = ran(&small(), &first(&small(), refused.as_bytes()));
    assert!(failure(&outcome).contains("nested too deeply"), "{outcome:?}");
}
