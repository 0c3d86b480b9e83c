use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{readme::words, support::*};

pub(crate) fn toehold(extensions: &std::path::Path, arguments: &[&str]) -> Output {
    let data = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_toehold"))
        .args(arguments)
        .current_dir(root())
        .env("TOEHOLD_EXTENSIONS", extensions)
        .env("TOEHOLD_DATA", data.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn run_prints_plain_lines_in_a_pipe() {
    let out = toehold(&root(), &["run", "test-extension:counter", "--state", "{\"target\": 10}"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert!(stderr.contains("Loading extension: test-extension"), "{stderr}");
    assert!(stderr.contains("✓ Test extension initialized!"), "{stderr}");
    assert!(stderr.contains("Starting counter (current: 0, target: 10)"), "{stderr}");
    assert!(stderr.contains("100 %  Counted 10/10"), "{stderr}");
    assert!(stdout.starts_with("test-extension:counter completed after"), "{stdout}");
    assert!(stdout.contains("items        10"), "{stdout}");
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "escape sequences in a pipe");
}

#[test]
fn run_takes_a_path_and_prints_json() {
    let path = format!("{}:counter", root().join("test-extension").display());
    let out = toehold(
        std::path::Path::new("/nonexistent"),
        &["run", &path, "--state", "{\"target\": 20}", "--json"],
    );
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["outcome"], "completed");
    assert_eq!(json["items"], 20);
    assert_eq!(json["checkpoints"], 2);
    assert_eq!(json["state"]["current"], 20);
    assert_eq!(json["progress"]["fraction"], 1.0);
    assert_eq!(json["checkpoint_file"], Value::Null);
}

#[test]
fn fuel_and_timeout_end_a_job_with_codes_of_their_own() {
    let counter = ["run", "test-extension:counter", "--state", "{\"target\": 4000000000}"];
    let out = toehold(&root(), &[&counter[..], &["--fuel", "1000000"]].concat());
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    assert!(text(&out.stderr).contains("used up its fuel of 1000000"), "{out:?}");
    let out = toehold(&root(), &[&counter[..], &["--timeout", "100ms", "--json"]].concat());
    assert_eq!(out.status.code(), Some(6), "{out:?}");
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["outcome"], "timed_out");
}

#[cfg(unix)]
#[test]
fn ctrl_c_pauses_and_resume_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_toehold"))
        .args(["run", "test-extension:counter", "--state", "{\"target\": 20000}", "--data"])
        .arg(data.path())
        .env("TOEHOLD_EXTENSIONS", root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first progress says that it runs, and that it knows about Ctrl-C.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Counted ")));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(5), "{out:?} {rest:?}");
    let stdout = text(&out.stdout);
    // The line that it prints works anywhere.
    let (_, hint) = stdout.lines().find_map(|line| line.split_once("toehold run ")).unwrap();
    let mut arguments = words(hint);
    arguments.insert(0, "run".to_owned());
    let out = Command::new(env!("CARGO_BIN_EXE_toehold"))
        .args(&arguments)
        .arg("--json")
        .current_dir(data.path())
        .env_remove("TOEHOLD_EXTENSIONS")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&json["items"], &json["state"]["processed"]), (&20_000.into(), &20_000.into()));
}

#[test]
fn extensions_are_listed_and_inspected() {
    let out = toehold(&root(), &["extension", "list"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(
        text(&out.stdout).contains(
            "test-extension  0.1.0  counter, wordcount, tally, draw, nap, family, spin, flaky, crash"
        ),
        "{out:?}"
    );

    for path in ["test-extension", &root().join("test-extension").display().to_string()] {
        let out = toehold(&root(), &["extension", "inspect", path]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        let stdout = text(&out.stdout);
        for part in
            ["spacedrive.spacedrive_call", "execute_counter", "requests_per_minute", "sha256", "warnings"]
        {
            assert!(stdout.contains(part), "{part} is not in {stdout}");
        }
    }
    let out = toehold(&root(), &["extension", "inspect", "test-extension", "--json"]);
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["jobs"][0]["name"], "test-extension:counter");
    assert_eq!(json["limits"]["memory_bytes"], 64 << 20);
}

#[test]
fn completions_and_help() {
    let out = toehold(&root(), &["completions", "bash"]);
    assert!(text(&out.stdout).contains("_toehold"), "{out:?}");
    let out = toehold(&root(), &["--help"]);
    assert!(text(&out.stdout).contains("Exit codes:"), "{out:?}");
    assert_eq!(toehold(&root(), &["run"]).status.code(), Some(2));
}

#[test]
fn the_configuration_comes_from_the_command_line_or_its_file() {
    // Logs the reply of `query:config.get`.
    let wat = module("(unreachable)").replace("action:wait", "query:config.get").replace(
        "(unreachable)",
        r"(local $r i32)
          (local.set $r (call $call (i32.const 16) (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0)))
          (call $log (i32.const 1) (i32.add (local.get $r) (i32.const 4)) (i32.load (local.get $r)))
          (i32.const 0)",
    );
    let wat = wat.replace("(data (i32.const 40)", "(data (i32.const 44)");
    let folder = Folder::new();
    let path = folder.add("reader", &wat);
    std::fs::write(path.join("config.json"), r#"{"from": "file"}"#).unwrap();
    let out = toehold(folder.path(), &["run", "reader:go"]);
    assert!(text(&out.stderr).contains(r#"{"from":"file"}"#), "{out:?}");
    let out = toehold(folder.path(), &["run", "reader:go", "--config", r#"{"from": "line"}"#]);
    assert!(text(&out.stderr).contains(r#"{"from":"line"}"#), "{out:?}");
}

#[test]
fn an_operator_can_grant_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "one two three").unwrap();
    let state = serde_json::json!({ "folder": folder.path() }).to_string();
    let run = ["run", "test-extension:wordcount", "--json", "--state", &state];
    let out = toehold(&root(), &run);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let out = toehold(&root(), &[&run[..], &["--allow-dir", folder.path().to_str().unwrap()]].concat());
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["state"]["files"][0]["words"], 3);
    let state = serde_json::json!({ "folder": root().join("docs").canonicalize().unwrap() }).to_string();
    let relative = ["run", "test-extension:wordcount", "--state", &state, "--allow-dir", "docs"];
    assert_eq!(toehold(&root(), &relative).status.code(), Some(0));
    let out = toehold(&root(), &[&run[..], &["--allow-dir", "no-such-folder"]].concat());
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert!(text(&out.stderr).contains("no-such-folder"), "{out:?}");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_panic() {
    for arguments in ["completions bash", "run nowhere:x", "run test-extension:counter", "extension list"] {
        let command = format!(
            "'{}' {arguments} 2>&1 1>&- | true; exec 2>&1; '{0}' {arguments} 2>&1 | true",
            env!("CARGO_BIN_EXE_toehold")
        );
        let script = format!(
            "({command}); ('{}' {arguments} >/dev/full 2>/dev/null; echo $?)",
            env!("CARGO_BIN_EXE_toehold")
        );
        let out = Command::new("bash").args(["-c", &script]).current_dir(root()).output().unwrap();
        let code = text(&out.stdout);
        assert!(!code.contains("101"), "{arguments}: {out:?}");
        assert!(!text(&out.stderr).contains("panicked"), "{arguments}: {out:?}");
    }
}

#[test]
fn a_panic_in_a_guest_reaches_its_last_words_with_its_place() {
    let state = r#"{"message": "out of rope"}"#;
    let out = toehold(&root(), &["run", "test-extension:crash", "--state", state]);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let stderr = text(&out.stderr);
    let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains("execute_crash: trap"), "{error}");
    assert!(error.contains("out of rope") && error.contains("test-extension/src/crash.rs:"), "{error}");
}

#[test]
fn a_guest_that_stops_unasked_is_paused() {
    let folder = Folder::new();
    folder.add("one", &module("(i32.const 1)"));
    let out = toehold(folder.path(), &["run", "one:go"]);
    assert_eq!(out.status.code(), Some(5), "{out:?}");
}
