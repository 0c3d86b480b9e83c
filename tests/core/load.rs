use toehold::{Extension, Limits, LoadError};

use crate::guests::*;

#[track_caller]
fn refused(text: &str) -> String {
    match load_text(text, &Limits::default()) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bytes_that_are_no_module() {
    let good = wat::parse_str(format!("(module {PRELUDE} {})", job_body("(i32.const 0)"))).unwrap();
    let load = |bytes: &[u8]| Extension::load(manifest(), bytes, &Limits::default());
    assert!(load(&good).is_ok());
    assert!(matches!(load(b""), Err(LoadError::Invalid(_))));
    assert!(matches!(load(b"hello, this is text"), Err(LoadError::Invalid(_))));
    // A cut between two sections leaves a valid module where what is lost was data or names; no other cut does.
    let loaded: Vec<usize> = (0..good.len()).filter(|end| load(&good[..*end]).is_ok()).collect();
    assert!(loaded.len() <= 2, "loaded when cut at {loaded:?}");
    let limits = Limits { module_bytes: 10, ..Limits::default() };
    let error = Extension::load(manifest(), &good, &limits).unwrap_err();
    assert_eq!(error, LoadError::TooLarge { bytes: good.len(), limit: 10 });
}

#[test]
fn random_bytes_after_the_header() {
    use proptest::prelude::*;
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200))| {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend(bytes);
        let _ = Extension::load(manifest(), &module, &Limits::default());
    });
}

#[test]
fn damaged_modules() {
    use proptest::prelude::*;
    let good = wat::parse_str(format!("(module {PRELUDE} {})", job_body("(i32.const 0)"))).unwrap();
    proptest!(|(at in 0..good.len(), byte in any::<u8>())| {
        let mut module = good.clone();
        module[at] = byte;
        let loaded = Extension::load(manifest(), &module, &Limits::default());
        let Ok(extension) = loaded else { return Ok(()) };
        let started = extension.start(&toehold::Registry::default(), "go", with_state(b""));
        let Ok(mut job) = started else { return Ok(()) };
        for _ in 0..10 {
            let _ = job.step(10_000, 0);
        }
    });
}

#[test]
fn all_that_does_not_fit_is_named_at_once() {
    let error = refused(
        r#"(module
            (import "spacedrive" "spacedrive_exec" (func))
            (import "spacedrive" "spacedrive_log" (func (param i32 i32) (result i64)))
            (import "env" "memory" (memory 1))
            (func (export "wasm_alloc") (result i32) (i32.const 0))
            (func (export "plugin_init") (param i32)))"#,
    );
    for part in [
        "imports `spacedrive.spacedrive_exec`, which is no host function",
        "imports `spacedrive.spacedrive_log` as (i32, i32) -> (i64), it is (i32, i32, i32) -> ()",
        "imports the memory `env.memory`; only functions can be imported",
        "exports no `memory`",
        "exports `wasm_alloc` as () -> (i32), it is (i32) -> (i32)",
        "exports `plugin_init` as (i32) -> ()",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn a_job_needs_an_allocator() {
    let error = refused(
        r#"(module (memory (export "memory") 1)
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#,
    );
    assert!(error.contains("exports the job `execute_go` but no `wasm_alloc`"), "{error}");
}

#[test]
fn an_export_of_another_type_is_no_job() {
    let text =
        r#"(module (memory (export "memory") 1) (func (export "execute_go") (result i32) (i32.const 0)))"#;
    let extension = load_text(text, &Limits::default()).unwrap();
    assert!(extension.jobs().is_empty());
    assert!(extension.warnings()[0].contains("exports `execute_go` as () -> (i32), so it is no job"));
}

#[test]
fn too_much_memory_to_start_with() {
    let error = load_text(r#"(module (memory (export "memory") 17))"#, &Limits::default()).unwrap_err();
    assert_eq!(error, LoadError::Memory { asked: 17 << 16, limit: 1 << 20 });
}

#[test]
fn start_functions_and_plugin_init_that_never_end_or_trap() {
    let start = r#"(module (memory (export "memory") 1) (func $s (loop (br 0))) (start $s))"#;
    assert!(refused(start).contains("the module's start function: used up its fuel"));
    let init = r#"(module (memory (export "memory") 1) (func (export "plugin_init") (loop (br 0))))"#;
    assert!(refused(init).contains("plugin_init: used up its fuel"));
    let trap = r#"(module (memory (export "memory") 1) (func (export "plugin_init") (unreachable)))"#;
    assert!(refused(trap).contains("plugin_init: trap"));
    let grow = r#"(module (memory (export "memory") 1)
        (func $s (loop (drop (memory.grow (i32.const 1))) (br 0))) (start $s))"#;
    assert!(refused(grow).contains("memory: asked for"));
}

#[test]
fn a_plugin_init_that_returns_non_zero_fails_the_load() {
    let text =
        r#"(module (memory (export "memory") 1) (func (export "plugin_init") (result i32) (i32.const 3)))"#;
    assert!(refused(text).contains("plugin_init: returned 3"));
}

#[test]
fn tail_calls_are_off() {
    let text = r#"(module (memory (export "memory") 1) (func $f (return_call $f)))"#;
    assert!(refused(text).contains("tail calls"), "{}", refused(text));
}

#[test]
fn jobs_are_those_that_are_registered_and_those_that_names_tell_of() {
    let init = |body: &str| {
        format!("(func (export \"plugin_init\") (result i32) {body}) {}", job_body("(i32.const 0)"))
    };
    let register =
        "(call $register (i32.const 128) (i32.const 2) (i32.const 136) (i32.const 10) (i32.const 0))";
    let once = load(&init(register), &Limits::default()).unwrap();
    let job = once.job("go").unwrap();
    assert_eq!((job.export.as_str(), job.resumable, job.registered), ("execute_go", false, true));
    assert_eq!(once.jobs().len(), 1);

    let unregistered = load(&init("(i32.const 0)"), &Limits::default()).unwrap();
    assert!(unregistered.job("go").is_some_and(|job| job.resumable && !job.registered));

    let twice = load(&init(&format!("(drop {register}) {register}")), &Limits::default()).unwrap_err();
    assert!(
        twice
            .to_string()
            .contains("plugin_init: returned 1; register_job refused \"go\": it is registered already")
    );

    let no_export =
        "(call $register (i32.const 128) (i32.const 2) (i32.const 112) (i32.const 5) (i32.const 1))";
    let error = load(&init(no_export), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("the module exports no function `hello`"), "{error}");
}

/// All of them came to megabytes once.
#[test]
fn an_error_tells_of_a_few_refused_jobs_with_a_part_of_their_names() {
    let init = r#"(func (export "plugin_init") (result i32) (local i32)
        (loop
            (drop (call $register (i32.const 4096) (i32.const 4000) (i32.const 4096) (i32.const 4000) (i32.const 0)))
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 300))))
        (i32.const 1))"#;
    let error = load(init, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("register_job refused"), "{error}");
    assert!(error.len() < 20_000, "{} bytes", error.len());
}

#[test]
fn operations_cannot_be_called_in_plugin_init() {
    // Returns the reply's pointer less the allocator's first block: 0 if there is a reply.
    let body = r#"(func (export "plugin_init") (result i32)
        (i32.sub (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 4096)))"#;
    assert!(load(body, &Limits::default()).is_ok());
    let job = r#"(func (export "plugin_init") (drop (call $interrupt (i32.const 64))))"#;
    let error = load(job, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("job_check_interrupt: must not be called in plugin_init"), "{error}");
}

#[test]
fn cleanup_runs_after_init() {
    let text = |init: i32| {
        format!(
            r#"(module (memory (export "memory") 1)
                (global $g (mut i32) (i32.const 7))
                (func (export "plugin_init") (global.set $g (i32.const {init})))
                (func (export "plugin_cleanup") (result i32) (global.get $g)))"#
        )
    };
    assert_eq!(load_text(&text(0), &Limits::default()).unwrap().cleanup(), Ok(()));
    let error = load_text(&text(5), &Limits::default()).unwrap().cleanup().unwrap_err();
    assert_eq!(error.to_string(), "plugin_cleanup: returned 5");
}
