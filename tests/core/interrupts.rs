use std::{
    sync::{Arc, mpsc},
    task::Poll,
    thread,
};

use toehold::{
    Commit, Extension, Job, JobContext, Limits, NotDurable, OutOfTurn, Outcome, Registry, Step, Stopped, run,
};

use crate::guests::*;

const LOOPS: [(&str, &str); 3] = [
    ("loop", "(loop (br 0)) (unreachable)"),
    (
        "memory.copy",
        "(loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 65535)) (br 0)) (unreachable)",
    ),
    ("recursion", "(loop (drop (call $deep (i32.const 900))) (br 0)) (unreachable)"),
];

const DEEP: &str = r"(func $deep (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0))))";

fn endless(body: &str) -> Extension {
    load(&format!("{DEEP} {}", job_body(body)), &Limits::default()).unwrap()
}

/// Runs a job on a thread of its own; gives what steers it, once it is known to run.
fn running(extension: &Extension) -> (thread::JoinHandle<(Job, Stopped)>, Arc<JobContext>) {
    struct Tell(Option<mpsc::Sender<()>>);
    impl toehold::Platform for Tell {
        fn now(&mut self) -> u64 {
            0
        }
        fn call(&mut self, _call: &Arc<toehold::Call>) -> toehold::Called {
            toehold::Called::Pending
        }
        fn commit(&mut self, _job: &JobContext, _commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
            Poll::Ready(Ok(()))
        }
        fn idle(&mut self, _until: Option<u64>) {
            self.yielded_once();
            thread::yield_now();
        }
        fn yielded(&mut self, _job: &JobContext) {
            self.yielded_once();
        }
    }
    impl Tell {
        fn yielded_once(&mut self) {
            if let Some(sender) = self.0.take() {
                let _ = sender.send(());
            }
        }
    }
    let mut job = start(extension);
    let context = job.context().clone();
    let (sender, runs) = mpsc::channel();
    let handle = thread::spawn(move || {
        let stopped = run(&mut job, &mut Tell(Some(sender)), SLICE);
        (job, stopped)
    });
    runs.recv().unwrap();
    (handle, context)
}

#[test]
fn a_guest_that_never_asks_is_cancelled_from_another_thread() {
    for (name, body) in LOOPS {
        let (handle, context) = running(&endless(body));
        context.control().cancel();
        assert_eq!(handle.join().unwrap().1, Stopped::Finished(Outcome::Cancelled), "{name}");
    }
}

#[test]
fn a_guest_that_never_asks_is_paused_and_goes_on_where_it_was() {
    for (name, body) in LOOPS {
        let (handle, context) = running(&endless(body));
        context.control().pause();
        let (mut job, stopped) = handle.join().unwrap();
        assert_eq!(stopped, Stopped::Paused, "{name}");
        let used = context.fuel_used();
        assert!(matches!(job.step(SLICE, 0), Ok(Step::Paused)));
        assert_eq!(context.fuel_used(), used, "a paused job runs");
        context.control().resume();
        assert!(matches!(job.step(SLICE, 0), Ok(Step::Yielded)));
        assert!(context.fuel_used() > used);
    }
}

#[test]
fn a_guest_that_asks_gets_to_checkpoint_first() {
    let mut job = job(r"(loop (br_if 0 (i32.eqz (call $interrupt (i32.const 64)))))
          (drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))
          (i32.const 1)");
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Yielded)));
    job.context().control().pause();
    let mut desk = Desk::default();
    assert_eq!(run(&mut job, &mut desk, SLICE), Stopped::Finished(Outcome::Interrupted));
    assert_eq!(desk.saved.len(), 1);

    let mut next = job.next_run().unwrap();
    assert!(matches!(next.step(SLICE, 0), Ok(Step::Paused)), "a pause holds for the next run too");
    assert_eq!(next.state(), b"hello");
    assert_eq!(next.context().report().checkpoints, 1);
    next.context().control().cancel();
    assert_eq!(run(&mut next, &mut desk, SLICE), Stopped::Finished(Outcome::Cancelled));
}

#[test]
fn a_guest_that_asks_but_does_not_stop_is_stopped_after_its_grace() {
    let limits = Limits { grace_fuel: 1_000_000, ..Limits::default() };
    let mut job = job_with("(loop (drop (call $interrupt (i32.const 64))) (br 0)) (unreachable)", &limits);
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Yielded)));
    let before = job.context().fuel_used();
    job.context().control().pause();
    let mut desk = Desk::default();
    assert_eq!(run(&mut job, &mut desk, SLICE), Stopped::Paused);
    let grace = job.context().fuel_used() - before;
    assert!((990_000..=1_000_100).contains(&grace), "{grace}");
    job.context().control().resume();
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Yielded)));
    job.context().control().cancel();
    assert_eq!(run(&mut job, &mut desk, SLICE), Stopped::Finished(Outcome::Cancelled));
}

#[test]
fn a_job_that_waits_for_a_reply_can_be_stopped_and_resumed() {
    let body = job_body(
        "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)",
    );
    let extension = load(&body, &Limits::default()).unwrap();
    let (handle, context) = running(&extension);
    context.control().pause();
    let (mut job, stopped) = handle.join().unwrap();
    assert_eq!(stopped, Stopped::Paused);
    context.control().resume();
    assert!(job.call().is_some());
    assert_eq!(finish(&mut job), Outcome::Completed);

    let (handle, context) = running(&extension);
    context.control().cancel();
    assert_eq!(handle.join().unwrap().1, Stopped::Finished(Outcome::Cancelled));
}

#[test]
fn out_of_turn_nothing_happens() {
    let mut job = job(
        "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)",
    );
    let saved = toehold::Answer::Committed { commit: 1, durable: true };
    assert_eq!(job.answer(saved.clone(), 0).unwrap_err(), OutOfTurn::NotAsked);
    let Ok(Step::Call(call)) = job.step(SLICE, 0) else { panic!("no call") };
    assert_eq!(job.step(SLICE, 0).unwrap_err(), OutOfTurn::Waits);
    assert_eq!(job.answer(saved, 0).unwrap_err(), OutOfTurn::NotAsked);
    let late = toehold::Answer::Reply { call: call.key.number - 1, reply: Ok(b"1".to_vec()) };
    assert_eq!(job.answer(late, 0).unwrap_err(), OutOfTurn::NotAsked);
    assert!(matches!(job.answer(reply(&call, Ok(b"1".to_vec())), 0), Ok(Step::Finished(Outcome::Completed))));
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Finished(Outcome::Completed))));
}

#[test]
fn a_registry_finds_the_jobs_that_run() {
    let registry = Registry::default();
    let extension = endless(LOOPS[0].1);
    let mut job = extension.start(&registry, "go", with_state(b"")).unwrap();
    registry.get(ID).unwrap().control().cancel();
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Finished(Outcome::Cancelled))));
    drop(job);
    assert!(registry.get(ID).is_none());
}

#[test]
fn a_guest_that_stops_unasked_is_paused() {
    let mut job = job("(i32.const 1)");
    assert_eq!(finish(&mut job), Outcome::Interrupted);
    let mut next = job.next_run().unwrap();
    assert!(matches!(next.step(SLICE, 0), Ok(Step::Paused)));
    next.context().control().resume();
    assert!(matches!(next.step(SLICE, 0), Ok(Step::Finished(Outcome::Interrupted))));
}

#[test]
fn a_job_that_is_not_resumable_is_held_and_not_told() {
    let init = r#"(func (export "plugin_init") (result i32)
        (call $register (i32.const 128) (i32.const 2) (i32.const 136) (i32.const 10) (i32.const 0)))"#;
    let asks = job_body("(loop (br_if 0 (i32.eqz (call $interrupt (i32.const 64))))) (i32.const 1)");
    let extension = load(&format!("{init} {asks}"), &Limits::default()).unwrap();
    let mut job = start(&extension);
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Yielded)));
    job.context().control().pause();
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Paused)));
    job.context().control().cancel();
    assert_eq!(finish(&mut job), Outcome::Cancelled);
}
