//! The property that everything must keep: a job cut into any slices, and paused anywhere, does what one does that ran
//! straight.

use proptest::prelude::*;
use toehold::{Answer, Extension, Job, Limits, Outcome, Step};

use crate::{guests::*, observe::observe};

/// A job that uses all there is: calls, refused calls, checkpoints, logs, bulk memory, growth, deep recursion, floats.
fn guest() -> Extension {
    let init = r#"(func (export "plugin_init") (result i32)
        (drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $register (i32.const 128) (i32.const 2) (i32.const 136) (i32.const 10) (i32.const 1)))"#;
    let deep = r"(table $t 4 funcref)
        (func $deep (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 3)))
                (else (i32.const 1))))";
    let job = job_body(
        r"(local $i i32) (local $reply i32)
          (loop
            (drop (call $interrupt (i32.const 64)))
            (call $items (i32.const 64) (i64.extend_i32_u (call $deep (i32.mul (local.get $i) (i32.const 40)))))
            (local.set $reply (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 112) (local.get $i)))
            (call $bytes (i32.const 64) (i64.load32_u (local.get $reply)))
            (drop (call $call (i32.const 112) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0)))
            (memory.copy (i32.const 2048) (i32.const 256) (i32.const 1500))
            (memory.fill (i32.const 2048) (local.get $i) (i32.const 1700))
            (drop (memory.grow (i32.const 1)))
            (drop (table.grow $t (ref.null func) (i32.const 15)))
            (drop (table.grow $t (ref.null func) (i32.const 16)))
            (drop (table.grow $t (ref.null func) (i32.const 30)))
            (call $warn (i32.const 64) (i32.const 112) (i32.const 5))
            (call $log (i32.const 0) (i32.const 256) (i32.const 700))
            (call $progress (i32.const 64) (f32.div (f32.convert_i32_u (local.get $i)) (f32.const 7)) (i32.const 96) (local.get $i))
            (i32.store (i32.const 3900) (i32.add (local.get $i) (table.size $t)))
            (drop (call $checkpoint (i32.const 64) (i32.const 3900) (i32.const 4)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 7))))
          (i32.const 0)",
    );
    // No grace: a pause holds the guest where it is, and tells it nothing.
    let limits = Limits { grace_fuel: 0, ..Limits::default() };
    load(&format!("{init} {deep} {job}"), &limits).unwrap()
}

#[test]
fn the_straight_run_is_what_it_should_be() {
    let straight = observe(start(&guest()), || (u64::MAX, false));
    assert_eq!(straight.outcome, Outcome::Completed);
    assert_eq!((straight.calls.len(), straight.checkpoints.len()), (7, 7));
    assert_eq!(straight.report.warnings.len(), 7);
    // Growing by 15 works, by more is refused: 4 + 7 * 15 elements in the end, and the loop's last number, 6.
    assert_eq!(straight.checkpoints[6].state, 115_u32.to_le_bytes());
}

proptest! {
    #[test]
    fn any_slices_and_pauses_do_what_a_straight_run_does(
        slices in proptest::collection::vec((prop_oneof![1_u64..4, 1_u64..300, 1_u64..20_000], any::<bool>()), 1..40)
    ) {
        let extension = guest();
        let straight = observe(start(&extension), || (u64::MAX, false));
        let mut slices = slices.into_iter().cycle();
        let cut = observe(start(&extension), || slices.next().unwrap_or((1, false)));
        prop_assert_eq!(straight, cut);
    }

    #[test]
    fn a_jobs_fuel_ends_at_the_same_place_in_any_slices(limit in 1_u64..30_000, slice in 1_u64..2_000) {
        let limits = Limits { fuel_per_job: limit, grace_fuel: 0, ..Limits::default() };
        let body = job_body(
            "(loop (call $items (i32.const 64) (i64.const 1)) (call $log (i32.const 0) (i32.const 256) (i32.const 900)) (br 0)) (unreachable)",
        );
        let extension = load(&body, &limits).unwrap();
        let straight = observe(start(&extension), || (u64::MAX, false));
        let cut = observe(start(&extension), || (slice, false));
        prop_assert_eq!(straight, cut);
    }
}

/// A job that asks whether to stop: each run adds to its state, a byte, until it is 100.
fn cooperative() -> Extension {
    let job = job_body(
        r"(local $n i32)
          (if (local.get 3) (then (local.set $n (i32.load8_u (local.get 2)))))
          (loop
            (i32.store8 (i32.const 3900) (local.get $n))
            (if (call $interrupt (i32.const 64)) (then
              (drop (call $checkpoint (i32.const 64) (i32.const 3900) (i32.const 1)))
              (return (i32.const 1))))
            (call $items (i32.const 64) (i64.const 1))
            (memory.fill (i32.const 2048) (local.get $n) (i32.const 1700))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100))))
          (i32.store8 (i32.const 3900) (local.get $n))
          (call $checkpoint (i32.const 64) (i32.const 3900) (i32.const 1))",
    );
    load(&job, &Limits::default()).unwrap()
}

proptest! {
    #[test]
    fn a_job_that_checkpoints_when_it_is_paused_does_each_item_once(
        slices in proptest::collection::vec((1_u64..3_000, any::<bool>()), 1..60)
    ) {
        let mut job = start(&cooperative());
        let mut slices = slices.into_iter().cycle();
        let (mut answer, mut held) = (None, false);
        let outcome = loop {
            let (fuel, pause) = slices.next().unwrap_or((1, false));
            // After each pause it gets a slice, or vectors of nothing but pauses would never end.
            if pause && !held {
                job.context().control().pause();
            } else {
                job.context().control().resume();
            }
            held = false;
            let step = match answer.take() {
                Some(answer) => job.answer(answer, 0).unwrap(),
                None => job.step(fuel, 0).unwrap(),
            };
            match step {
                Step::Yielded => {}
                Step::Paused => held = true,
                Step::Commit(commit) => answer = Some(durable(&commit)),
                Step::Call(call) => panic!("{call:?}"),
                Step::Finished(Outcome::Interrupted) => {
                    job = job.next_run().unwrap();
                    held = true;
                }
                Step::Finished(outcome) => break outcome,
            }
        };
        prop_assert_eq!(outcome, Outcome::Completed);
        prop_assert_eq!(job.context().report().items, 100);
        prop_assert_eq!(job.state(), [100]);
    }
}

/// A job with effects that asks whether to stop: each run goes on from its state, a byte, until it is 100.
fn with_effects(limits: &Limits) -> Extension {
    let job = job_body(
        r#"(local $n i32)
          (if (local.get 3) (then (local.set $n (i32.load8_u (local.get 2)))))
          (loop
            (i32.store8 (i32.const 3900) (local.get $n))
            (if (call $interrupt (i32.const 64)) (then
              (drop (call $checkpoint (i32.const 64) (i32.const 3900) (i32.const 1)))
              (return (i32.const 1))))
            (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (local.get $n)))
            (memory.fill (i32.const 2048) (local.get $n) (i32.const 1700))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100))))
          (i32.const 0)"#,
    );
    load(&format!(r#"(data (i32.const 150) "action:kv.put") {job}"#), limits).unwrap()
}

/// The job's fuel and state at the end of each of its runs.
fn runs(mut job: Job, mut slice: impl FnMut() -> u64) -> Vec<(u64, Vec<u8>)> {
    let (mut runs, mut answer) = (Vec::new(), None);
    loop {
        let step = match answer.take() {
            Some(answer) => job.answer(answer, 0).unwrap(),
            None => job.step(slice(), 0).unwrap(),
        };
        match step {
            Step::Yielded => {}
            Step::Commit(commit) => answer = Some(durable(&commit)),
            Step::Call(call) => {
                answer = Some(Answer::Reply { call: call.key.number, reply: Ok(b"{}".to_vec()) })
            }
            Step::Finished(Outcome::Interrupted) => {
                runs.push((job.context().fuel_used(), job.state().to_vec()));
                job = job.next_run().unwrap();
            }
            Step::Finished(outcome) => {
                assert_eq!(outcome, Outcome::Completed);
                runs.push((job.context().fuel_used(), job.state().to_vec()));
                return runs;
            }
            Step::Paused => panic!("nobody paused it"),
        }
    }
}

proptest! {
    #[test]
    fn a_job_is_entered_again_at_the_same_places_in_any_slices(
        journal_bytes in 400_usize..4_000,
        replay_fuel in 500_u64..10_000,
        slices in proptest::collection::vec(prop_oneof![1_u64..4, 1_u64..300, 1_u64..20_000], 1..40)
    ) {
        let extension = with_effects(&Limits { journal_bytes, replay_fuel, ..Limits::default() });
        let straight = runs(start(&extension), || u64::MAX);
        prop_assert!(straight.len() > 1, "it was never entered again");
        let mut slices = slices.into_iter().cycle();
        let cut = runs(start(&extension), || slices.next().unwrap_or(1));
        prop_assert_eq!(straight, cut);
    }
}
