//! The job `draw` on hosts that give each of its runs another draw.

mod support;

use support::Kv;
use test_extension::draw::{DrawState, draw};
use toehold_sdk::JobResult;
use toehold_sdk::testing::{FakeHost, json};

fn host(kv: &Kv, draw: u64) -> FakeHost {
    kv.on(FakeHost::new())
        .on("query:random.bytes", move |input| {
            assert_eq!(input, json!({ "length": 16 }));
            Ok(json!({ "bytes": format!("random {draw}") }))
        })
        .on("query:time.now", move |_| Ok(json!({ "unix_ms": draw })))
}

/// What all effects must hold that come of this draw.
fn assert_all_of(kv: &Kv, draw: u64, rounds: usize) {
    let entries = kv.entries();
    assert_eq!(entries.len(), rounds);
    for i in 0..rounds {
        let entry = &entries[&format!("draw/00000000-0000-0000-0000-000000000001/{i}")];
        assert_eq!(entry.value, json!({ "random": format!("random {draw}"), "time": draw, "i": i }));
    }
}

#[test]
fn it_draws_once_for_all_its_effects() {
    let kv = Kv::default();
    let run = host(&kv, 7).run_from(draw, b"");
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!((run.items, run.calls.len()), (20, 22));
    assert_all_of(&kv, 7, 20);
    assert!(kv.entries().values().all(|entry| entry.version == 1));
    assert_eq!(run.log_texts(), ["Drew random 7 at 7, 20 times"]);
}

#[test]
fn it_checkpoints_half_way_and_keeps_nothing_of_the_draw() {
    let run = host(&Kv::default(), 7).run_from(draw, b"");
    assert_eq!(run.checkpoints, [br#"{"rounds":20,"done":10}"#]);
    let kv = Kv::default();
    let run = host(&kv, 7).run_from(draw, br#"{"rounds":1}"#);
    assert_eq!((run.result, run.checkpoints.len(), kv.entries().len()), (JobResult::Completed, 0, 1));
}

#[test]
fn a_new_run_draws_anew_for_what_is_left() {
    for first in 0..6 {
        let kv = Kv::default();
        let run = host(&kv, 1).interrupt_after(first).run(draw, DrawState { rounds: 6, done: 0 });
        assert_eq!((run.result, run.items), (JobResult::Interrupted, first));
        let rest = host(&kv, 2).run_from(draw, run.last_checkpoint().unwrap());
        assert_eq!((rest.result, rest.items), (JobResult::Completed, 6 - first));
        assert!(kv.entries().values().all(|entry| entry.version == 1));
    }
}
