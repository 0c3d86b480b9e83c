//! Many jobs on one thread.

use std::collections::BTreeMap;

use toehold::{Job, JobStart, Limits, Outcome, Priority, Registry, Scheduler, Stopped, Turn, Uuid};

use crate::guests::*;

const SPIN: &str = "(loop (br 0)) (unreachable)";

fn spinning(registry: &Registry, id: u128) -> Job {
    let extension = load(&job_body(SPIN), &Limits::default()).unwrap();
    let start = JobStart { id: Uuid::from_u128(id), ..JobStart::default() };
    extension.start(registry, "go", start).unwrap()
}

/// Fuel of each job after so many turns.
fn shares(scheduler: &mut Scheduler, turns: usize) -> BTreeMap<u128, u64> {
    for _ in 0..turns {
        assert!(matches!(scheduler.turn(&mut Desk::default(), 10_000), Turn::Ran(_)));
    }
    scheduler.jobs().map(|job| (job.context().id().as_u128(), job.context().fuel_used())).collect()
}

#[test]
fn jobs_of_a_priority_get_the_same_fuel() {
    let (registry, mut scheduler) = (Registry::default(), Scheduler::new());
    for id in 0..10 {
        scheduler.add(spinning(&registry, id), Priority::Normal);
    }
    let shares = shares(&mut scheduler, 1_000);
    let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
    assert!(most - least <= 20_000, "{shares:?}");
}

#[test]
fn each_priority_has_eight_times_the_fuel_of_the_one_below() {
    let (registry, mut scheduler) = (Registry::default(), Scheduler::new());
    for (id, priority) in Priority::ALL.into_iter().enumerate() {
        scheduler.add(spinning(&registry, id as u128), priority);
    }
    let shares = shares(&mut scheduler, 7_300);
    assert!((780..=820).contains(&(100 * shares[&1] / shares[&0])), "{shares:?}");
    assert!((780..=820).contains(&(100 * shares[&2] / shares[&1])), "{shares:?}");
}

#[test]
fn one_that_comes_late_gets_its_share_and_no_more() {
    let (registry, mut scheduler) = (Registry::default(), Scheduler::new());
    scheduler.add(spinning(&registry, 1), Priority::Normal);
    let before = shares(&mut scheduler, 1_000)[&1];
    scheduler.add(spinning(&registry, 2), Priority::Normal);
    let after = shares(&mut scheduler, 1_000);
    let (old, new) = (after[&1] - before, after[&2]);
    assert!(old.abs_diff(new) <= 30_000, "{old} and {new}");
}

#[test]
fn a_job_that_is_over_or_paused_is_given_back() {
    let (registry, mut scheduler) = (Registry::default(), Scheduler::new());
    scheduler.add(spinning(&registry, 1), Priority::Normal);
    registry.get(Uuid::from_u128(1)).unwrap().control().pause();
    let Turn::Stopped(job, Stopped::Paused) = scheduler.turn(&mut Desk::default(), SLICE) else {
        panic!("it goes on")
    };
    assert!(scheduler.is_empty() && !scheduler.is_ready());
    assert!(matches!(scheduler.turn(&mut Desk::default(), SLICE), Turn::Idle));
    job.context().control().cancel();
    scheduler.add(*job, Priority::Normal);
    let turn = scheduler.turn(&mut Desk::default(), SLICE);
    assert!(matches!(turn, Turn::Stopped(_, Stopped::Finished(Outcome::Cancelled))), "{turn:?}");
}

/// A shell whose only operation is to sleep.
struct Night {
    now: u64,
    until: u64,
}

impl toehold::Platform for Night {
    fn now(&mut self) -> u64 {
        self.now
    }
    fn call(&mut self, _call: &std::sync::Arc<toehold::Call>) -> toehold::Called {
        if self.now < self.until {
            return toehold::Called::Until(self.until);
        }
        toehold::Called::Ready(Ok(b"null".to_vec()))
    }
    fn commit(
        &mut self,
        _job: &toehold::JobContext,
        _commit: &std::sync::Arc<toehold::Commit>,
    ) -> std::task::Poll<Result<(), toehold::NotDurable>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn idle(&mut self, _until: Option<u64>) {}
}

#[test]
fn a_job_that_sleeps_takes_no_turns_until_it_is_due() {
    let body = "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)";
    let (mut scheduler, mut night) = (Scheduler::new(), Night { now: 5, until: 1_000 });
    scheduler.add(job(body), Priority::Normal);
    while scheduler.is_ready() {
        scheduler.turn(&mut night, SLICE);
    }
    assert_eq!(scheduler.next_due(), Some(1_000));
    scheduler.wake_due(999);
    assert!(!scheduler.is_ready());
    night.now = 1_000;
    scheduler.wake_due(1_000);
    assert_eq!(scheduler.next_due(), None);
    let mut last = scheduler.turn(&mut night, SLICE);
    while scheduler.is_ready() {
        last = scheduler.turn(&mut night, SLICE);
    }
    assert!(matches!(last, Turn::Stopped(_, Stopped::Finished(Outcome::Completed))), "{last:?}");
}

#[test]
fn a_sleeping_job_hears_of_a_cancel_when_it_is_woken() {
    let body = "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)";
    let (mut scheduler, mut night) = (Scheduler::new(), Night { now: 5, until: 1_000 });
    scheduler.add(job(body), Priority::Normal);
    while scheduler.is_ready() {
        scheduler.turn(&mut night, SLICE);
    }
    scheduler.get(ID).unwrap().context().control().cancel();
    scheduler.wake(ID);
    assert_eq!(scheduler.next_due(), None);
    let turn = scheduler.turn(&mut night, SLICE);
    assert!(matches!(turn, Turn::Stopped(_, Stopped::Finished(Outcome::Cancelled))), "{turn:?}");
}
