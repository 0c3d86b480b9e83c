//! The job `nap` on a host that does not sleep.

use test_extension::nap::{NapState, nap};
use toehold_sdk::JobResult;
use toehold_sdk::testing::{FakeHost, json};

fn host() -> FakeHost {
    FakeHost::new().on("action:sleep", |_| Ok(json!({})))
}

#[test]
fn it_checkpoints_after_each_nap() {
    let run = host().run_from(nap, b"");
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(run.state, Some(NapState { ms: 100, naps: 3, done: 3 }));
    assert_eq!(run.checkpoints[0], br#"{"ms":100,"naps":3,"done":1}"#);
    assert_eq!((run.checkpoints.len(), run.items), (3, 3));
    assert!(run.calls.iter().all(|call| call.input == json!({ "ms": 100 })));
    assert_eq!(run.progress[1].message, "[napping 2/3]");
}

#[test]
fn it_sleeps_as_often_wherever_it_is_interrupted() {
    for first in 0..3 {
        let run = host().interrupt_after(first).run_from(nap, b"");
        assert_eq!(run.result, JobResult::Interrupted);
        let rest = host().run_from(nap, run.last_checkpoint().unwrap());
        assert_eq!(rest.result, JobResult::Completed);
        assert_eq!((run.calls.len() + rest.calls.len(), run.items + rest.items), (3, 3));
    }
}

#[test]
fn a_sleep_that_fails_fails_it() {
    let run = FakeHost::new().run_from(nap, b"");
    assert_eq!((run.result, run.items), (JobResult::Failed, 0));
    assert_eq!(run.log_texts(), ["action:sleep: action:sleep is not permitted"]);
}
