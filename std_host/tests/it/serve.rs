//! `toehold serve`, and the commands that talk to it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
};

use serde_json::{Value, json};
use std_host::store::StoreReader;

use crate::{
    cli::text,
    command::{Following, Place},
    support::root,
};

/// Far more than any test waits for.
const ENDLESS: u64 = 4_000_000_000;

#[test]
fn a_job_from_dispatch_to_another_host_and_the_desk() {
    let (here, there) = (Place::new(), Place::empty());
    let server = here.serve();
    assert_eq!(here.json(&["extension", "list"])[0]["id"], "test-extension");
    let id = here.dispatch("tally", &json!({ "target": 4_000, "pace_ms": 1 }));
    let mut events = Following::start(&here, &["job", "events", &id[..6], "--follow", "--json"]);
    events.until("\"checkpoint\"");
    assert!(here.ok(&["job", "list", "--state", "running"]).contains(&id[..8]));
    assert!(here.ok(&["job", "pause", &id]).ends_with("paused"));
    assert_eq!(here.status(&id)["state"], "paused");
    here.ok(&["job", "resume", &id]);
    events.until("\"running\"");
    assert_eq!(here.json(&["job", "pause", &id])[0]["state"], "paused");
    let done = here.status(&id)["report"]["items"].as_u64().unwrap();
    assert!((1..4_000).contains(&done), "{done}");

    let file = here.folder().join("a.bundle").display().to_string();
    here.ok(&["job", "export", &id, "--with-extension", "-o", &file]);
    here.fails(&["job", "export", &id, "-o", &file], 7, "--force replaces it");
    here.ok(&["job", "export", &id, "--with-extension", "-o", &file, "--force"]);
    let replay = here.ok(&["job", "replay", &file]);
    assert!(replay.contains("byte for byte"), "{replay}");
    let replay = here.json(&["job", "replay", &file]);
    assert_eq!((&replay["same"], &replay["job_id"]), (&true.into(), &id.as_str().into()));
    assert!(replay["steps"].as_array().unwrap().iter().all(|step| step["method"] != "query:ping"));

    // It goes on there without the extension, which the bundle brings.
    assert_eq!(there.json(&["job", "import", &file])["state"], "paused");
    there.fails(&["job", "import", &file], 7, "already");
    let other = there.serve();
    there.ok(&["job", "resume", &id]);
    there.ok(&["job", "wait", &id]);
    assert_eq!(there.status(&id)["report"]["items"], 4_000);
    drop(other);

    here.ok(&["job", "cancel", &id]);
    let (lines, code) = events.rest();
    assert_eq!(code, Some(0));
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["event"], "cancelled");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn events_and_logs_are_told_as_they_happen_and_afterwards() {
    let place = Place::new();
    let _server = place.serve();
    let id = place.dispatch("counter", &json!({ "target": 30 }));
    place.ok(&["job", "wait", &id]);
    let kinds = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    };
    let kept = place.json(&["job", "events", &id]);
    let kept = kept["events"].as_array().unwrap();
    assert_eq!(kinds(kept)[..2], ["queued", "running"]);
    assert_eq!(kinds(kept).last().unwrap(), "completed");
    let numbers: Vec<u64> = kept.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=kept.len() as u64).collect::<Vec<_>>());
    // Who comes late gets all the same.
    let (lines, code) = Following::start(&place, &["job", "events", &id, "--follow", "--json"]).rest();
    let followed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&followed, code), (kept, Some(0)));
    let tail = place.json(&["job", "events", &id, "--tail", "1"]);
    assert_eq!(tail["events"].as_array().unwrap()[..], kept[kept.len() - 1..]);
    let after = place.json(&["job", "events", &id, "--after", "2"]);
    assert_eq!(after["events"].as_array().unwrap()[..], kept[2..]);

    let logs = place.ok(&["job", "logs", &id]);
    assert!(logs.contains("info   Starting counter (current: 0, target: 30)"), "{logs}");
    let (lines, _) = Following::start(&place, &["job", "logs", &id, "--follow"]).rest();
    assert_eq!(lines.join("\n"), logs);
    assert_eq!(place.ok(&["job", "logs", &id, "--tail", "1"]), logs.lines().last().unwrap());

    // And who comes before gets each line once.
    let id = place.dispatch("tally", &json!({ "target": 300, "pace_ms": 1 }));
    let (lines, _) = Following::start(&place, &["job", "logs", &id, "--follow"]).rest();
    assert_eq!(lines.join("\n"), place.ok(&["job", "logs", &id]));
}

#[test]
fn a_command_ends_as_its_job_did() {
    let place = Place::new();
    let _server = place.serve_with(&["--attempts", "1"]);
    let wait = |job: &str, state: &Value, option: &str| {
        let job = format!("test-extension:{job}");
        let out = place.run(&["job", "dispatch", &job, "--state", &state.to_string(), option]);
        (out.status.code().unwrap(), text(&out.stdout))
    };
    assert_eq!(wait("counter", &json!({ "target": 5 }), "--wait").0, 0);
    let (code, out) = wait("crash", &json!({ "message": "out of rope" }), "--follow");
    assert_eq!(code, 3);
    assert!(out.contains("out of rope") && out.contains("src/crash.rs:"), "{out}");
    assert_eq!(wait("wordcount", &json!({ "folder": "nowhere" }), "--wait").0, 1);
    let id = place.ok(&["job", "list", "--state", "failed", "--json"]);
    let failed: Vec<Value> = serde_json::from_str(&id).unwrap();
    assert_eq!(failed.len(), 2);
    let show = place.ok(&["job", "show", failed[1]["job_id"].as_str().unwrap()]);
    for part in ["last words", "memory", "cause", "execute_crash: trap", "out of rope", "1 of 1"] {
        assert!(show.contains(part), "{part} is not in {show}");
    }
}

#[test]
fn jobs_are_waited_for_paused_and_cancelled() {
    let place = Place::new();
    let _server = place.serve();
    let endless = place.dispatch("counter", &json!({ "target": ENDLESS }));
    let short = place.dispatch("counter", &json!({ "target": 1 }));
    let out = place.run(&["job", "wait", &short, &endless, "--timeout", "1ms"]);
    assert_eq!(out.status.code(), Some(6), "{out:?}");
    let out = place.run(&["job", "pause", &endless, "--no-wait", "--json"]);
    let asked: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(asked[0]["wanted"] == "pause" || asked[0]["state"] == "paused", "{asked}");
    let out = place.run(&["job", "wait", &endless, "--stopped"]);
    assert_eq!(out.status.code(), Some(5), "{out:?}");
    // One that is over keeps the other from nothing.
    assert_eq!(place.run(&["job", "wait", &short]).status.code(), Some(0));
    place.fails(&["job", "pause", &short], 7, "is completed already");
    let out = place.run(&["job", "cancel", &short, &endless]);
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert!(text(&out.stdout).contains("cancelled"), "{out:?}");
    let out = place.run(&["job", "wait", &endless, "--json"]);
    assert_eq!(out.status.code(), Some(4), "{out:?}");
    assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap()[0]["state"], "cancelled");
}

#[test]
fn a_killed_server_loses_nothing_and_who_follows_hears_the_rest() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("tally", &json!({ "target": 1_000, "pace_ms": 1 }));
    let mut events = Following::start(&place, &["job", "events", &id, "--follow", "--json"]);
    let mut seen = vec![events.until("\"checkpoint\"")];
    drop(server);
    assert!(place.data().join("toehold.sock").exists(), "it was killed before it could remove its socket");
    // Nobody runs it, but there it is.
    assert_eq!(place.status(&id)["state"], "queued");
    let _server = place.serve();
    let (rest, code) = events.rest();
    seen.extend(rest);
    assert_eq!(code, Some(0));
    assert_eq!(place.status(&id)["report"]["items"], 1_000);
    let numbers: Vec<u64> = seen
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] != "progress")
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
    let last: Value = serde_json::from_str(seen.last().unwrap()).unwrap();
    assert_eq!(last["event"], "completed");
    let reader = StoreReader::open(&place.data()).unwrap();
    let puts = reader.kv_list("test-extension", "tally/", None, 10_000).unwrap();
    assert_eq!((puts.len(), puts.iter().all(|put| put.version == 1)), (1_000, true));
}

#[test]
fn who_follows_all_jobs_hears_of_each() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("counter", &json!({ "target": ENDLESS }));
    let mut events = Following::start(&place, &["job", "events", "--follow"]);
    let mut list = Following::start(&place, &["job", "list", "--follow", "--json"]);
    list.until(&id);
    // Nobody knows when it listens; then it hears of this.
    let heard = std::thread::spawn(move || (events.until("  paused"), events));
    while !heard.is_finished() {
        place.ok(&["job", "pause", &id]);
        place.ok(&["job", "resume", &id]);
    }
    let (line, mut events) = heard.join().unwrap();
    assert!(line.starts_with(&id[..8]), "{line}");
    let other = place.dispatch("counter", &json!({ "target": 1 }));
    assert!(events.until("  completed").starts_with(&other[..8]));
    list.until(&other);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_folder_has_one_server() {
    let place = Place::new();
    let server = place.serve();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.data()), mode(&server.socket())), (0o700, 0o600));
    place.fails(
        &["serve"],
        7,
        &format!("a `toehold serve` has it already, process {}", server.ready["process"]),
    );
    let id = place.dispatch("counter", &json!({ "target": 1 }));
    place.ok(&["job", "wait", &id]);
    let socket = server.socket();
    assert_eq!(server.terminate(), Some(0));
    assert!(!socket.exists(), "a server that stops takes its socket with it");
    // What a killed one leaves behind is in nobody's way; what is no socket is not touched.
    drop(UnixListener::bind(&socket).unwrap());
    let server = place.serve();
    assert_eq!(server.terminate(), Some(0));
    std::fs::write(&socket, "mine").unwrap();
    place.fails(&["serve"], 7, "is no socket; move it away");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
}

#[test]
fn a_job_that_ran_when_its_server_was_killed_is_shown_as_waiting() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("nap", &json!({ "ms": 100_000_000 }));
    // A sleep is written down, and with it that the job runs.
    while place.status(&id)["sleeps_until"].is_null() {}
    assert_eq!(place.json(&["job", "list", "--state", "running"])[0]["job_id"], id.as_str());
    drop(server);
    assert_eq!(place.status(&id)["state"], "queued");
    assert_eq!(place.json(&["job", "list", "--state", "queued"])[0]["job_id"], id.as_str());
    assert_eq!(place.json(&["job", "list", "--state", "running"]), json!([]));
    assert_eq!(place.json(&["job", "cancel", &id])[0]["state"], "cancelled");
}

#[test]
fn a_server_that_stops_ends_those_who_wait_and_its_jobs_go_on_later() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("tally", &json!({ "target": 2_000, "pace_ms": 1 }));
    let mut events = Following::start(&place, &["job", "events", &id, "--follow"]);
    events.until("checkpoint");
    let mut waiting = place.command(&["job", "wait", &id]).env("RUST_LOG", "toehold=debug").spawn().unwrap();
    let mut log = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("/wait?")), "it has asked the server");
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(
        place.status(&id)["state"],
        "queued",
        "those who follow must not keep the server until the job is over"
    );
    let _server = place.serve();
    let out = waiting.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let (lines, code) = events.rest();
    assert!(lines.last().unwrap().contains("completed"), "{lines:?}");
    assert_eq!(code, Some(0));
}

#[test]
fn many_commands_at_once_corrupt_nothing() {
    let place = Place::new();
    let dispatch = || {
        let commands: Vec<_> = (0..6)
            .map(|_| place.command(&["job", "dispatch", "test-extension:counter"]).spawn().unwrap())
            .collect();
        let ids = commands.into_iter().map(|command| {
            let out = command.wait_with_output().unwrap();
            assert_eq!(out.status.code(), Some(0), "{out:?}");
            text(&out.stdout).trim().to_owned()
        });
        ids.collect::<BTreeSet<_>>()
    };
    // Each of them takes the folder for itself, one after the other; then a server has it.
    let mut ids = dispatch();
    let server = place.serve();
    ids.extend(dispatch());
    assert_eq!(server.terminate(), Some(0));
    ids.extend(dispatch());
    let listed = place.json(&["job", "list"]);
    let listed: BTreeSet<String> =
        listed.as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), &listed), (18, &ids));
    assert_eq!(StoreReader::open(&place.data()).unwrap().check().unwrap(), [""; 0]);
}

#[test]
fn a_job_is_dispatched_once_where_the_server_goes_before_it_answers() {
    for came_through in [false, true] {
        let place = Place::new();
        let socket = place.data().join("toehold.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let dispatching = place.command(&["job", "dispatch", "test-extension:counter"]).spawn().unwrap();
        let mut asked = String::new();
        while asked.is_empty() {
            // First somebody looks whether anybody is there.
            let (mut stream, _) = listener.accept().unwrap();
            let mut part = [0; 4096];
            while !asked.ends_with('}') {
                match stream.read(&mut part).unwrap() {
                    0 => break,
                    bytes => asked.push_str(std::str::from_utf8(&part[..bytes]).unwrap()),
                }
            }
            if asked.is_empty() {
                continue;
            }
            std::fs::remove_file(&socket).unwrap();
            if came_through {
                let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").unwrap().1).unwrap();
                let id = body["id"].as_str().unwrap();
                place.ok(&["job", "dispatch", "test-extension:counter", "--id", id]);
            }
        }
        drop(listener);
        let out = dispatching.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        let listed = place.json(&["job", "list"]);
        assert_eq!(listed.as_array().unwrap().len(), 1);
        assert_eq!(listed[0]["job_id"], text(&out.stdout).trim());
    }
}

#[test]
fn somebody_else_at_the_socket_is_an_error() {
    let place = Place::new();
    let listener = UnixListener::bind(place.data().join("toehold.sock")).unwrap();
    let stranger = std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let mut stream = stream;
            let mut asked = [0; 1024];
            // Who only looks whether somebody is there says nothing.
            if stream.read(&mut asked).unwrap_or(0) > 0 {
                let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n");
                return;
            }
        }
    });
    let out = place.run(&["job", "list"]);
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert!(text(&out.stderr).contains("did not answer as `toehold serve` does"), "{out:?}");
    stranger.join().unwrap();
}

#[test]
fn extensions_come_change_and_go_while_jobs_run() {
    let place = Place::empty();
    let _server = place.serve();
    assert!(place.ok(&["extension", "list"]).contains("extension add"));
    place.fails(
        &["job", "dispatch", "test-extension:counter"],
        7,
        "`toehold extension add PATH` installs one",
    );
    let source = root().join("test-extension").display().to_string();
    place.ok(&["extension", "add", &source]);
    place.fails(&["extension", "add", "nowhere"], 7, "nowhere");
    let id = place.dispatch("counter", &json!({ "target": ENDLESS }));
    place.fails(
        &["extension", "remove", "test-extension"],
        7,
        "1 jobs of extension test-extension are not over",
    );
    let manifest = place.data().join("extensions/test-extension/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"0.1.0\"", "\"0.2.0\"")).unwrap();
    assert_eq!(place.json(&["extension", "reload", "test-extension"])["version"], "0.2.0");
    assert!(place.ok(&["extension", "inspect", "test-extension"]).contains("0.2.0"));
    std::fs::write(&manifest, "{").unwrap();
    place.fails(&["extension", "reload", "test-extension"], 7, "manifest.json");
    assert!(place.ok(&["extension", "list"]).contains("0.2.0"));
    place.ok(&["job", "cancel", &id]);
    assert_eq!(place.json(&["extension", "remove", "test-extension"])["removed"], "test-extension");
    place.fails(
        &["extension", "remove", "test-extension"],
        7,
        "no extension \"test-extension\" is installed in",
    );
}
