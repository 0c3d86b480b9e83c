use toehold::{CallKey, HostFunction, LogLevel, Outcome, Stopped, Uuid, run};

use crate::guests::*;

/// Runs a job that must complete, and gives what its shell saw.
fn desk(job: &mut toehold::Job, mut desk: Desk) -> Desk {
    assert_eq!(run(job, &mut desk, SLICE), Stopped::Finished(Outcome::Completed));
    desk
}

#[test]
fn a_report_has_all_that_a_job_tells() {
    let mut job = job(r"(call $progress (i32.const 64) (f32.const 0.25) (i32.const 112) (i32.const 5))
          (call $items (i32.const 64) (i64.const 3))
          (call $items (i32.const 64) (i64.const 4))
          (call $bytes (i32.const 64) (i64.const 1000))
          (call $warn (i32.const 64) (i32.const 112) (i32.const 5))
          (call $log (i32.const 3) (i32.const 112) (i32.const 5))
          (call $log (i32.const 99) (i32.const 112) (i32.const 4))
          (i32.const 0)");
    assert_eq!(finish(&mut job), Outcome::Completed);
    let report = job.context().report();
    let progress = report.progress.unwrap();
    assert_eq!((progress.fraction, progress.message.as_str()), (0.25, "hello"));
    assert_eq!((report.items, report.bytes), (7, 1000));
    assert_eq!(report.warnings, ["hello"]);
    let log: Vec<_> = job.context().log_tail().into_iter().map(|line| (line.level, line.text)).collect();
    assert_eq!(log, [(LogLevel::Error, "hello".to_owned()), (LogLevel::Info, "hell".to_owned())]);
}

#[test]
fn odd_values_are_refused_and_counted() {
    let mut job = job(r"(call $progress (i32.const 64) (f32.const nan) (i32.const 112) (i32.const 5))
          (call $items (i32.const 64) (i64.const -1))
          (call $progress (i32.const 64) (f32.const 3) (i32.const 0) (i32.const 0))
          (i32.const 0)");
    assert_eq!(finish(&mut job), Outcome::Completed);
    let report = job.context().report();
    assert_eq!((report.refused, report.items), (2, 0));
    assert_eq!(report.progress.unwrap().fraction, 1.0);
}

#[test]
fn a_call_leaves_with_all_it_says_and_its_reply_comes_back_in_the_guests_block() {
    // The reply's length, at the pointer that the call gave, is added to the items.
    let mut job = job(r"(call $items (i32.const 64) (i64.load32_u
            (call $call (i32.const 96) (i32.const 10) (i32.const 80) (i32.const 112) (i32.const 5))))
          (i32.const 0)");
    let desk = desk(&mut job, Desk { replies: [Ok(b"[1,2,3]".to_vec())].into(), ..Desk::default() });
    let [call] = &desk.calls[..] else { panic!("{:?}", desk.calls) };
    assert_eq!(call.method, "query:ping");
    assert_eq!(call.library, Some(Uuid::from_u128(8)));
    assert_eq!(call.payload, b"hello");
    assert_eq!(call.key, CallKey { job: ID, number: 1 });
    assert!(!call.is_effect());
    assert_eq!(job.context().report().items, 7);
}

#[test]
fn a_call_that_is_not_permitted_is_answered_by_the_core() {
    let body = job_body(
        r"(call $items (i32.const 64) (i64.load32_u
            (call $call (i32.const 112) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0))))
          (i32.const 0)",
    );
    let mut job = start(&load(&body, &toehold::Limits::default()).unwrap());
    assert!(desk(&mut job, Desk::default()).calls.is_empty(), "the shell saw a call that was refused");
    let text = r#"{"error":"hello: not permitted; `permissions.methods` of guest's manifest are [\"query:\", \"action:kv.\"]"}"#;
    assert_eq!(job.context().report().items, text.len() as u64);
}

#[test]
fn without_an_allocator_or_with_a_full_one_a_call_returns_0() {
    let alloc_0 = r#"(module
        (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 96) "query:ping")
        (global $calls (mut i32) (i32.const 0))
        (func (export "wasm_alloc") (param i32) (result i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (select (i32.const 1024) (i32.const 0) (i32.eq (global.get $calls) (i32.const 1))))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
            (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))))"#;
    let mut job = start(&load_text(alloc_0, &toehold::Limits::default()).unwrap());
    assert_eq!(desk(&mut job, Desk::default()).calls.len(), 1);
}

#[test]
fn an_odd_address_of_the_allocator_is_as_good_as_any() {
    let odd = r#"(module
        (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 96) "query:ping")
        (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1025))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
            (i32.sub (i32.load
                (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 2))))"#;
    assert_eq!(finish(&mut start(&load_text(odd, &toehold::Limits::default()).unwrap())), Outcome::Completed);
}

#[test]
fn a_checkpoint_is_0_only_once_the_shell_says_that_it_is_durable() {
    let body = r"(call $items (i32.const 64) (i64.const 5))
                 (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5))";
    let mut saved = job(body);
    let desk = desk(&mut saved, Desk::default());
    assert_eq!(desk.saved.len(), 1);
    assert_eq!(desk.saved[0].state, b"hello");
    assert_eq!((desk.saved[0].sequence, desk.saved[0].report.items), (1, 5));
    assert_eq!(saved.state(), b"hello");
    assert_eq!(saved.context().report().checkpoints, 1);

    let mut refused = job(body);
    let mut full = Desk { full: true, ..Desk::default() };
    // The guest returns what `job_checkpoint` gave: 1, which as a job's result means interrupted.
    assert_eq!(run(&mut refused, &mut full, SLICE), Stopped::Finished(Outcome::Interrupted));
    assert_eq!(refused.state(), b"");
    assert_eq!(refused.context().report().checkpoints, 0);
}

#[test]
fn a_job_goes_on_elsewhere_from_its_checkpoint() {
    // Adds a byte of its state to the items, and checkpoints once if it starts from none.
    let body = job_body(
        r"(if (local.get 3) (then
            (call $items (i32.const 64) (i64.load8_u (local.get 2)))
            (return (i32.const 0))))
          (call $items (i32.const 64) (i64.const 1))
          (drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))
          (unreachable)",
    );
    let extension = load(&body, &toehold::Limits::default()).unwrap();
    let mut first = start(&extension);
    let mut desk = Desk::default();
    run(&mut first, &mut desk, SLICE);
    let bytes = desk.saved[0].encode();
    let elsewhere = load(&body, &toehold::Limits::default()).unwrap();
    let checkpoint = toehold::Checkpoint::decode(&bytes).unwrap();
    let mut second = elsewhere.resume(&toehold::Registry::default(), &checkpoint).unwrap();
    assert_eq!(finish(&mut second), Outcome::Completed);
    assert_eq!(second.context().report().items, 1 + u64::from(b'h'));
    assert!(second.context().fuel_used() > checkpoint.fuel_used);

    let other = load(&job_body("(i32.const 0)"), &toehold::Limits::default()).unwrap();
    let error = other.resume(&toehold::Registry::default(), &checkpoint).unwrap_err();
    assert!(error.to_string().contains("whose module is another"), "{error}");
}

#[test]
fn context_and_state_are_what_the_abi_says() {
    // Logs its context and its state.
    let body = job_body(
        r"(call $log (i32.const 1) (local.get 0) (local.get 1))
          (call $log (i32.const 1) (local.get 2) (local.get 3))
          (i32.const 0)",
    );
    let extension = load(&body, &toehold::Limits::default()).unwrap();
    let mut job = extension.start(&toehold::Registry::default(), "go", with_state(b"{\"n\":1}")).unwrap();
    assert_eq!(finish(&mut job), Outcome::Completed);
    let lines: Vec<_> = job.context().log_tail().into_iter().map(|line| line.text).collect();
    let context = r#"{"job_id":"00000000-0000-0000-0000-000000000007","library_id":"00000000-0000-0000-0000-000000000000"}"#;
    assert_eq!(lines, [context, "{\"n\":1}"]);
}

#[test]
fn step_done_calls_the_job_again_from_its_checkpoint() {
    let body = job_body(
        r"(call $items (i32.const 64) (i64.const 1))
          (if (local.get 3) (then (return (i32.const 0))))
          (drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))
          (i32.const 3)",
    );
    let mut job = start(&load(&body, &toehold::Limits::default()).unwrap());
    assert_eq!(finish(&mut job), Outcome::Completed);
    assert_eq!(job.context().report().items, 2);
}

#[test]
fn the_abi_names_all_that_is_linked() {
    let info = load(&job_body("(i32.const 0)"), &toehold::Limits::default()).unwrap();
    let linked: Vec<_> = info.module().imports.iter().map(|import| import.host_function).collect();
    assert_eq!(linked, HostFunction::ALL.map(Some));
}
