//! Guests that break the ABI: each ends with a fault that names the function, and the host goes on.

use crate::guests::*;

#[track_caller]
fn faults(body: &str, expected: &str) {
    let mut job = job(body);
    let outcome = finish(&mut job);
    assert!(failure(&outcome).contains(expected), "expected {expected:?}, got {outcome:?}");
}

#[test]
fn pointers_and_lengths_outside_of_memory() {
    for (call, function) in [
        ("(call $log (i32.const 1) (i32.const -1) (i32.const 1))", "spacedrive_log: `ptr`"),
        ("(call $log (i32.const 1) (i32.const 65535) (i32.const 2))", "spacedrive_log: `ptr`"),
        ("(call $log (i32.const 1) (i32.const 0) (i32.const -1))", "spacedrive_log: `ptr`"),
        ("(call $log (i32.const 1) (i32.const -8) (i32.const 16))", "spacedrive_log: `ptr`"),
        (
            "(drop (call $call (i32.const -4) (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0)))",
            "spacedrive_call: `method`",
        ),
        (
            "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const -1)))",
            "spacedrive_call: `payload`",
        ),
        (
            "(drop (call $call (i32.const 96) (i32.const 10) (i32.const -3) (i32.const 0) (i32.const 0)))",
            "spacedrive_call: `library_id`",
        ),
        (
            "(call $progress (i32.const -16) (f32.const 0) (i32.const 0) (i32.const 0))",
            "job_report_progress: `job_id`",
        ),
        (
            "(call $progress (i32.const 64) (f32.const 0) (i32.const 65536) (i32.const 1))",
            "job_report_progress: `message`",
        ),
        (
            "(drop (call $checkpoint (i32.const 64) (i32.const 0) (i32.const 65537)))",
            "job_checkpoint: `state`",
        ),
        (
            "(drop (call $checkpoint (i32.const 65521) (i32.const 0) (i32.const 0)))",
            "job_checkpoint: `job_id`",
        ),
        ("(drop (call $interrupt (i32.const 65535)))", "job_check_interrupt: `job_id`"),
        ("(call $warn (i32.const 64) (i32.const -2147483648) (i32.const 5))", "job_add_warning: `message`"),
        (
            "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 65536) (i32.const 1)))",
            "spacedrive_call: `payload`",
        ),
        ("(call $bytes (i32.const -1) (i64.const 1))", "job_increment_bytes: `job_id`"),
        ("(call $items (i32.const -1) (i64.const 1))", "job_increment_items: `job_id`"),
    ] {
        faults(&format!("{call} (i32.const 0)"), &format!("{function} points to"));
    }
}

#[test]
fn ids_of_other_jobs() {
    for (call, function) in [
        ("(call $progress (i32.const 80) (f32.const 0) (i32.const 0) (i32.const 0))", "job_report_progress"),
        ("(drop (call $checkpoint (i32.const 80) (i32.const 0) (i32.const 0)))", "job_checkpoint"),
        ("(drop (call $interrupt (i32.const 80)))", "job_check_interrupt"),
        ("(call $warn (i32.const 80) (i32.const 0) (i32.const 0))", "job_add_warning"),
        ("(call $bytes (i32.const 80) (i64.const 1))", "job_increment_bytes"),
        ("(call $items (i32.const 80) (i64.const 1))", "job_increment_items"),
    ] {
        let expected = format!("{function}: called with job id 00000000-0000-0000-0000-000000000008");
        faults(&format!("{call} (i32.const 0)"), &expected);
    }
}

#[test]
fn text_that_is_not_utf8() {
    faults(
        "(call $log (i32.const 1) (i32.const 120) (i32.const 2)) (i32.const 0)",
        "spacedrive_log: `ptr` is not UTF-8",
    );
    faults(
        "(call $warn (i32.const 64) (i32.const 120) (i32.const 2)) (i32.const 0)",
        "job_add_warning: `message` is not UTF-8",
    );
}

#[test]
fn text_of_the_other_functions_that_is_not_utf8() {
    faults(
        "(call $progress (i32.const 64) (f32.const 0) (i32.const 120) (i32.const 2)) (i32.const 0)",
        "job_report_progress: `message` is not UTF-8",
    );
    faults(
        "(drop (call $call (i32.const 120) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)",
        "spacedrive_call: `method` is not UTF-8",
    );
}

#[test]
fn what_plugin_init_registers_with_pointers_and_text_that_are_wrong() {
    let refused = |arguments: &str| {
        let init =
            format!("(func (export \"plugin_init\") (drop (call $register {arguments} (i32.const 1))))");
        load(&init, &toehold::Limits::default()).unwrap_err().to_string()
    };
    let name = refused("(i32.const -1) (i32.const 2) (i32.const 136) (i32.const 10)");
    assert!(name.contains("register_job: `name` points to 2 bytes at 0xffffffff"), "{name}");
    let export = refused("(i32.const 128) (i32.const 2) (i32.const 136) (i32.const -1)");
    assert!(export.contains("register_job: `export` points to 4294967295 bytes"), "{export}");
    let text = refused("(i32.const 120) (i32.const 2) (i32.const 136) (i32.const 10)");
    assert!(text.contains("register_job: `name` is not UTF-8"), "{text}");
}

#[test]
fn an_allocator_that_fails_when_a_reply_comes() {
    // The first two blocks are the context and the reply; an empty state needs none.
    let with_alloc = |second: &str| {
        let text = format!(
            r#"(module
                (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1)
                (data (i32.const 96) "query:ping")
                (global $blocks (mut i32) (i32.const 0))
                (func (export "wasm_alloc") (param i32) (result i32)
                    (global.set $blocks (i32.add (global.get $blocks) (i32.const 1)))
                    (if (i32.eq (global.get $blocks) (i32.const 2)) (then {second}))
                    (i32.const 1024))
                (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
                    (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))))"#
        );
        failure(&finish(&mut start(&load_text(&text, &toehold::Limits::default()).unwrap())))
    };
    assert!(with_alloc("(return (i32.const 65534))").starts_with("wasm_alloc: returned 0xfffe for 6 bytes"));
    assert!(with_alloc("(unreachable)").starts_with("wasm_alloc: trap"));
    assert!(with_alloc("(loop (br 0))").starts_with("wasm_alloc: used up its fuel"));
}

#[test]
fn register_job_belongs_into_plugin_init() {
    faults(
        "(call $register (i32.const 128) (i32.const 2) (i32.const 136) (i32.const 10) (i32.const 1))",
        "register_job: must not be called in a job",
    );
}

#[test]
fn codes_that_the_abi_does_not_have() {
    faults("(i32.const 4)", "execute_go: returned 4");
    faults("(i32.const -1)", "execute_go: returned -1");
}

#[test]
fn a_trap_says_where_and_what_the_guest_said_last() {
    faults("(unreachable)", "execute_go: trap");
    faults("(i32.div_u (i32.const 1) (i32.const 0))", "execute_go: trap");
    faults(
        "(call $log (i32.const 3) (i32.const 112) (i32.const 5)) (unreachable)",
        "the guest's last error: hello",
    );
}

#[test]
fn an_allocator_that_points_outside_or_traps_or_never_ends() {
    let with_alloc = |alloc: &str| {
        let text = format!(
            r#"(module (memory (export "memory") 1)
                (func (export "wasm_alloc") (param i32) (result i32) {alloc})
                (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#
        );
        failure(&finish(&mut start(&load_text(&text, &toehold::Limits::default()).unwrap())))
    };
    assert!(with_alloc("(i32.const 65535)").starts_with("wasm_alloc: returned 0xffff for"));
    assert!(with_alloc("(i32.const -1)").starts_with("wasm_alloc: returned 0xffffffff for"));
    assert!(with_alloc("(i32.const 0)").starts_with("wasm_alloc: returned 0 (out of memory)"));
    assert!(with_alloc("(unreachable)").starts_with("wasm_alloc: trap"));
    assert!(with_alloc("(loop (br 0)) (unreachable)").starts_with("wasm_alloc: used up its fuel"));
}

#[test]
fn an_allocator_that_calls_the_host() {
    let text = r#"(module
        (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "wasm_alloc") (param i32) (result i32)
            (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
    let outcome = finish(&mut start(&load_text(text, &toehold::Limits::default()).unwrap()));
    assert!(failure(&outcome).contains("spacedrive_call: must not be called in wasm_alloc"), "{outcome:?}");
}

#[test]
fn an_import_that_no_host_has() {
    let text = r#"(module
        (import "__wbindgen_placeholder__" "describe" (func $f (param i32)))
        (memory (export "memory") 1)
        (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (call $f (i32.const 1)) (i32.const 0)))"#;
    let extension = load_text(text, &toehold::Limits::default()).unwrap();
    assert!(extension.warnings()[0].contains("__wbindgen_placeholder__.describe"));
    let outcome = finish(&mut start(&extension));
    assert!(failure(&outcome).contains("__wbindgen_placeholder__.describe: called"), "{outcome:?}");
}
