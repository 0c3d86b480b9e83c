//! The job `counter`, and the extension as a whole.

use test_extension::TestExtension;
use test_extension::counter::{CounterState, counter};
use toehold_sdk::testing::{FakeHost, Value};
use toehold_sdk::{Extension, JobResult};

fn to(target: u64) -> CounterState {
    CounterState { target, ..CounterState::default() }
}

#[test]
fn it_counts_to_ten() {
    let run = FakeHost::new().run(counter, to(10));
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(run.log_texts(), ["Starting counter (current: 0, target: 10)", "✓ Completed!"]);
    assert_eq!((run.items, run.bytes, run.checks), (10, 0, 10));
    assert_eq!(run.checkpoints, [br#"{"current":10,"target":10,"processed":10}"#]);
    assert_eq!(run.progress.len(), 10);
    assert_eq!((run.progress[2].fraction, run.progress[2].message.as_str()), (0.3, "Counted 3/10"));
    assert_eq!((run.progress[9].fraction, run.progress[9].message.as_str()), (1.0, "Counted 10/10"));
}

#[test]
fn the_default_target_is_a_hundred() {
    let run = FakeHost::new().run_from(counter, b"{}");
    assert_eq!((run.items, run.checkpoints.len()), (100, 10));
    let run = FakeHost::new().run_from(counter, br#"{"current":98,"processed":3}"#);
    assert_eq!(run.state, Some(CounterState { current: 100, target: 100, processed: 5 }));
}

#[test]
fn a_target_of_zero_is_reached_at_once() {
    let run = FakeHost::new().run(counter, to(0));
    assert_eq!((run.result, run.items, run.progress.len()), (JobResult::Completed, 0, 0));
}

#[test]
fn wherever_it_is_interrupted_it_ends_the_same() {
    let straight = FakeHost::new().run(counter, to(25));
    for first in 0..25 {
        let run = FakeHost::new().interrupt_after(first).run(counter, to(25));
        assert_eq!(run.result, JobResult::Interrupted);
        assert_eq!(run.state, Some(CounterState { current: first, target: 25, processed: first }));
        assert_eq!(run.items, first);

        let rest = FakeHost::new().run_from(counter, run.last_checkpoint().unwrap());
        assert_eq!(rest.result, JobResult::Completed);
        assert_eq!(rest.state, straight.state, "interrupted after {first}");
        assert_eq!(run.items + rest.items, straight.items);
        let messages = run.progress.iter().chain(&rest.progress);
        assert!(messages.eq(&straight.progress), "interrupted after {first}");
    }
}

#[test]
fn it_fails_where_checkpoints_do() {
    let run = FakeHost::new().durable_checkpoints(1).run(counter, to(25));
    assert_eq!((run.result, run.items), (JobResult::Failed, 20));
    assert_eq!(run.log_texts().last(), Some(&"the host could not make the checkpoint durable"));
}

#[test]
fn the_extension_is_what_its_manifest_says() {
    let manifest: Value = serde_json::from_str(include_str!("../manifest.json")).unwrap();
    assert_eq!(manifest["id"], TestExtension::ID);
    assert_eq!(manifest["name"], TestExtension::NAME);
    assert_eq!(manifest["version"], TestExtension::VERSION);
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));

    let loaded = FakeHost::new().load::<TestExtension>();
    assert_eq!(loaded.code, 0);
    assert_eq!(loaded.logs[0].text, "✓ Test extension initialized!");
    let jobs: Vec<_> = loaded.jobs.iter().map(|job| (job.name, job.export, job.resumable)).collect();
    let expected = [
        ("counter", "execute_counter", true),
        ("wordcount", "execute_wordcount", true),
        ("tally", "execute_tally", true),
        ("draw", "execute_draw", true),
        ("nap", "execute_nap", true),
        ("family", "execute_family", true),
        ("spin", "execute_spin", true),
        ("flaky", "execute_flaky", true),
        ("crash", "execute_crash", false),
    ];
    assert_eq!(jobs, expected);
}
