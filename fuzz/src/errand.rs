//! Jobs with effects that are cut off anywhere, against what they must have done.

use arbitrary::{Arbitrary, Unstructured};
use toehold::{Limits, Outcome};

use crate::{
    guests::{job_body, load},
    world::{World, number},
};

/// What a job does, one after the other. Its state is how far it has come.
#[derive(Debug, Arbitrary)]
enum Does {
    Query,
    Effect,
    AnotherEffect(u8),
    Checkpoint,
    /// It asks whether to stop, and does as it is told.
    Ask,
    /// It asks, and takes no notice.
    AskInVain,
    Item,
    Log,
    Burn(u8),
}

#[derive(Debug, Arbitrary)]
struct Errand {
    does: Vec<Does>,
    journal_bytes: u16,
    replay_fuel: u16,
    slice: u16,
    /// After how many events it is cut off.
    cuts: Vec<u8>,
    pauses: Vec<bool>,
}

impl Does {
    fn code(&self, at: usize) -> String {
        let checkpoint = |state: usize| {
            format!(
                "(i32.store (i32.const 300) (i32.const {state}))
                 (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const 4)))"
            )
        };
        let effect = |bytes: u32| {
            format!(
                "(i32.store (i32.const 200) (i32.const {at})) (drop (call $call (i32.const 150) (i32.const 13)
                     (i32.const 0) (i32.const 200) (i32.const {bytes})))"
            )
        };
        match self {
            Self::Query => {
                "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))"
                    .to_owned()
            }
            Self::Effect => effect(4),
            Self::AnotherEffect(more) => effect(4 + u32::from(*more)),
            Self::Checkpoint => checkpoint(at + 1),
            Self::Ask => format!(
                "(if (call $interrupt (i32.const 64)) (then {} (return (i32.const 1))))",
                checkpoint(at)
            ),
            Self::AskInVain => "(drop (call $interrupt (i32.const 64)))".to_owned(),
            Self::Item => "(call $items (i32.const 64) (i64.const 1))".to_owned(),
            Self::Log => "(call $log (i32.const 1) (i32.const 112) (i32.const 5))".to_owned(),
            Self::Burn(times) => format!(
                "(local.set $n (i32.const 0)) (loop (br_if 0 (i32.lt_u
                     (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {}))))",
                u32::from(*times) * 20
            ),
        }
    }

    fn is_effect(&self) -> bool {
        matches!(self, Self::Effect | Self::AnotherEffect(_))
    }
}

/// A job that is cut off at any events, paused, entered again for a shorter journal: each of its effects stands once, in order,
/// and so do its items.
pub fn journal(data: &[u8]) {
    let Ok(mut errand) = Errand::arbitrary(&mut Unstructured::new(data)) else { return };
    errand.does.truncate(40);
    let code: String = (errand.does.iter().enumerate())
        .map(|(at, does)| {
            format!("(if (i32.le_u (local.get $from) (i32.const {at})) (then {}))\n", does.code(at))
        })
        .collect();
    let body = job_body(&format!(
        "(local $from i32) (local $n i32)
         (if (local.get 3) (then (local.set $from (i32.load (local.get 2))))) {code} (i32.const 0)"
    ));
    let limits = Limits {
        journal_bytes: 400 + usize::from(errand.journal_bytes),
        fuel_per_job: u64::MAX,
        replay_fuel: 1_000 + 10 * u64::from(errand.replay_fuel),
        ..crate::limits()
    };
    let Ok(extension) = load(&format!("(data (i32.const 150) \"action:kv.put\") {body}"), &limits) else {
        panic!("the errand does not load: {errand:?}");
    };
    let mut world = World::of(extension, b"");
    world.slice = 1 + u64::from(errand.slice % 4_000);
    let outcome = run(&mut world, &errand);
    let effects = errand.does.iter().enumerate().filter(|(_, does)| does.is_effect());
    let expected: Vec<u32> = effects.map(|(at, _)| at as u32).collect();
    let found: Vec<u32> = world.effects.values().map(|payload| number(&payload[..4])).collect();
    let items = errand.does.iter().filter(|does| matches!(does, Does::Item)).count();
    match outcome {
        Some(Outcome::Completed) => {
            assert_eq!(found, expected, "each effect once: {errand:?}");
            assert_eq!(world.newest_items, items as u64, "each item once: {errand:?}");
        }
        // A job that takes no notice may go over its journal's limit.
        Some(Outcome::Failed(failure)) => {
            assert!(failure.to_string().contains("the limit is"), "{failure}: {errand:?}");
            assert!(expected.starts_with(&found), "{found:?} of {expected:?}: {errand:?}");
        }
        other => panic!("{other:?}: {errand:?}"),
    }
}

fn run(world: &mut World, errand: &Errand) -> Option<Outcome> {
    let mut pauses = errand.pauses.iter().copied();
    // It gets a slice after each pause, or nothing but pauses would never end.
    let mut held = false;
    let mut pause = move || {
        held = !held && pauses.next().unwrap_or(false);
        held
    };
    for cut in errand.cuts.iter().take(12) {
        if let Some(outcome) = world.run(usize::from(*cut % 60), &mut pause) {
            return Some(outcome);
        }
    }
    world.run(usize::MAX, &mut pause)
}
