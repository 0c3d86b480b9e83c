//! The job `spin`, which needs nothing of the host.

use test_extension::spin::{SpinState, spin};
use toehold_sdk::JobResult;
use toehold_sdk::testing::FakeHost;

fn of(rounds: u64) -> SpinState {
    SpinState { rounds, ..SpinState::default() }
}

#[test]
fn it_computes_as_many_rounds_as_it_is_told() {
    let run = FakeHost::new().run(spin, of(3));
    // The first three steps from 1, computed apart.
    assert_eq!(run.state, Some(SpinState { rounds: 3, done: 3, value: VALUE }));
    assert_eq!(run.log_texts(), [format!("3 rounds come to {VALUE:016x}")]);
    let run = FakeHost::new().run(spin, of(2_500));
    assert_eq!((run.items, run.checks, run.checkpoints.len()), (2_500, 3, 0));
    assert_eq!(FakeHost::new().run_from(spin, b"").items, 1_000_000);
}

const VALUE: u64 = 0x9b1e_842f_6e86_2629;

#[test]
fn wherever_it_is_interrupted_it_comes_to_the_same() {
    let straight = FakeHost::new().run(spin, of(4_500));
    for first in 0..5 {
        let run = FakeHost::new().interrupt_after(first).run(spin, of(4_500));
        assert_eq!((run.result, run.items), (JobResult::Interrupted, 1_000 * first));
        let rest = FakeHost::new().run_from(spin, run.last_checkpoint().unwrap());
        assert_eq!(rest.state, straight.state, "interrupted after {first}");
        assert_eq!(run.items + rest.items, straight.items);
    }
}
