//! The power goes at every operation of flash of a whole run: the job goes on from what was acknowledged, and each of its
//! effects stands once.

use std::{cell::RefCell, collections::BTreeMap};

use no_std_host::{Config, Operations, sim::Tear};
use toehold::{Called, Checkpoint};

use crate::{
    guests::{JOBS, package, state},
    support::{Bench, Flash, Store},
};

const ITEMS: u8 = 50;

thread_local! {
    /// What was carried out, by key: how often it was asked for, and how often it was done.
    static MARKS: RefCell<BTreeMap<u64, (u32, u32)>> = RefCell::default();
}

/// An operation that acts once for each key, as one with an effect must.
fn config() -> Config {
    let mut operations = Operations::default();
    operations.register("action:mark", |call| {
        MARKS.with_borrow_mut(|marks| {
            let (asked, done) = marks.entry(call.key.number).or_default();
            *asked += 1;
            *done = 1;
        });
        Called::Ready(Ok(b"{}".to_vec()))
    });
    Config { operations, ..Config::default() }
}

const ID: &str = "00000001-0000-4000-8000-000000000000";

/// A board with the extension, off.
fn board() -> Flash {
    let mut bench = Bench::with(config);
    assert!(bench.install(&package("jobs", JOBS)).starts_with("ok"));
    bench.power_off();
    bench.flash().clone()
}

/// How a run came to its end.
#[derive(Debug, PartialEq)]
enum End {
    Completed,
    /// The store could take no more.
    Cut,
}

/// A moment of the run: the flash, what had happened outside, and what the guest had been told of.
struct Moment {
    flash: Flash,
    marks: BTreeMap<u64, (u32, u32)>,
    acknowledged: u64,
}

impl Moment {
    fn operations(&self) -> u64 {
        let counts = self.flash.counts();
        counts.programs + counts.erases
    }
}

/// Has the board run the job, which it is asked for as often as it takes. Gives the newest checkpoint that the guest was told is
/// durable.
fn run(bench: &mut Bench, mut acknowledged: u64, mut each_round: impl FnMut(u64)) -> (u64, End) {
    bench.send(format!("run jobs:tally id={ID} {}\n", state(ITEMS)).as_bytes());
    loop {
        bench.rounds(1);
        let shell = bench.shell.as_ref().unwrap();
        if let Some(context) = shell.context(ID.parse().unwrap()) {
            acknowledged = acknowledged.max(context.report().checkpoints);
        }
        each_round(acknowledged);
        while let Some(line) = bench.lines.pop_front() {
            if line.starts_with("* completed") {
                return (acknowledged, End::Completed);
            }
            if line.starts_with("* paused") || line.starts_with("err flash") {
                return (acknowledged, End::Cut);
            }
        }
    }
}

/// All moments between two rounds of a run that nothing disturbs.
fn moments() -> Vec<Moment> {
    MARKS.take();
    let flash = board();
    let mut bench = Bench::off(config, flash.clone());
    bench.power_on();
    let mut moments: Vec<Moment> = Vec::new();
    let (_, end) = run(&mut bench, 0, |acknowledged| {
        let moment = Moment { flash: flash.copy(), marks: MARKS.with_borrow(Clone::clone), acknowledged };
        if moments.last().is_none_or(|last| last.operations() < moment.operations()) {
            moments.push(moment);
        }
    });
    assert_eq!(end, End::Completed);
    moments
}

/// The newest checkpoint that a flash has of the job.
fn newest(flash: &Flash) -> Option<u64> {
    let mut store = Store::open(flash.clone()).unwrap_or_else(|refused| panic!("{}", refused.error));
    let saved = toehold::Store::load(&mut store, ID.parse().unwrap()).unwrap()?;
    Some(Checkpoint::decode(&saved.newest).unwrap().sequence)
}

fn cut_everywhere(tear: Tear) {
    let moments = moments();
    let first = moments.first().unwrap().operations();
    let last = moments.last().unwrap().operations();
    assert!(last - first > 250, "{first} to {last}");
    for cut in first..last {
        let context = format!("{tear:?}, cut after {cut} operations");
        let moment = moments.iter().rfind(|moment| moment.operations() <= cut).unwrap();
        let flash = moment.flash.copy();
        MARKS.set(moment.marks.clone());
        let mut bench = Bench::off(config, flash.clone());
        bench.power_on();
        let done = flash.counts();
        flash.cut_after(cut - moment.operations(), tear);
        let (acknowledged, end) = run(&mut bench, moment.acknowledged, |_| {});
        assert_eq!(end, End::Cut, "{context}: {done:?}");
        drop(bench);

        flash.power_on();
        let found = newest(&flash);
        let is_newest = found.unwrap_or(0) == acknowledged || found == Some(acknowledged + 1);
        assert!(is_newest, "{context}: {found:?}, acknowledged was {acknowledged}");
        let mut bench = Bench::off(config, flash);
        bench.power_on();
        assert_eq!(run(&mut bench, acknowledged, |_| {}).1, End::Completed, "{context}");
        assert_eq!(bench.status(ID, "items"), Some(ITEMS.to_string()), "{context}");
        // The 50 calls of the run, each done once, and no other.
        let keys: Vec<u64> = MARKS.with_borrow(|marks| marks.keys().copied().collect());
        assert_eq!(keys, (1..=u64::from(ITEMS)).collect::<Vec<_>>(), "{context}");
        // At most the one that was under way was asked for a second time.
        let again = MARKS.with_borrow(|marks| marks.values().filter(|(asked, _)| *asked > 1).count());
        assert!(again <= 1, "{context}: {again}");
    }
}

#[test]
fn nothing_of_what_is_torn_is_done() {
    cut_everywhere(Tear::Nothing);
}

#[test]
fn the_front_of_what_is_torn_is_done() {
    cut_everywhere(Tear::Front);
}

#[test]
fn the_back_of_what_is_torn_is_done() {
    cut_everywhere(Tear::Back);
}

#[test]
fn what_is_torn_is_zeros() {
    cut_everywhere(Tear::Zeros);
}

#[test]
fn what_is_torn_is_anything() {
    cut_everywhere(Tear::Random);
}
