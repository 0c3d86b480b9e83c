//! Jobs that are cut off at any point, and come back from what a store has.

use proptest::prelude::*;
use toehold::{
    Bundle, Checkpoint, Extension, Interrupt, JournalEntry, Limits, Outcome, Recovery, Registry, Saved,
    StartError, Step,
};

use crate::{guests::*, world::*};

#[test]
fn a_job_that_is_cut_off_at_any_event_has_each_effect_once() {
    let mut events = 0;
    loop {
        let mut world = World::new(&Limits::default());
        let finished = world.run(events, || false).is_some();
        if !finished {
            assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed), "after {events} events");
        }
        world.check();
        // The prologue is entered anew only after a checkpoint that no effect has followed: then nobody can tell.
        assert!(world.drawn().len() <= 2, "after {events} events: {:?}", world.drawn());
        if finished {
            break;
        }
        events += 1;
    }
    // Each effect has two commits and a call with two events each, each of 3 checkpoints and the draw two events.
    assert_eq!(events, 12 * 6 + 3 * 2 + 2);
}

#[test]
fn a_job_that_is_cut_off_twice_has_each_effect_once() {
    for first in 0..80 {
        for second in 0..12 {
            let mut world = World::new(&Limits::default());
            if world.run(first, || false).is_none() && world.run(second, || false).is_none() {
                assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed));
            }
            world.check();
        }
    }
}

proptest! {
    #[test]
    fn a_job_that_is_cut_off_and_paused_anywhere_has_each_effect_once(
        cuts in proptest::collection::vec(0_usize..40, 0..8),
        pauses in proptest::collection::vec(any::<bool>(), 1..30),
        journal_bytes in prop_oneof![Just(1 << 20), 300_usize..2_000],
    ) {
        let mut world = World::new(&Limits { journal_bytes, ..Limits::default() });
        let mut pauses = pauses.into_iter().chain([false]).cycle();
        let mut held = false;
        // It gets a slice after each pause, or nothing but pauses would never end.
        let mut pause = move || { held = !held && pauses.next().unwrap_or(false); held };
        let mut outcome = None;
        for cut in cuts.into_iter().chain([usize::MAX]) {
            outcome = world.run(cut, &mut pause);
            if outcome.is_some() {
                break;
            }
        }
        prop_assert_eq!(outcome, Some(Outcome::Completed));
        world.check();
    }
}

#[test]
fn a_long_run_is_entered_again_from_a_checkpoint() {
    let mut world = World::new(&Limits { journal_bytes: 800, ..Limits::default() });
    assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed));
    world.check();
    assert!(world.drawn().len() > 1, "the prologue ran once only");
    assert!(world.saved.journal.len() < 800);
}

#[test]
fn a_long_replay_is_avoided_by_fuel_too() {
    let mut world = World::new(&Limits { replay_fuel: 1_000, ..Limits::default() });
    assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed));
    world.check();
    assert!(world.drawn().len() > 1, "the prologue ran once only");
}

/// Effects without end, and no question whether to stop.
const DEAF: &str = r#"(loop
    (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 8))) (br 0)) (unreachable)"#;
/// Queries without end, a checkpoint after each.
const CURIOUS: &str = r"(loop
    (drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 200) (i32.const 8)))
    (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const 4)))
    (call $items (i32.const 64) (i64.const 1))
    (br_if 0 (i32.lt_u (local.tee 3 (i32.add (local.get 3) (i32.const 1))) (i32.const 200)))) (i32.const 0)";

fn with_limit(body: &str) -> toehold::Job {
    let limits = Limits { journal_bytes: 1_000, ..Limits::default() };
    start(&load(&format!("(data (i32.const 150) \"action:kv.put\") {}", job_body(body)), &limits).unwrap())
}

#[test]
fn a_deaf_job_with_effects_ends_at_the_journals_limit() {
    let outcome = finish(&mut with_limit(DEAF));
    assert!(
        failure(&outcome).contains("bytes of replies since it was entered, the limit is 1000"),
        "{outcome:?}"
    );
}

#[test]
fn a_job_without_effects_needs_no_journal() {
    let mut job = with_limit(CURIOUS);
    assert_eq!(finish(&mut job), Outcome::Completed);
    assert_eq!(job.context().report().items, 200);
}

/// A world whose job has no effects, and many queries and checkpoints.
fn curious(limits: &Limits) -> World {
    let extension =
        load(&format!("(data (i32.const 150) \"action:kv.put\") {}", job_body(CURIOUS)), limits).unwrap();
    World::of(extension, b"")
}

#[test]
fn a_job_without_effects_comes_back_from_its_checkpoint_however_many_queries_it_made() {
    let mut world = curious(&Limits { journal_bytes: 1_000, ..Limits::default() });
    assert_eq!(world.run(300, || false), None);
    let recovery = Recovery::new(&world.saved).unwrap();
    assert!(!recovery.is_replay());
    assert!(recovery.newest().sequence > 50, "{}", recovery.newest().sequence);
}

/// A world whose job was cut off after `events`, and its journal.
fn cut_off(events: usize) -> (World, Vec<JournalEntry>) {
    let mut world = World::new(&Limits::default());
    assert_eq!(world.run(events, || false), None);
    let entries = JournalEntry::decode_all(&world.saved.journal).unwrap();
    (world, entries)
}

#[test]
fn a_journal_is_dropped_only_where_no_recovery_needs_it() {
    let (world, entries) = cut_off(40);
    let lean = Recovery::new(&world.saved).unwrap().without_needless_journal();
    assert!(!entries.is_empty() && lean.entries() == entries, "it has effects");
    let bundle = |world: &World| {
        Bundle::new(Checkpoint::decode(&world.saved.newest).unwrap().job_id, world.saved.clone(), None)
    };
    assert_eq!(bundle(&world).without_needless_journal(), bundle(&world));
    let mut world = curious(&Limits::default());
    assert_eq!(world.run(300, || false), None);
    let whole = Recovery::new(&world.saved).unwrap();
    let lean = whole.clone().without_needless_journal();
    assert!(whole.entries().len() > 50 && lean.entries().is_empty());
    assert_eq!(lean.newest(), whole.newest());
    let whole = bundle(&world);
    let lean = whole.clone().without_needless_journal();
    assert_eq!(lean, Bundle { journal: Vec::new(), ..whole });
}

#[test]
fn a_replay_on_another_guest_shows_where_it_differs() {
    let (world, _) = cut_off(20);
    let other =
        load(&format!("(data (i32.const 150) \"action:kv.del\") {}", job_body(DEAF)), &Limits::default())
            .unwrap();
    let mut base = Checkpoint::decode(&world.saved.base).unwrap();
    base.module_hash = other.module().hash;
    let base = base.encode();
    let saved = Saved { base: base.clone(), newest: base, ..world.saved };
    let mut job = other.recover(&Registry::default(), Recovery::new(&saved).unwrap()).unwrap();
    let message = failure(&finish(&mut job));
    assert!(message.contains("the journal has call 1 of query:ping with 0 bytes"), "{message}");
    assert!(message.contains("the guest came to call 1 of action:kv.del with 8 bytes"), "{message}");
}

#[test]
fn a_replay_stands_still_when_it_is_paused_and_goes_on() {
    let (mut world, _) = cut_off(40);
    let mut pauses = [false, true, true, false, true].into_iter().cycle();
    assert_eq!(world.run(usize::MAX, || pauses.next().unwrap()), Some(Outcome::Completed));
    world.check();
}

#[test]
fn what_a_store_has_is_checked_before_it_is_used() {
    let (world, _) = cut_off(40);
    for part in 0..3 {
        for at in 0..20 {
            let mut saved = world.saved.clone();
            let bytes =
                [&mut saved.base, &mut saved.newest, &mut saved.journal].into_iter().nth(part).unwrap();
            bytes[at] ^= 1;
            assert!(Recovery::new(&saved).is_err(), "byte {at} of part {part}");
        }
    }
    let mixed =
        Saved { newest: world.saved.base.clone(), base: world.saved.newest.clone(), ..world.saved.clone() };
    assert!(Recovery::new(&mixed).is_err(), "base and newest are the other way round");
    let other = load(&job_body("(i32.const 0)"), &Limits::default()).unwrap();
    let error = other.recover(&Registry::default(), Recovery::new(&world.saved).unwrap()).unwrap_err();
    assert!(matches!(error, StartError::OtherModule { .. }), "{error}");
}

#[test]
fn interrupts_are_told_again_at_the_same_question() {
    // Counts its questions until it is told to pause, has an effect, and goes on until it is told to go on.
    let job = job_body(
        r"(local $n i32)
          (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 8)))
          (loop (call $items (i32.const 64) (i64.const 1)) (br_if 0 (i32.eqz (call $interrupt (i32.const 64)))))
          (i32.store (i32.const 200) (i32.const 1))
          (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 8)))
          (loop (call $items (i32.const 64) (i64.const 1)) (br_if 0 (call $interrupt (i32.const 64))))
          (i32.store (i32.const 200) (i32.const 2))
          (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 8)))
          (i32.const 0)",
    );
    let extension =
        load(&format!("(data (i32.const 150) \"action:kv.put\") {job}"), &Limits::default()).unwrap();
    let mut world = World::of(extension, b"");
    let mut slices = 0;
    // Six events for each effect: cut after the third was noted and before it is carried out.
    let cut = world.run(14, || {
        slices += 1;
        (10..20).contains(&slices)
    });
    assert_eq!(cut, None);
    let entries = JournalEntry::decode_all(&world.saved.journal).unwrap();
    let told: Vec<i32> = entries
        .iter()
        .filter_map(|entry| match entry {
            JournalEntry::Interrupt { code, .. } => Some(*code),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Interrupt::Pause.code(), Interrupt::None.code()]);
    // Nobody pauses it now.
    assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed));
    let puts: Vec<u32> = world.effects.values().map(|payload| number(&payload[..4])).collect();
    assert_eq!(puts, [0, 1, 2]);
}

/// A job that can't go on from a checkpoint: it takes one all the same, and then has two effects, each with the first
/// byte of the state that it was dispatched with.
fn not_resumable() -> Extension {
    let job = job_body(
        r"(i32.store8 (i32.const 200) (i32.load8_u (local.get 2)))
          (i32.store8 (i32.const 300) (i32.const 9))
          (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const 1)))
          (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 1)))
          (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 1)))
          (i32.const 0)",
    );
    let init = r#"(func (export "plugin_init") (result i32)
        (call $register (i32.const 128) (i32.const 2) (i32.const 136) (i32.const 10) (i32.const 0)))"#;
    load(&format!("(data (i32.const 150) \"action:kv.put\") {init} {job}"), &Limits::default()).unwrap()
}

#[test]
fn a_job_that_is_not_resumable_is_replayed_from_its_dispatch() {
    for first in 0..20 {
        for second in 0..20 {
            let mut world = World::of(not_resumable(), &[5]);
            let ended = world.run(first, || false).is_some() || world.run(second, || false).is_some();
            if !ended {
                let outcome = world.run(usize::MAX, || false);
                assert_eq!(outcome, Some(Outcome::Completed), "cut off after {first} and {second}");
            }
            assert!(world.effects.values().all(|payload| *payload == [5]), "{:?}", world.effects);
            assert_eq!(world.effects.len(), 2);
        }
    }
}

#[test]
fn checkpoints_do_not_get_around_the_journals_limit() {
    let limits = Limits { journal_bytes: 1_000, state_bytes: 10, ..Limits::default() };
    for bytes in [1, 11] {
        let body = format!(
            "(loop (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const {bytes})))
                (br_if 0 (i32.lt_u (local.tee 3 (i32.add (local.get 3) (i32.const 1))) (i32.const 2000)))) (i32.const 0)"
        );
        let mut world = World::of(load(&job_body(&body), &limits).unwrap(), b"");
        assert_eq!(world.run(usize::MAX, || false), Some(Outcome::Completed));
        assert!(world.saved.journal.len() < 1_100, "{} bytes", world.saved.journal.len());
    }
}

#[test]
fn what_is_left_of_a_cancelled_job_is_a_whole_journal() {
    let mut world = World::new(&Limits::default());
    let mut job =
        world.extension.recover(&Registry::default(), Recovery::new(&world.saved).unwrap()).unwrap();
    world.left = usize::MAX;
    let mut step = job.step(SLICE, 0).unwrap();
    loop {
        step = match step {
            Step::Call(call) => {
                let Ok(json) = world.carry_out(&call) else { panic!("cut off") };
                job.answer(reply(&call, Ok(json)), 0).unwrap()
            }
            Step::Commit(commit) => {
                // The store takes it, and before it has said so the job is cancelled.
                assert!(world.store(&commit).is_ok());
                job.context().control().cancel();
                job.step(SLICE, 0).unwrap()
            }
            Step::Finished(outcome) => {
                assert_eq!(outcome, Outcome::Cancelled);
                break;
            }
            _ => job.step(SLICE, 0).unwrap(),
        };
    }
    if let Some(commit) = job.last_commit() {
        assert!(world.store(&commit).is_ok());
    }
    assert!(Recovery::new(&world.saved).is_ok());
}
