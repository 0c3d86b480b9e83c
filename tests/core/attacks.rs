//! Guests that once brought the host down, or got around a limit.

use toehold::{Limits, Outcome, Step};

use crate::guests::*;

/// Steps a job whose shell saves every checkpoint, `steps` times at most.
fn steps(job: &mut toehold::Job, fuel: u64, steps: usize) -> Step {
    let mut step = job.step(fuel, 0).unwrap();
    for _ in 0..steps {
        step = match step {
            Step::Commit(commit) => job.answer(durable(&commit), 0).unwrap(),
            Step::Yielded => job.step(fuel, 0).unwrap(),
            other => return other,
        };
    }
    step
}

#[test]
fn growth_by_nothing_does_not_eat_the_hosts_stack() {
    // The delta must not be a constant, or wasmi sees through it. Local 3 is the length of the state: 0.
    let memory = "(loop (drop (memory.grow (local.get 3))) (br 0)) (unreachable)";
    let table = "(loop (drop (table.grow $t (ref.null func) (local.get 3))) (br 0)) (unreachable)";
    for body in [memory, table] {
        let extension =
            load(&format!("(table $t 1 funcref) {}", job_body(body)), &Limits::default()).unwrap();
        let mut job = start(&extension);
        assert!(matches!(steps(&mut job, u64::MAX, 20), Step::Yielded));
        assert!(job.context().fuel_used() >= 19_000_000);
    }
    let straight = "(drop (memory.grow (local.get 3)))".repeat(20_000);
    let outcome = finish(&mut job(&format!("{straight} (i32.const 0)")));
    assert!(failure(&outcome).contains("fuel at once; the limit is 1000000"), "{outcome:?}");
    let init = format!(
        "(func (export \"plugin_init\") (local i32) (loop {} (br 0)))",
        straight.replace("local.get 3", "local.get 0")
    );
    assert!(
        load(&init, &Limits::default()).unwrap_err().to_string().contains("plugin_init: used up its fuel")
    );
}

#[test]
fn a_block_full_of_host_calls_is_cut_into_slices() {
    let log = "(call $log (i32.const 0) (i32.const 256) (i32.const 65000))".repeat(5_000);
    let extension = load(&job_body(&format!("{log} (i32.const 0)")), &Limits::default()).unwrap();
    let mut sliced = start(&extension);
    assert!(matches!(steps(&mut sliced, 1, 4), Step::Yielded));
    assert!(sliced.context().fuel_used() < 100_000, "{}", sliced.context().fuel_used());
    assert_eq!(finish(&mut sliced), Outcome::Completed);
    let mut straight = start(&extension);
    assert_eq!(finish(&mut straight), Outcome::Completed);
    assert_eq!(sliced.context().fuel_used(), straight.context().fuel_used());

    let refused =
        "(drop (call $call (i32.const 112) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 60000)))";
    let mut job = job(&format!("{} (i32.const 0)", refused.repeat(500)));
    assert!(matches!(steps(&mut job, 1, 10), Step::Yielded));
    assert!(job.context().fuel_used() < 100_000);

    let limits = Limits { init_fuel: 60_000, ..Limits::default() };
    let error = load(&format!("(func (export \"plugin_init\") {log})"), &limits).unwrap_err();
    assert!(error.to_string().contains("plugin_init: used up its fuel of 60000"), "{error}");
    let error = load(&format!("(func $s {log}) (start $s)"), &limits).unwrap_err();
    assert!(error.to_string().contains("used up its fuel"), "{error}");
}

#[test]
fn a_block_full_of_checkpoints_ends_with_a_cancel() {
    let save = "(drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))".repeat(1_000);
    let mut job = job(&format!("{save} (i32.const 0)"));
    let Ok(Step::Commit(commit)) = job.step(SLICE, 0) else { panic!("no commit") };
    job.context().control().cancel();
    let step = job.answer(durable(&commit), 0);
    assert!(matches!(step, Ok(Step::Finished(Outcome::Cancelled))), "{step:?}");
    assert_eq!(job.context().report().checkpoints, 1, "what became durable counts");
}

#[test]
fn a_paused_job_takes_its_answer_and_goes_on_later() {
    let mut job = job(
        "(call $items (i32.const 64) (i64.const 1)) (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5))",
    );
    let Ok(Step::Commit(commit)) = job.step(SLICE, 0) else { panic!("no commit") };
    job.context().control().pause();
    assert!(matches!(job.answer(durable(&commit), 0), Ok(Step::Paused)));
    assert_eq!(job.state(), b"hello");
    job.context().control().resume();
    assert!(matches!(job.step(SLICE, 0), Ok(Step::Finished(Outcome::Completed))));
}

#[test]
fn a_method_without_end_is_not_repeated_in_the_reply() {
    let init = r#"(func (export "plugin_init") (result i32)
        (i32.sub (i32.load (call $call (i32.const 0) (i32.const 60000) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 63)))"#;
    let error = load(init, &Limits::default()).map(|_| ()).err().map(|error| error.to_string());
    // The guest returns the reply's length less 63: it does not hold the name.
    assert_eq!(error, None, "the reply has another length");
}

#[test]
fn logging_in_run_after_run_is_no_way_around_the_limit() {
    let limits = Limits { log_lines: 3, ..Limits::default() };
    let line = "(call $log (i32.const 0) (i32.const 112) (i32.const 5))";
    let mut job = job_with(&format!("{line} {line} (i32.const 1)"), &limits);
    for _ in 0..3 {
        job.context().control().resume();
        assert_eq!(finish(&mut job), Outcome::Interrupted);
        job = job.next_run().unwrap();
    }
    let report = job.context().report();
    assert_eq!((report.log_lines, report.log_lines_dropped), (3, 3));
}

#[test]
fn many_odd_imports_are_summed_up() {
    let imports: String = (0..3_000).map(|n| format!("(import \"env\" \"f{n}\" (func))")).collect();
    let jobs: String = (0..3_000).map(|n| format!("(export \"execute_{n}\" (func $go))")).collect();
    let text = format!(
        r#"(module {imports} (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024)) {jobs}
            (func $go (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#
    );
    let extension = load_text(&text, &Limits::default()).unwrap();
    assert!(
        extension.warnings().iter().any(|warning| warning == "imports 2980 more functions that no host has")
    );
    assert!(extension.warnings().len() < 30, "{}", extension.warnings().len());
    assert!(extension.jobs().len() < 300);
}
