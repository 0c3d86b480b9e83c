//! The job `family` on a host that only notes what is dispatched.

use std::cell::Cell;

use test_extension::family::{FamilyState, family};
use toehold_sdk::testing::{FakeHost, json};
use toehold_sdk::{JobResult, Uuid};

/// The children's ids count up from `next`.
fn host(next: u8) -> FakeHost {
    let next = Cell::new(next);
    FakeHost::new().on("action:jobs.dispatch", move |_| {
        let id = Uuid::from_bytes([next.replace(next.get() + 1); 16]);
        Ok(json!({ "job_id": id }))
    })
}

fn ids(count: u8) -> Vec<Uuid> {
    (1..=count).map(|number| Uuid::from_bytes([number; 16])).collect()
}

#[test]
fn it_dispatches_its_children_and_keeps_their_ids() {
    let run = host(1).run_from(family, br#"{"job":"nap","state":{"naps":2}}"#);
    assert_eq!(run.result, JobResult::Completed);
    let input = json!({ "job": "test-extension:nap", "state": { "naps": 2 } });
    assert_eq!(run.calls.len(), 3);
    assert!(run.calls.iter().all(|call| call.method == "action:jobs.dispatch" && call.input == input));
    let kept: FamilyState = serde_json::from_slice(run.last_checkpoint().unwrap()).unwrap();
    assert_eq!((kept.job_ids, run.checkpoints.len()), (ids(3), 3));
    assert_eq!(run.progress[0].message, "[dispatching 1/3] 01010101-0101-0101-0101-010101010101");
    assert_eq!(run.log_texts(), ["Dispatched 3 times test-extension:nap"]);
}

#[test]
fn by_default_it_has_three_counters() {
    let run = host(1).run_from(family, b"");
    assert_eq!(run.calls[2].input, json!({ "job": "test-extension:counter", "state": {} }));
}

#[test]
fn no_child_is_dispatched_twice_wherever_it_is_interrupted() {
    for first in 0..3 {
        let run = host(1).interrupt_after(first.into()).run_from(family, b"");
        assert_eq!((run.result, run.calls.len()), (JobResult::Interrupted, first.into()));
        let rest = host(first + 1).run_from(family, run.last_checkpoint().unwrap());
        assert_eq!(rest.state.unwrap().job_ids, ids(3), "interrupted after {first}");
    }
}
