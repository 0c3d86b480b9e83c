//! Guests whose memory has pages of one byte, as small ones have.

use toehold::{Extension, Limits, Outcome, Registry};

use crate::guests::*;

/// A guest with a memory of this type, and the job `go`. Its ids and texts lie below 64.
fn text(memory: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
            (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
            (memory (export "memory") {memory})
            (data (i32.const 16) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\07")
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 64))
            {})"#,
        job_body(body)
    )
}

fn load_with(memory: &str, body: &str) -> Extension {
    load_text(&text(memory, body), &Limits::default()).unwrap()
}

fn items(memory: &str, body: &str) -> u64 {
    let mut job = start(&load_with(memory, body));
    assert_eq!(finish(&mut job), Outcome::Completed);
    job.context().report().items
}

fn failed(memory: &str, body: &str) -> String {
    failure(&finish(&mut start(&load_with(memory, body))))
}

#[test]
fn memory_is_counted_in_bytes() {
    let extension = load_with("1000 1000 (pagesize 1)", "(i32.const 0)");
    assert_eq!(extension.module().memory_bytes, 1_000);
    assert_eq!(start(&extension).memory_bytes(), 1_000);
    // The same number in pages of the ordinary size, written out and left out.
    for memory in ["2 3 (pagesize 65536)", "2 3", "2"] {
        assert_eq!(load_with(memory, "(i32.const 0)").module().memory_bytes, 131_072, "{memory}");
    }
    let without_maximum = load_with("1000 (pagesize 1)", "(i32.const 0)");
    assert_eq!(without_maximum.module().memory_bytes, 1_000);
}

#[test]
fn only_pages_of_one_byte_and_of_64_kib_exist() {
    let module = text("8 (pagesize 1)", "(i32.const 0)");
    let mut module = wat::parse_str(module).unwrap();
    // Flags 8 say that the page's size follows the minimum: 8 bytes, 2 to the power of 0.
    let section = [5, 4, 1, 8, 8, 0];
    let at = module.windows(6).position(|window| window == section).unwrap();
    module[at + 5] = 12;
    let error = Extension::load(manifest(), &module, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("invalid custom page size"), "{error}");
}

#[test]
fn it_may_start_with_exactly_its_limit() {
    // The manifest gives 1 MiB.
    assert!(load_text(&text("1048576 (pagesize 1)", "(i32.const 0)"), &Limits::default()).is_ok());
    let error = load_text(&text("1048577 (pagesize 1)", "(i32.const 0)"), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "starts with 1048577 bytes of memory, the limit is 1048576");
}

#[test]
fn it_grows_by_bytes_up_to_its_limit() {
    let grown =
        "(drop (memory.grow (i32.const 5))) (call $items (i32.const 16) (i64.extend_i32_u (memory.size)))
                 (i32.const 0)";
    assert_eq!(items("1000 (pagesize 1)", grown), 1_005);
    let limits = Limits { memory_bytes: 1_010, ..Limits::default() };
    let body = "(loop (drop (memory.grow (i32.const 1))) (br 0)) (unreachable)";
    let outcome = finish(&mut start(&load_text(&text("1000 (pagesize 1)", body), &limits).unwrap()));
    assert!(
        failure(&outcome).contains("memory: asked for 1011 bytes in all, the limit is 1010"),
        "{outcome:?}"
    );
}

#[test]
fn its_own_limit_is_minus_1_to_it() {
    let body =
        "(call $items (i32.const 16) (i64.extend_i32_u (i32.add (memory.grow (i32.const 2)) (i32.const 1))))
                (i32.const 0)";
    assert_eq!(items("1000 1001 (pagesize 1)", body), 0);
    assert_eq!(items("1000 1002 (pagesize 1)", body), 1_001);
}

#[test]
fn pointers_hold_up_to_the_last_byte() {
    let log = |pointer: u32, length: u32| {
        format!("(call $log (i32.const 1) (i32.const {pointer}) (i32.const {length})) (i32.const 0)")
    };
    for (pointer, length) in [(999, 1), (0, 1_000), (1_000, 0)] {
        assert_eq!(failed("1000 (pagesize 1)", &log(pointer, length)), "", "{length} bytes at {pointer}");
    }
    for (pointer, length) in [(999, 2), (1_000, 1), (1_001, 0), (0, 1_001)] {
        let error = failed("1000 (pagesize 1)", &log(pointer, length));
        assert!(error.contains("memory of 1000 bytes"), "{length} bytes at {pointer}: {error}");
    }
    // An id in the last 16 bytes.
    let last = "(memory.copy (i32.const 984) (i32.const 16) (i32.const 16))
                (call $items (i32.const 984) (i64.const 1)) (i32.const 0)";
    assert_eq!(items("1000 (pagesize 1)", last), 1);
    let error = failed("1000 (pagesize 1)", "(call $items (i32.const 985) (i64.const 1)) (i32.const 0)");
    assert!(error.contains("memory of 1000 bytes"), "{error}");
}

#[test]
fn the_guests_own_loads_and_stores_end_there_too() {
    assert_eq!(failed("1000 (pagesize 1)", "(i32.store8 (i32.const 999) (i32.const 1)) (i32.const 0)"), "");
    for store in ["(i32.store8 (i32.const 1000) (i32.const 1))", "(i32.store (i32.const 997) (i32.const 1))"]
    {
        let error = failed("1000 (pagesize 1)", &format!("{store} (i32.const 0)"));
        assert!(error.contains("out of bounds"), "{store}: {error}");
    }
}

#[test]
fn a_block_for_the_host_has_to_fit() {
    // The context's JSON has more than 16 bytes.
    let extension = load_with("80 (pagesize 1)", "(i32.const 0)");
    let started = extension.start(&Registry::default(), "go", with_state(b""));
    let error = match started {
        Ok(mut job) => failure(&finish(&mut job)),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("wasm_alloc") && error.contains("80"), "{error}");
}
