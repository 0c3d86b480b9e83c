//! A suite that holds any [`Store`] to its contract, and a store in memory that loses power when it is told to.
//!
//! ```
//! use toehold::conformance::{self, Cut, Plan, PowerStore};
//!
//! conformance::check(&Plan::default(), || {
//!     let store = PowerStore::default();
//!     move || Ok(store.clone())
//! });
//! conformance::check_power_cuts(&Plan::small(), || {
//!     let store = PowerStore::default();
//!     move |cut: Option<u64>| {
//!         store.power_on();
//!         if let Some(changes) = cut {
//!             store.cut_after(changes, Cut::Unacknowledged);
//!         }
//!         Ok(store.clone())
//!     }
//! });
//! ```

mod model;
mod plan;
mod power_store;
mod sample;
#[cfg(test)]
mod tests;

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use uuid::Uuid;

pub use plan::Plan;
pub use power_store::{Cut, PowerOff, PowerStore};

use crate::Store;
use model::Model;
use plan::{Action, Random};

/// Checks a store that is closed and opened again, with power all the while.
///
/// `new` makes an empty place for a store. What it gives opens the store there, the first time and after each drop of the
/// one before.
///
/// # Panics
/// Where the store breaks its contract, or has an error; the message says after which changes.
pub fn check<S: Store, O: FnMut() -> Result<S, S::Error>>(plan: &Plan, mut new: impl FnMut() -> O) {
    for actions in plan.runs() {
        let mut reopen = new();
        let mut open = || reopen().unwrap_or_else(|error| panic!("the store does not open: {error}"));
        let mut store = open();
        let mut model = Model::default();
        for (step, action) in actions.iter().enumerate() {
            let context = || format!("step {step}, {action}");
            if let Action::Reopen = action {
                drop(store);
                store = open();
            } else if let Err(error) = act(&mut store, action) {
                panic!("{}: {error}", context());
            }
            model.apply(action);
            compare_one(&mut store, &model, action, &context);
            if matches!(action, Action::Reopen) || step % 16 == 0 {
                compare_all(&mut store, &model, &context);
            }
        }
        drop(store);
        compare_all(&mut open(), &model, &|| String::from("opened after the last step"));
    }
}

/// Checks a store that loses power after each number of operations, also while it is opened after a cut.
///
/// `new` makes an empty place for a store. What it gives opens the store there, with power that goes after so many
/// operations, of whatever the place can be cut between: what is under way fails or is torn, and all that comes later
/// fails, until the store is opened again. For `None` the power stays.
///
/// # Panics
/// Where the store breaks its contract, or has an error although its power stays.
pub fn check_power_cuts<S: Store, O: FnMut(Option<u64>) -> Result<S, S::Error>>(
    plan: &Plan,
    mut new: impl FnMut() -> O,
) {
    for actions in plan.runs() {
        let mut cut = 0;
        while run_with_cut(&actions, cut, &mut new()) {
            cut += 1;
        }
    }
}

/// Checks a store that loses power wherever `script` says, again and again, also while it is opened: for fuzzers. `plan` says how
/// large what is stored may be, and `steps` how much is done at most; the script decides the rest.
///
/// `open` opens the store on one place, as what `new` of [`check_power_cuts`] gives does.
///
/// # Panics
/// As [`check_power_cuts`].
pub fn check_script<S: Store>(
    plan: &Plan,
    script: &[u8],
    mut open: impl FnMut(Option<u64>) -> Result<S, S::Error>,
) {
    let (mut random, mut there, mut model) = (Random::scripted(script), BTreeSet::new(), Model::default());
    let mut store = powered(open(None), &|| String::from("opened for a script"));
    let mut goes = false;
    for step in 0..plan.steps {
        if random.is_over() {
            break;
        }
        if !goes && random.below(8) == 0 {
            drop(store);
            let context = || format!("step {step} of a script");
            (store, goes) = open_scripted(&mut open, &mut random, &context);
        }
        let action = plan.action(&mut random, &mut there, step);
        let context = || format!("step {step} of a script, {action}");
        let cut_off = match act(&mut store, &action) {
            Err(error) if !goes => panic!("{}: an error although there is power: {error}", context()),
            Ok(()) => {
                model.apply(&action);
                false
            }
            Err(_) => true,
        };
        if cut_off || matches!(action, Action::Reopen) {
            drop(store);
            if cut_off {
                drop(open_scripted(&mut open, &mut random, &context));
            }
            (store, goes) = (powered(open(None), &context), false);
            if !model.settle(&action, &mut |job| load(&mut store, job, &context)) {
                let found = model.describe(&action, &mut |job| load(&mut store, job, &context));
                panic!("{}: neither as before it nor as after it: {found}", context());
            }
            // What was cut off may be there or not: what is new decides what its first change must have.
            there = model.jobs().iter().map(|job| job.as_u128() as u32).collect();
            compare_all(&mut store, &model, &context);
        }
    }
    drop(store);
    let context = || String::from("opened after the last step of a script");
    compare_all(&mut powered(open(None), &context), &model, &context);
}

/// Opens a store whose power goes after some operations; where that is before it is open, after others. Says whether the power is
/// still to go.
fn open_scripted<S: Store>(
    open: &mut impl FnMut(Option<u64>) -> Result<S, S::Error>,
    random: &mut Random<'_>,
    context: &dyn Fn() -> String,
) -> (S, bool) {
    for _ in 0..4 {
        let cut = match random.below(4) {
            0 => random.below(4),
            1 => random.below(256),
            _ => random.below(40),
        };
        if let Ok(store) = open(Some(u64::from(cut))) {
            return (store, true);
        }
    }
    (powered(open(None), context), false)
}

/// Runs all actions, of which one is cut. False if the power lasted for all of them.
fn run_with_cut<S: Store>(
    actions: &[Action],
    cut: u64,
    open: &mut impl FnMut(Option<u64>) -> Result<S, S::Error>,
) -> bool {
    let mut model = Model::default();
    // A cut may hit the very first opening.
    let mut opened = open(Some(cut)).ok();
    let mut was_cut = opened.is_none();
    for (step, action) in actions.iter().enumerate() {
        let context = || format!("power cut after {cut} operations, step {step}, {action}");
        let mut store = match opened.take() {
            Some(store) => store,
            None => powered(open(None), &context),
        };
        if matches!(action, Action::Reopen) {
            // Before the cut this would give the power that is to go.
            if was_cut {
                drop(store);
                store = powered(open(None), &context);
                compare_all(&mut store, &model, &context);
            }
        } else {
            match act(&mut store, action) {
                Ok(()) => model.apply(action),
                Err(error) if was_cut => panic!("{}: an error after the power came back: {error}", context()),
                Err(_) => {
                    was_cut = true;
                    drop(store);
                    store = open_with_cuts(open, &context);
                    if !model.settle(action, &mut |job| load(&mut store, job, &context)) {
                        let found = model.describe(action, &mut |job| load(&mut store, job, &context));
                        panic!("{}: neither as before it nor as after it: {found}", context());
                    }
                    compare_all(&mut store, &model, &context);
                }
            }
        }
        opened = Some(store);
    }
    drop(opened.take());
    let context = || format!("power cut after {cut} operations, opened after the last step");
    compare_all(&mut powered(open(None), &context), &model, &context);
    was_cut
}

/// Opens a store whose power goes while it is opened and first read, later and later, until it lasts.
fn open_with_cuts<S: Store>(
    open: &mut impl FnMut(Option<u64>) -> Result<S, S::Error>,
    context: &dyn Fn() -> String,
) -> S {
    /// More than what any store needs to open.
    const MOST: u64 = 10_000;
    for cut in 0..MOST {
        if open(Some(cut)).is_ok_and(|mut store| store.jobs().is_ok()) {
            return powered(open(None), context);
        }
    }
    panic!("{}: the store does not open within {MOST} operations", context());
}

fn powered<S: Store>(opened: Result<S, S::Error>, context: &dyn Fn() -> String) -> S {
    opened.unwrap_or_else(|error| panic!("{}: the store does not open: {error}", context()))
}

fn act<S: Store>(store: &mut S, action: &Action) -> Result<(), S::Error> {
    match action {
        Action::Change(job, change) => store.change(*job, change),
        Action::Remove(job) => store.remove(*job),
        Action::Reopen => Ok(()),
    }
}

fn load<S: Store>(store: &mut S, job: Uuid, context: &dyn Fn() -> String) -> Option<crate::Saved> {
    match store.load(job) {
        Ok(saved) => saved,
        Err(error) => panic!("{}: job {job} can't be read: {error}", context()),
    }
}

/// Compares what an action was about.
fn compare_one<S: Store>(store: &mut S, model: &Model, action: &Action, context: &dyn Fn() -> String) {
    if let Some(job) = action.job() {
        model.compare(job, load(store, job, context).as_ref(), context);
    }
}

/// Compares all that there is.
fn compare_all<S: Store>(store: &mut S, model: &Model, context: &dyn Fn() -> String) {
    let mut jobs: Vec<Uuid> = match store.jobs() {
        Ok(jobs) => jobs,
        Err(error) => panic!("{}: the jobs can't be read: {error}", context()),
    };
    jobs.sort_unstable();
    let expected = model.jobs();
    assert!(jobs == expected, "{}: it has the jobs {jobs:?}, not {expected:?}", context());
    for job in expected {
        model.compare(job, load(store, job, context).as_ref(), context);
    }
}
