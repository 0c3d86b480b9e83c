//! Whatever is wrong, the command says it in one clear line that names the file or the function, with an exit code
//! that is not 0, and does not panic.

use crate::{
    cli::{text, toehold},
    support::*,
};

/// Runs `one:go` from `folder`; it must fail with `code`, and name `expected` in its one line of error.
#[track_caller]
fn fails(folder: &Folder, arguments: &[&str], code: i32, expected: &str) {
    let out = toehold(folder.path(), arguments);
    let stderr = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(errors[0].contains(expected), "{expected:?} is not in {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

const RUN: [&str; 2] = ["run", "one:go"];

#[track_caller]
fn module_fails(wasm: &[u8], expected: &str) {
    let folder = Folder::new();
    folder.add_files("one", &manifest("one"), wasm);
    fails(&folder, &RUN, 7, expected);
    fails(&folder, &["extension", "inspect", "one"], 7, expected);
    fails(&folder, &["extension", "list"], 7, expected);
}

#[track_caller]
fn guest_fails(body: &str, code: i32, expected: &str) {
    let folder = Folder::new();
    folder.add("one", &module(body));
    fails(&folder, &RUN, code, expected);
}

#[track_caller]
fn manifest_fails(text: &str, expected: &str) {
    let folder = Folder::new();
    folder.add_files("one", text, &wat::parse_str(module("(i32.const 0)")).unwrap());
    fails(&folder, &RUN, 7, expected);
}

#[test]
fn extensions_that_are_not_there() {
    let folder = Folder::new();
    fails(&folder, &RUN, 7, "no extension \"one\" in ");
    fails(&folder, &["run", "go"], 7, "\"go\" names no job");
    fails(&folder, &["run", ":go"], 7, "names no job");
    fails(&folder, &["run", "extension", "go"], 7, "write extension:go");
    fails(&folder, &["run", "./nowhere:go"], 7, "./nowhere: No such file");
    fails(&folder, &["extension", "inspect", "./nowhere"], 7, "./nowhere: No such file");
    folder.add("one", &module("(i32.const 0)"));
    fails(&folder, &["run", "one:other"], 7, "has no job \"other\"; its jobs are go");
    fails(&folder, &["run", "two:go"], 7, "it has one");
    fails(&folder, &["run", "--resume", "nowhere"], 7, "nowhere: No such file");
    let foreign = folder.path().join("one/manifest.json");
    fails(&folder, &["run", "--resume", foreign.to_str().unwrap()], 7, "this is no checkpoint");
}

#[test]
fn modules_that_are_none() {
    let good = wat::parse_str(module("(i32.const 0)")).unwrap();
    module_fails(b"", "module.wasm: not a WebAssembly module");
    module_fails(
        b"(module)",
        "module.wasm: not a WebAssembly module that can run here: it is text; WebAssembly text (.wat)",
    );
    module_fails(b"MZ\x90\0 this is something else", "module.wasm: not a WebAssembly module");
    module_fails(&good[..good.len() / 2], "module.wasm: not a WebAssembly module");
    let noise: Vec<u8> = (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    module_fails(&noise, "module.wasm: not a WebAssembly module");
    module_fails(&[b"\0asm\x01\0\0\0".as_slice(), &noise].concat(), "module.wasm: not a WebAssembly module");
    let folder = Folder::new();
    let path = folder.add("one", &module("(i32.const 0)"));
    std::fs::remove_file(path.join("module.wasm")).unwrap();
    fails(&folder, &RUN, 7, "module.wasm: No such file");
}

#[test]
fn modules_that_do_not_fit_the_abi() {
    let wat = |text: &str| wat::parse_str(text).unwrap();
    module_fails(
        &wat(r#"(module (import "spacedrive" "format_disk" (func)) (memory (export "memory") 1))"#),
        "`spacedrive.format_disk`, which is no host function",
    );
    module_fails(
        &wat(
            r#"(module (import "spacedrive" "spacedrive_log" (func (param i64))) (memory (export "memory") 1))"#,
        ),
        "`spacedrive.spacedrive_log` as (i64) -> ()",
    );
    module_fails(&wat("(module)"), "exports no `memory`");
    module_fails(
        &wat(r#"(module (memory (export "memory") 1) (func (export "wasm_alloc")))"#),
        "exports `wasm_alloc` as () -> ()",
    );
    module_fails(
        &wat(r#"(module (memory (export "memory") 1) (func $s (loop (br 0))) (start $s))"#),
        "the module's start function: used up its fuel",
    );
    module_fails(&wat(r#"(module (memory (export "memory") 100))"#), "bytes of memory, the limit is 1048576");
    let register =
        "(call $register (i32.const 48) (i32.const 2) (i32.const 56) (i32.const 10) (i32.const 1))";
    let twice = module("(i32.const 0)").replace(
        "(func $deeper",
        &format!("(func (export \"plugin_init\") (result i32) (drop {register}) {register}) (func $deeper"),
    );
    module_fails(&wat(&twice), "register_job refused \"go\": it is registered already");
}

#[test]
fn manifests_that_cannot_be_right() {
    let good = manifest("one");
    manifest_fails("", "manifest.json: EOF while parsing");
    manifest_fails("{ this is no JSON", "manifest.json: key must be a string at line 1 column 3");
    manifest_fails(&good.replace("\"version\": \"1\",", ""), "manifest.json: missing field `version`");
    manifest_fails(
        &good.replace("module.wasm", "../module.wasm"),
        "manifest.json: `wasm_file` is \"../module.wasm\"",
    );
    manifest_fails(
        &good.replace("module.wasm", "/etc/passwd"),
        "manifest.json: `wasm_file` is \"/etc/passwd\"",
    );
    manifest_fails(
        &good.replace("\"id\": \"one\"", "\"id\": \"../one\""),
        "manifest.json: `id` is \"../one\"",
    );
    let folder = Folder::new();
    fails(&folder, &["run", &format!("{}/:go", folder.path().display())], 7, "has no manifest.json");
}

#[test]
fn states_that_cannot_be_right() {
    let folder = Folder::new();
    folder.add("one", &module("(i32.const 0)"));
    let file = folder.path().join("state.json");
    std::fs::write(&file, "[1, 2").unwrap();
    let file = format!("@{}", file.display());
    for (state, expected) in [
        ("{target: 10}", "--state: is no JSON: key must be a string at line 1 column 2"),
        ("", "--state: is no JSON: EOF while parsing"),
        ("@nowhere.json", "--state: nowhere.json: No such file"),
        ("@/dev/zero", "--state: /dev/zero: is no regular file"),
        (file.as_str(), "state.json: is no JSON: EOF while parsing a list"),
    ] {
        fails(&folder, &["run", "one:go", "--state", state], 7, expected);
    }
    fails(&folder, &["run", "one:go", "--config", "{"], 7, "--config: is no JSON");
    fails(&folder, &["run", "--resume", "/dev/zero"], 7, "/dev/zero: is no regular file");
    let out = toehold(&root(), &["run", "test-extension:counter", "--state", "{\"target\": \"ten\"}"]);
    assert_eq!(out.status.code(), Some(7));
    assert!(
        text(&out.stderr).contains("at /target: \"ten\" is not of type \"integer\"; mend it and dispatch"),
        "{out:?}"
    );
}

#[test]
fn guests_that_break_the_abi() {
    let log = |pointer: i32, length: i32| {
        format!("(call $log (i32.const 1) (i32.const {pointer}) (i32.const {length})) (i32.const 0)")
    };
    guest_fails(&log(-1, 1), 3, "spacedrive_log: `ptr` points to 1 bytes at 0xffffffff");
    guest_fails(&log(0, -1), 3, "spacedrive_log: `ptr` points to 4294967295 bytes");
    guest_fails(&log(40, 2), 3, "spacedrive_log: `ptr` is not UTF-8");
    guest_fails("(call $interrupt (i32.const 0))", 3, "job_check_interrupt: called with job id");
    guest_fails("(i32.const 77)", 3, "execute_go: returned 77");
    guest_fails("(i32.const 2)", 1, "returned 2 (failed)");
    guest_fails("(unreachable)", 3, "execute_go: trap");
}

#[test]
fn guests_whose_allocator_is_odd() {
    for (pointer, code, expected) in [
        (0, 3, "wasm_alloc: returned 0 (out of memory)"),
        (65_535, 3, "wasm_alloc: returned 0xffff"),
        (-2, 3, "wasm_alloc: returned 0xfffffffe"),
    ] {
        let folder = Folder::new();
        folder.add(
            "one",
            &module("(i32.const 0)").replace("(i32.const 4096)", &format!("(i32.const {pointer})")),
        );
        fails(&folder, &RUN, code, expected);
    }
    let folder = Folder::new();
    folder.add("one", &module("(i32.const 0)").replace("(i32.const 4096)", "(i32.const 4097)"));
    assert_eq!(toehold(folder.path(), &RUN).status.code(), Some(0), "an odd address is as good as any");
}

#[test]
fn guests_without_end() {
    guest_fails("(loop (drop (memory.grow (i32.const 1))) (br 0)) (unreachable)", 3, "memory: asked for");
    guest_fails("(call $deeper (i32.const 0))", 3, "calls nest too deeply");
    let folder = Folder::new();
    folder.add("one", &module("(loop (br 0)) (unreachable)"));
    fails(&folder, &["run", "one:go", "--fuel", "1000000"], 3, "one:go: used up its fuel of 1000000");
    let out = toehold(folder.path(), &["run", "one:go", "--timeout", "50ms"]);
    assert_eq!(out.status.code(), Some(6), "{out:?}");
}

#[test]
fn a_guest_that_logs_a_million_lines() {
    let folder = Folder::new();
    folder.add(
        "one",
        &module(
            r"(local $i i32)
              (loop
                (call $log (i32.const 0) (i32.const 0) (i32.const 5))
                (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
              (i32.const 0)",
        ),
    );
    fails(&folder, &RUN, 8, "one:go: spacedrive_log: 990000 log lines were over the limit");
}
