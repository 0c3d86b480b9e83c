use toehold::{Limits, Outcome, Registry, StartError, Step, Stopped, run};

use crate::guests::*;

#[test]
fn memory_that_grows_for_ever_ends_at_its_limit() {
    let outcome = finish(&mut job("(loop (drop (memory.grow (i32.const 1))) (br 0)) (unreachable)"));
    // The manifest gives 1 MiB: 16 pages.
    assert!(failure(&outcome).contains("memory: asked for 1114112 bytes in all, the limit is 1048576"));
}

#[test]
fn a_modules_own_limit_of_memory_is_minus_1_to_it() {
    let text = r#"(module (memory (export "memory") 1 2)
        (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
            (i32.add (memory.grow (i32.const 100)) (i32.const 1))))"#;
    assert_eq!(finish(&mut start(&load_text(text, &Limits::default()).unwrap())), Outcome::Completed);
}

#[test]
fn tables_end_at_their_limit() {
    let limits = Limits { table_elements: 100, ..Limits::default() };
    let body = "(table $t 1 funcref)".to_owned()
        + &job_body("(loop (drop (table.grow $t (ref.null func) (i32.const 5))) (br 0)) (unreachable)");
    let outcome = finish(&mut start(&load(&body, &limits).unwrap()));
    assert!(
        failure(&outcome).contains("table: asked for 101 elements in all, the limit is 100"),
        "{outcome:?}"
    );
}

#[test]
fn recursion_for_ever_ends_at_the_call_depth() {
    let body = "(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))"
        .to_owned()
        + &job_body("(call $deeper (i32.const 1))");
    let outcome = finish(&mut start(&load(&body, &Limits::default()).unwrap()));
    assert!(failure(&outcome).contains("calls nest too deeply"), "{outcome:?}");
}

#[test]
fn a_job_ends_when_its_fuel_is_used_up() {
    let limits = Limits { fuel_per_job: 50_000, ..Limits::default() };
    let mut job = job_with("(loop (br 0)) (unreachable)", &limits);
    let outcome = finish(&mut job);
    assert!(failure(&outcome).contains("guest:go: used up its fuel of 50000"), "{outcome:?}");
    assert!((49_900..=50_000).contains(&job.context().fuel_used()));
}

#[test]
fn a_million_log_lines_are_counted_and_not_kept() {
    let mut job = job(r"(local $i i32)
          (loop
            (call $log (i32.const 0) (i32.const 112) (i32.const 5))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 1000000))))
          (i32.const 0)");
    assert_eq!(finish(&mut job), Outcome::Completed);
    let report = job.context().report();
    assert_eq!((report.log_lines, report.log_lines_dropped), (10_000, 990_000));
    assert_eq!(job.context().log_tail().len(), toehold::LOG_TAIL_LINES);
}

#[test]
fn warnings_and_long_lines_are_bounded() {
    let limits = Limits { warnings: 2, line_bytes: 6, ..Limits::default() };
    let warn = "(call $warn (i32.const 64) (i32.const 96) (i32.const 10))";
    let mut job = job_with(&format!("{warn} {warn} {warn} (i32.const 0)"), &limits);
    finish(&mut job);
    let report = job.context().report();
    assert_eq!(report.warnings, ["que…", "que…"]);
    assert_eq!(report.warnings_dropped, 1);
}

#[test]
fn payloads_replies_and_states_over_their_limits() {
    let limits = Limits { payload_bytes: 4, reply_bytes: 64, state_bytes: 4, ..Limits::default() };
    let call = |payload: u32| {
        format!(
            "(call $items (i32.const 64) (i64.load32_u (call $call (i32.const 96) (i32.const 10) (i32.const 0) \
             (i32.const 112) (i32.const {payload})))) (i32.const 0)"
        )
    };
    let mut refused = job_with(&call(5), &limits);
    let mut desk = Desk::default();
    assert_eq!(run(&mut refused, &mut desk, SLICE), Stopped::Finished(Outcome::Completed));
    assert!(desk.calls.is_empty());

    let mut long = job_with(&call(4), &limits);
    let mut desk = Desk { replies: [Ok(vec![b' '; 65])].into(), ..Desk::default() };
    run(&mut long, &mut desk, SLICE);
    let text = r#"{"error":"the reply has 65 bytes, the limit is 64"}"#;
    assert_eq!(long.context().report().items, text.len() as u64);

    let mut large = job_with("(call $checkpoint (i32.const 64) (i32.const 96) (i32.const 5))", &limits);
    let mut desk = Desk::default();
    assert_eq!(run(&mut large, &mut desk, SLICE), Stopped::Finished(Outcome::Interrupted));
    assert!(desk.saved.is_empty());

    let extension = load(&job_body("(i32.const 0)"), &limits).unwrap();
    let error = extension.start(&Registry::default(), "go", with_state(b"12345")).unwrap_err();
    assert_eq!(error, StartError::StateTooLarge { bytes: 5, limit: 4 });
}

#[test]
fn requests_over_the_rate_are_refused_until_time_goes_on() {
    let limits = Limits { requests_per_minute: 2, ..Limits::default() };
    let call = "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let extension = load(&job_body(&format!("{call} {call} {call} (i32.const 0)")), &limits).unwrap();
    let mut desk = Desk::default();
    run(&mut start(&extension), &mut desk, SLICE);
    assert_eq!(desk.calls.len(), 2);
    run(&mut start(&extension), &mut desk, SLICE);
    assert_eq!(desk.calls.len(), 2, "the rate is the extension's, not the job's");
    desk.now = 60_000;
    run(&mut start(&extension), &mut desk, SLICE);
    assert_eq!(desk.calls.len(), 4);
}

#[test]
fn jobs_over_the_limit_are_not_started_until_one_ends() {
    let limits = Limits { concurrent_jobs: 1, ..Limits::default() };
    let extension = load(&job_body("(i32.const 0)"), &limits).unwrap();
    let registry = Registry::default();
    let first = extension.start(&registry, "go", with_state(b"")).unwrap();
    let mut other = with_state(b"");
    other.id = toehold::Uuid::from_u128(9);
    let refused = extension.start(&registry, "go", other.clone()).unwrap_err();
    assert_eq!(refused, StartError::Concurrency { limit: 1 });
    assert_eq!(registry.list().len(), 1, "a refused job leaves nothing behind");
    drop(first);
    assert!(extension.start(&registry, "go", other).is_ok());
}

#[test]
fn two_jobs_with_one_id_do_not_run() {
    let extension = load(&job_body("(i32.const 0)"), &Limits::default()).unwrap();
    let registry = Registry::default();
    let _first = extension.start(&registry, "go", with_state(b"")).unwrap();
    let refused = extension.start(&registry, "go", with_state(b"")).unwrap_err();
    assert_eq!(refused, StartError::Running(ID));
    assert_eq!(extension.running_jobs(), 1);
}

#[test]
fn bytes_that_the_host_reads_cost_fuel() {
    let log = |bytes: u32| {
        let mut job =
            job(&format!("(call $log (i32.const 0) (i32.const 256) (i32.const {bytes})) (i32.const 0)"));
        finish(&mut job);
        job.context().fuel_used()
    };
    assert_eq!(log(1600) - log(0), 100);
}

#[test]
fn a_guest_that_keeps_the_host_busy_runs_out_of_its_slice() {
    // Reads 60 KB in each of 500 calls, 3,750 fuel for each: without that, all of it would fit into one slice.
    let mut job = job(r"(local $i i32)
          (loop
            (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 60000)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 500))))
          (i32.const 0)");
    let mut slices = 1;
    let end = loop {
        match job.step(SLICE, 0) {
            Ok(Step::Yielded) => slices += 1,
            end => break end,
        }
    };
    assert!(matches!(end, Ok(Step::Finished(Outcome::Completed))), "{end:?}");
    assert!((19..25).contains(&slices), "{slices} slices");
}

#[test]
fn tables_and_values_on_the_stack_have_limits_of_their_own() {
    let limits = Limits { tables: 2, ..Limits::default() };
    let tables =
        format!("{} (table 1 funcref) (table 1 funcref) (table 1 funcref)", job_body("(i32.const 0)"));
    let error = load(&tables, &limits).unwrap_err();
    assert!(error.to_string().contains("more tables than the limit of 2"), "{error}");
    let large = format!("{} (table 200000 funcref)", job_body("(i32.const 0)"));
    let error = load(&large, &limits).unwrap_err();
    assert!(
        error.to_string().contains("table: asked for 200000 elements in all, the limit is 131072"),
        "{error}"
    );

    let locals = "i64 ".repeat(2_000);
    let deep = format!("(func $deep (param i32) (result i32) (local {locals}) (if (result i32) (local.get 0)
        (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))) (else (i32.const 0))))");
    let extension = load(&(deep + &job_body("(call $deep (i32.const 100))")), &Limits::default()).unwrap();
    let outcome = finish(&mut start(&extension));
    assert!(failure(&outcome).contains("1048576 bytes of parameters and locals"), "{outcome:?}");
}

#[test]
fn lines_at_load_are_bounded() {
    let init = r#"(func (export "plugin_init") (local $i i32)
        (loop
          (call $log (i32.const 0) (i32.const 112) (i32.const 5))
          (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000)))))"#;
    let extension = load(init, &Limits::default()).unwrap();
    assert_eq!(extension.warnings(), ["40000 log lines of plugin_init were over the limit and were dropped"]);
}

#[test]
fn last_words_are_kept_when_lines_are_dropped() {
    let limits = Limits { log_lines: 1, ..Limits::default() };
    let line = |level: u32, length: u32| {
        format!("(call $log (i32.const {level}) (i32.const 112) (i32.const {length}))")
    };
    let mut job = job_with(&format!("{} {} (i32.const 2)", line(1, 2), line(3, 5)), &limits);
    assert_eq!(failure(&finish(&mut job)), "hello");
    assert_eq!(job.context().report().log_lines_dropped, 1);
}

#[test]
fn a_crafted_checkpoint_cannot_break_the_host() {
    let limits = Limits { warnings: 2, line_bytes: 8, ..Limits::default() };
    let call = "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let body = job_body(&format!(
        "{call} (call $items (i32.const 64) (i64.const 1)) (call $warn (i32.const 64) (i32.const 112) (i32.const 5))
         (call $log (i32.const 1) (i32.const 112) (i32.const 5)) (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5))"
    ));
    let extension = load(&body, &limits).unwrap();
    let mut desk = Desk::default();
    run(&mut start(&extension), &mut desk, SLICE);
    let mut checkpoint = desk.saved[0].clone();
    checkpoint.sequence = u64::MAX;
    checkpoint.calls = u64::MAX;
    let report = &mut checkpoint.report;
    (report.items, report.warnings_dropped, report.log_lines) = (u64::MAX, u64::MAX, u64::MAX);
    (report.log_lines_dropped, report.refused) = (u64::MAX, u64::MAX);
    report.warnings = vec!["x".repeat(100); 100];
    report.progress = Some(toehold::Progress { fraction: f32::NAN, ..Default::default() });
    let mut job = extension.resume(&Registry::default(), &checkpoint).unwrap();
    assert_eq!(run(&mut job, &mut desk, SLICE), Stopped::Finished(Outcome::Completed));
    let report = job.context().report();
    assert_eq!((report.items, report.warnings.len(), report.warnings[0].len()), (u64::MAX, 2, 8));
    assert_eq!(report.progress, None);
}

#[test]
fn a_reload_keeps_counting() {
    let limits = Limits { concurrent_jobs: 1, requests_per_minute: 1, ..Limits::default() };
    let call = "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)";
    let text = format!("(module {PRELUDE} {})", job_body(call));
    let module = wat::parse_str(text).unwrap();
    let old = load(&job_body(call), &limits).unwrap();
    let mut running = start(&old);
    let mut desk = Desk::default();
    run(&mut running, &mut desk, SLICE);
    let new = old.reload(manifest(), &module, &limits).unwrap();
    let refused = new.start(&Registry::default(), "go", with_state(b"")).unwrap_err();
    assert_eq!(refused, StartError::Concurrency { limit: 1 });
    drop(running);
    run(&mut start(&new), &mut desk, SLICE);
    assert_eq!(desk.calls.len(), 1, "the minute's one call was made before the reload");
}
