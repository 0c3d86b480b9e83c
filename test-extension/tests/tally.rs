//! The job `tally` on a store that outlives its runs.

mod support;

use support::{Entry, Kv};
use test_extension::tally::{TallyState, tally};
use toehold_sdk::testing::{FakeHost, json};
use toehold_sdk::{JobResult, ProgressStep};

const JOB: &str = "00000000-0000-0000-0000-000000000001";

fn to(target: u64) -> TallyState {
    TallyState { target, ..TallyState::default() }
}

#[test]
fn it_puts_each_item_once() {
    let kv = Kv::default();
    let run = kv.on(FakeHost::new()).run(tally, to(25));
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(run.state, Some(TallyState { current: 25, versions: 25, ..to(25) }));
    assert_eq!((run.items, run.checks, run.checkpoints.len()), (25, 25, 2));
    assert_eq!(run.calls[2].input, json!({ "key": format!("tally/{JOB}/3"), "value": { "n": 3 } }));
    let entries = kv.entries();
    assert_eq!(entries.len(), 25);
    assert_eq!(entries[&format!("tally/{JOB}/25")], Entry { value: json!({ "n": 25 }), version: 1 });
    let step = ProgressStep { phase: Some("counting"), done: 10, total: 25, message: "" };
    assert_eq!((run.progress[9].fraction, run.progress[9].step()), (0.4, Some(step)));
    assert_eq!(run.log_texts(), ["Put 25 items, the versions add up to 25"]);
}

#[test]
fn wherever_it_is_interrupted_it_ends_the_same() {
    let straight = Kv::default();
    let expected = straight.on(FakeHost::new()).run(tally, to(25)).state;
    for first in 0..25 {
        let kv = Kv::default();
        let run = kv.on(FakeHost::new().interrupt_after(first)).run(tally, to(25));
        assert_eq!((run.result, run.items), (JobResult::Interrupted, first));
        let rest = kv.on(FakeHost::new()).run_from(tally, run.last_checkpoint().unwrap());
        assert_eq!(rest.result, JobResult::Completed);
        assert_eq!(rest.state, expected, "interrupted after {first}");
        assert_eq!(kv.entries(), straight.entries(), "interrupted after {first}");
    }
}

#[test]
fn it_fails_where_an_effect_is_carried_out_twice() {
    let kv = Kv::default();
    let run = kv.on(FakeHost::new()).run(tally, to(12));
    // As a host would that forgets what came after the last checkpoint.
    let again = kv.on(FakeHost::new()).run_from(tally, run.last_checkpoint().unwrap());
    assert_eq!((again.result, again.items), (JobResult::Failed, 0));
    assert_eq!(
        again.log_texts(),
        [format!(
            "tally/{JOB}/11 should have version 1, as it is put once, but has version 2: look for what else writes \
             it, or for a host that carries out an effect twice"
        )]
    );
}

#[test]
fn it_sleeps_after_each_item_where_it_has_a_pace() {
    let host = Kv::default().on(FakeHost::new()).on("action:sleep", |_| Ok(json!({})));
    let state = br#"{"target":2,"pace_ms":5,"prefix":"slow"}"#;
    let run = host.run_from(tally, state);
    assert_eq!(run.result, JobResult::Completed);
    let calls: Vec<_> = run.calls.iter().map(|call| call.method.as_str()).collect();
    assert_eq!(calls, ["action:kv.put", "action:sleep", "action:kv.put", "action:sleep"]);
    assert_eq!(run.calls[0].input["key"], format!("slow/{JOB}/1"));
    assert_eq!(run.calls[1].input, json!({ "ms": 5 }));
}
