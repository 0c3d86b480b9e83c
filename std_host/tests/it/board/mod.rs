//! `toehold board`, with the shell of boards at the other end.

mod carry;
mod emulated;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::Output,
};

use serde_json::{Value, json};
use std_host::toehold::{PublicKey, Trust};

use self::emulated::{Emulated, Mishap};
use crate::{
    cli::text,
    command::{Following, Place},
    support::{Folder, module, root},
};

/// More than any test waits for, at the pace of the board here.
const ENDLESS: u64 = 4_000_000_000;

/// A board, and who sits before it.
struct Desk {
    board: Emulated,
    place: Place,
}

impl Desk {
    fn new() -> Self {
        Self { board: Emulated::new(), place: Place::empty() }
    }

    /// With the test extension on the board.
    fn installed() -> Self {
        let desk = Self::new();
        desk.ok(&["install", &extension()]);
        desk
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let port = self.board.port();
        ["board", "--port", &port].iter().chain(arguments).map(|text| (*text).to_owned()).collect()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(&self.arguments(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let arguments = self.arguments(arguments);
        self.place.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], expected: &str) {
        let arguments = self.arguments(arguments);
        self.place.fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 7, expected);
    }

    fn following(&self, arguments: &[&str]) -> Following {
        let arguments = self.arguments(arguments);
        Following::start(&self.place, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn dispatch(&self, target: u64) -> String {
        let state = json!({ "target": target }).to_string();
        self.ok(&["dispatch", "test-extension:counter", "--state", &state])
    }

    fn state(&self, id: &str) -> Option<String> {
        let listed = self.json(&["list"]);
        let jobs = listed["jobs"].as_array().unwrap();
        let job = jobs.iter().find(|job| job["job_id"] == id)?;
        Some(job["state"].as_str().unwrap().to_owned())
    }
}

fn extension() -> String {
    root().join("test-extension").display().to_string()
}

#[test]
fn an_extension_is_installed_and_a_job_is_dispatched_and_followed() {
    let desk = Desk::new();
    assert!(desk.ok(&["list"]).contains("no extensions"));
    let info = desk.json(&["info"]);
    assert_eq!((&info["signed"], &info["flash_total"]), (&json!(false), &json!(1 << 20)));
    assert!(desk.ok(&["info"]).contains("firmware     toehold "));
    desk.fails(&["dispatch", "test-extension:counter"], "install PATH` installs it");
    let out = desk.run(&["install", &extension()]);
    assert!(text(&out.stdout).starts_with("test-extension  0.1.0  counter,"), "{out:?}");
    assert!(text(&out.stderr).contains("whole pages of 64 KiB"), "{out:?}");
    let listed = desk.json(&["list"]);
    assert_eq!(listed["extensions"][0]["version"], "0.1.0");

    let out = desk.run(&["dispatch", "test-extension:counter", "--state", r#"{"target": 12}"#, "--follow"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let (shown, told) = (text(&out.stdout), text(&out.stderr));
    let id = shown.lines().next().unwrap();
    assert!(shown.contains("log         info   Starting counter (current: 0, target: 12)"), "{shown}");
    assert!(shown.ends_with("completed\n"), "{shown}");
    assert!(told.contains("100 %  Counted 12/12"), "{told}");
    let status = desk.json(&["status", &id[..8]]);
    assert_eq!((&status["state"], &status["report"]["items"]), (&json!("completed"), &json!(12)));
    assert_eq!(status["report"]["progress"]["message"], "Counted 12/12");
    assert!(desk.ok(&["show", id]).contains("progress      100 %  Counted 12/12"));
    assert!(desk.ok(&["wait", id]).ends_with("completed"));
    desk.fails(&["cancel", id], "completed already");
    desk.ok(&["remove", id]);
    desk.fails(&["status", id], "there is no job");
    desk.ok(&["remove", "test-extension"]);
    assert_eq!(desk.json(&["list"]), json!({ "extensions": [], "jobs": [] }));
}

#[test]
fn jobs_are_steered_and_the_command_ends_as_they_did() {
    let desk = Desk::installed();
    let id = desk.dispatch(ENDLESS);
    let mut events =
        desk.following(&["dispatch", "test-extension:counter", "--id", &id, "--follow", "--json"]);
    let line: Value = serde_json::from_str(&events.until("\"progress\"")).unwrap();
    assert_eq!((&line["job_id"], line["progress"]["fraction"].is_number()), (&json!(id), true));
    drop(events);
    desk.ok(&["pause", &id]);
    let paused = || desk.json(&["pause", &id])["state"] == "paused";
    while !paused() {}
    desk.fails(&["remove", &id], "cancel it first");
    desk.ok(&["resume", &id[..6]]);
    assert_ne!(desk.json(&["status", &id])["state"], "paused");
    desk.ok(&["cancel", &id]);
    let out = desk.run(&["wait", &id]);
    assert_eq!(out.status.code(), Some(4), "{out:?}");
    let crash = ["dispatch", "test-extension:crash", "--state", r#"{"message": "out of rope"}"#, "--follow"];
    let out = desk.run(&crash);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    assert!(text(&out.stderr).contains("error: test-extension:crash: "), "{out:?}");
    let folder = Folder::new();
    let failing = folder.add("failing", &module("(i32.const 2)")).display().to_string();
    desk.ok(&["install", &failing]);
    assert_eq!(desk.run(&["dispatch", "failing:go", "--follow"]).status.code(), Some(1));
}

#[test]
fn bad_input_is_told_and_the_board_goes_on() {
    let desk = Desk::installed();
    let file = |name: &str, bytes: &[u8]| {
        fs::write(desk.place.folder().join(name), bytes).unwrap();
        name.to_owned()
    };
    desk.place.ok(&["extension", "pack", &extension(), "-o", "good"]);
    let good = fs::read(desk.place.folder().join("good")).unwrap();
    let (mut damaged, mut newer) = (good.clone(), good.clone());
    damaged[500] ^= 1;
    newer[3] = 9;
    for (name, bytes, expected) in [
        ("damaged", &damaged[..], "damaged or cut short"),
        ("newer", &newer, "use a newer Toehold"),
        ("foreign", b"hello", "this is no package of Toehold"),
    ] {
        desk.fails(&["install", &file(name, bytes)], expected);
    }
    fs::create_dir(desk.place.folder().join("empty")).unwrap();
    desk.fails(&["install", "empty"], "has no manifest.json");
    desk.fails(&["install", "good", "--sign", "good"], "--sign is for a folder");
    desk.fails(&["import", &file("no-bundle", b"hello")], "this is no bundle of Toehold");
    desk.fails(&["dispatch", "counter"], "names no job");
    desk.fails(&["dispatch", "test-extension:nothing"], "has no job");
    desk.fails(&["dispatch", "test-extension:counter", "--state", "{target: 1}"], "--state: is no JSON");
    let long = json!({ "x": "y".repeat(600) }).to_string();
    desk.fails(&["dispatch", "test-extension:counter", "--state", &long], "takes lines of 512");
    desk.fails(&["status", "abcd"], "there is no job abcd");
    desk.fails(&["export", "abcd"], "there is no job abcd");
    assert_eq!(desk.json(&["list"])["jobs"], json!([]));
    // Several jobs may begin alike.
    for id in ["abcd1000-0000-4000-8000-000000000000", "abcd2000-0000-4000-8000-000000000000"] {
        desk.ok(&["dispatch", "test-extension:counter", "--id", id, "--state", r#"{"target": 1}"#]);
    }
    desk.fails(&["status", "abcd"], "more than one job");
}

#[test]
fn a_board_with_keys_and_one_that_is_full_say_so() {
    let place = Place::empty();
    let mine = PublicKey::parse(&place.ok(&["key", "generate", "my.key"])).unwrap();
    let desk = Desk { board: Emulated::with::<256>(Trust::Signed(vec![mine])), place };
    desk.fails(&["install", &extension()], "the package is not signed");
    desk.place.ok(&["key", "generate", "their.key"]);
    desk.fails(&["install", &extension(), "--sign", "their.key"], "not among the keys that are trusted");
    desk.ok(&["install", &extension(), "--sign", "my.key"]);
    assert_eq!(desk.json(&["list"])["extensions"][0]["signer"], mine.to_string());
    assert_eq!(desk.json(&["info"])["signed"], true);

    let full = Desk { board: Emulated::with::<24>(Trust::Anyone), place: Place::empty() };
    full.fails(&["install", &extension()], "full");
    assert_eq!(full.json(&["list"])["extensions"], json!([]));
}

#[test]
fn ports_that_are_none_or_speak_something_else_are_told() {
    let place = Place::empty();
    place.fails(&["board", "info"], 7, "name the board's port with --port");
    place.fails(&["board", "--port", "/dev/nowhere", "info"], 7, "/dev/nowhere: ");
    place.fails(&["board", "--port", "unix:nowhere", "info"], 7, "unix:nowhere: No such file");
    place.fails(&["board", "--port", "/dev/null", "info"], 7, "/dev/null: ");
    let out = place.run(&["board", "--port", "tcp:1", "info"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");

    // One that is silent, one that babbles, one that hangs up.
    let path = place.folder().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let port = format!("unix:{}", path.display());
    let other_end = std::thread::spawn(move || {
        let mut sessions = [&b""[..], b"\xf0\x9f\n\xff\xfe\xff\n"].into_iter().flat_map(|babble| [babble; 2]);
        for babble in sessions.by_ref() {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(babble).unwrap();
            // Until the desk has enough.
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
        }
        for _ in 0..2 {
            drop(listener.accept().unwrap());
        }
    });
    let info = ["board", "--port", &port, "--answer-time", "100ms", "info"];
    place.fails(&info, 7, "no answer within 100ms; is the firmware running?");
    place.fails(&info, 7, "what came is no text: is the baud rate right");
    place.fails(&info, 7, "other.sock: ");
    other_end.join().unwrap();
}

#[test]
fn a_board_that_is_reset_is_asked_again_and_who_follows_hears_of_it() {
    let desk = Desk::installed();
    let id = desk.dispatch(ENDLESS);
    let mut events = desk.following(&["follow", "--json"]);
    events.until("\"progress\"");
    // The next thing that the follower says falls into a reset.
    desk.board.hold(true);
    desk.board.after(0, Mishap::Reset);
    let line: Value = serde_json::from_str(&events.until("\"reset\"")).unwrap();
    assert!(line["firmware"].as_str().unwrap().starts_with("toehold "), "{line}");
    desk.board.hold(false);
    events.until("\"progress\"");
    drop(events);
    assert!(desk.board.calm().1);
    desk.ok(&["cancel", &id]);
}

#[test]
fn whatever_happens_to_any_line_a_job_is_dispatched_once() {
    let desk = Desk::installed();
    let arguments =
        ["--answer-time", "300ms", "dispatch", "test-extension:counter", "--state", r#"{"target": 1}"#];
    desk.board.calm();
    let first = desk.ok(&arguments);
    let lines = desk.board.calm().0;
    desk.ok(&["wait", &first]);
    desk.ok(&["remove", &first]);
    for mishap in [Mishap::Reset, Mishap::ResetAfter, Mishap::Damage, Mishap::DamageAnswer] {
        for line in 0..lines {
            desk.board.after(line, mishap);
            let out = desk.run(&arguments);
            assert_eq!(out.status.code(), Some(0), "{mishap:?} at line {line}: {out:?}");
            desk.board.calm();
            let listed = desk.json(&["list"]);
            let [job] = &listed["jobs"].as_array().unwrap()[..] else {
                panic!("{mishap:?} at {line}: {listed}")
            };
            assert_eq!(job["job_id"], text(&out.stdout).trim());
            desk.ok(&["wait", text(&out.stdout).trim()]);
            desk.ok(&["remove", text(&out.stdout).trim()]);
        }
    }
}

#[test]
fn packages_arrive_whole_whatever_happens_to_a_line() {
    let desk = Desk::new();
    let folder = Folder::new();
    let guest = folder.add("small", &module("(i32.const 0)")).display().to_string();
    let install = ["--answer-time", "300ms", "install", &guest];
    desk.ok(&install);
    desk.ok(&["remove", "small"]);
    desk.board.calm();
    desk.ok(&install);
    let lines = desk.board.calm().0;
    for mishap in [Mishap::Reset, Mishap::ResetAfter, Mishap::Damage] {
        for line in 0..lines {
            desk.ok(&["remove", "small"]);
            desk.board.after(line, mishap);
            let out = desk.run(&install);
            assert_eq!(out.status.code(), Some(0), "{mishap:?} at line {line}: {out:?}");
            desk.board.calm();
            let out = desk.run(&["dispatch", "small:go", "--follow"]);
            assert_eq!(out.status.code(), Some(0), "{mishap:?} at line {line}: {out:?}");
        }
    }
}

#[test]
fn a_bundle_is_written_and_read() {
    let desk = Desk::installed();
    let id = desk.dispatch(ENDLESS);
    desk.following(&["follow"]).until("progress");
    desk.ok(&["pause", &id]);
    while desk.json(&["status", &id])["state"] != "paused" {}
    assert_eq!(desk.ok(&["export", &id[..8]]), format!("{id}.bundle"));
    let file = format!("{id}.bundle");
    desk.fails(&["export", &id], "--force replaces it");
    let other = Desk::new();
    let path = desk.place.folder().join(&file);
    let path = Path::to_str(&path).unwrap();
    other.fails(&["import", path], "install PATH` installs it");
    other.ok(&["install", &extension()]);
    let imported = other.json(&["import", path, "--paused"]);
    assert_eq!(imported["state"], "paused");
    assert_eq!(imported["report"]["items"], desk.json(&["status", &id])["report"]["items"]);
    other.ok(&["import", path]);
    assert_eq!(other.state(&id).as_deref(), Some("paused"), "to import it again does nothing");
}

#[test]
fn a_closed_pipe_ends_it_without_a_panic() {
    let desk = Desk::installed();
    let id = desk.dispatch(ENDLESS);
    for command in ["follow", "list", "info", "export -o - "] {
        let command =
            if command.starts_with("export") { format!("{command} {id}") } else { command.to_owned() };
        let port = desk.board.port();
        let script = format!("'{}' board --port {port} {command} | head -c 1", env!("CARGO_BIN_EXE_toehold"));
        let out = desk.place.command_of("bash", &["-c", &script]).output().unwrap();
        assert!(!text(&out.stderr).contains("panicked"), "{command}: {out:?}");
    }
}
