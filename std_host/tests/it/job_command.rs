//! The commands about jobs where no `toehold serve` runs, and what they say to what makes no sense.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use toehold::Bundle;

use crate::{
    cli::text,
    command::{Following, Place},
    jobs::copy,
    support::root,
};

#[test]
fn without_a_server_jobs_wait_and_can_be_steered() {
    let place = Place::empty();
    assert!(place.ok(&["job", "list"]).starts_with("no jobs in "));
    assert_eq!(place.json(&["job", "list"]), json!([]));
    assert!(!place.data().exists(), "who only looks makes no folder");
    place.ok(&["extension", "add", &root().join("test-extension/manifest.json").display().to_string()]);
    let out = place.run(&["job", "dispatch", "test-extension:counter", "--state", r#"{"target": 3}"#]);
    assert!(text(&out.stderr).contains("runs once `toehold serve` does"), "{out:?}");
    let id = text(&out.stdout).trim().to_owned();
    assert_eq!(place.status(&id)["state"], "queued");
    assert!(place.ok(&["job", "list"]).contains("test-extension:counter  queued"));
    assert_eq!(place.json(&["job", "pause", &id])[0]["state"], "paused");
    assert_eq!(place.json(&["job", "list", "--state", "paused"])[0]["job_id"], id.as_str());
    assert!(place.ok(&["job", "list", "--state", "running"]).starts_with("no such jobs"));
    assert_eq!(place.json(&["job", "resume", &id])[0]["state"], "queued");
    for command in
        [&["job", "wait", &id][..], &["job", "events", &id, "--follow"], &["job", "logs", &id, "--follow"]]
    {
        place.fails(command, 7, "nobody runs the jobs of its data folder; start `toehold serve`");
    }
    for command in [["job", "list", "--follow"], ["job", "events", "--follow"]] {
        place.fails(&command, 7, "start `toehold serve`");
    }
    for option in ["--wait", "--follow"] {
        place.fails(&["job", "dispatch", "test-extension:counter", option], 7, "start `toehold serve`");
    }
    assert_eq!(
        place.json(&["job", "list"]).as_array().unwrap().len(),
        1,
        "what can't be waited for is not queued"
    );
    let server = place.serve();
    place.ok(&["job", "wait", &id]);
    assert_eq!(server.terminate(), Some(0));
    // What is over can be looked at, waited for and followed.
    assert!(place.ok(&["job", "wait", &id]).ends_with("completed"));
    let (lines, code) = Following::start(&place, &["job", "events", &id, "--follow"]).rest();
    assert_eq!((lines.join("\n"), code), (place.ok(&["job", "events", &id]), Some(0)));
    assert!(lines.last().unwrap().ends_with("completed"));
    assert!(place.ok(&["job", "logs", &id]).contains("Starting counter (current: 0, target: 3)"));
    place.fails(&["job", "cancel", &id], 7, "is completed already");
    let second = place.ok(&["job", "dispatch", "test-extension:counter"]);
    assert_eq!(place.json(&["job", "cancel", &second])[0]["state"], "cancelled");
    let out = place.run(&["job", "wait", &id, &second]);
    assert_eq!(out.status.code(), Some(4), "{out:?}");
}

#[test]
fn ids_may_be_abbreviated_as_long_as_they_are_one_jobs() {
    let place = Place::new();
    let (one, two) = ("abcd1000-0000-4000-8000-000000000000", "abcd2000-0000-4000-8000-000000000000");
    for id in [one, two] {
        assert_eq!(place.ok(&["job", "dispatch", "test-extension:counter", "--id", id]), id);
    }
    place.fails(&["job", "dispatch", "test-extension:counter", "--id", one], 7, "already");
    for given in ["abcd1", "ABCD1000-0", one, &one.replace('-', "")] {
        assert_eq!(place.status(given)["job_id"], one);
    }
    place.fails(&["job", "show", "abcd"], 7, &format!("may be several jobs: {one}, {two}; give more digits"));
    place.fails(&["job", "show", "abcd3"], 7, "there is no job abcd3");
    place.fails(&["job", "show", "abc"], 7, "is no job's id");
    place.fails(&["job", "show", "counter"], 7, "is no job's id");
    place.fails(&["job", "pause", one, "abcd3"], 7, "there is no job abcd3");
    assert_eq!(place.status(one)["state"], "queued", "one mistake, and nothing is done");
    place.fails(&["job", "show", "00000000-0000-0000-0000-000000000000"], 7, "there is no job 0000");
}

#[test]
fn a_name_alone_is_the_extension_that_is_installed() {
    let place = Place::empty();
    let local = place.folder().join("test-extension");
    copy(&root().join("test-extension"), &local);
    let manifest = local.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"0.1.0\"", "\"9.9.9\"")).unwrap();
    let version = |name: &str| place.json(&["extension", "inspect", name])["version"].clone();
    assert_eq!(version("test-extension"), "9.9.9", "none is installed");
    place.ok(&["extension", "add", &root().join("test-extension").display().to_string()]);
    assert_eq!((version("test-extension"), version("./test-extension")), ("0.1.0".into(), "9.9.9".into()));
    let _server = place.serve();
    assert_eq!((version("test-extension"), version("./test-extension")), ("0.1.0".into(), "9.9.9".into()));
    fs::rename(local, place.folder().join("other")).unwrap();
    assert_eq!((version("other"), version("test-extension")), ("9.9.9".into(), "0.1.0".into()));
}

#[test]
fn what_can_not_be_dispatched_is_not_queued() {
    let place = Place::new();
    let counter = ["job", "dispatch", "test-extension:counter"];
    let with = |more: &[&'static str]| [&counter[..], more].concat();
    place.fails(&["job", "dispatch", "counter"], 7, "names no job");
    place.fails(&["job", "dispatch", "test-extension", "counter"], 7, "write test-extension:counter");
    place.fails(&["job", "dispatch", "nowhere:counter"], 7, "no extension \"nowhere\" is installed");
    place.fails(
        &["job", "dispatch", "test-extension:nothing"],
        7,
        "has no job \"nothing\"; its jobs are counter",
    );
    place.fails(&with(&["--state", "{target: 1}"]), 7, "--state: is no JSON: key must be a string at line 1");
    place.fails(&with(&["--state", "@nowhere"]), 7, "--state: nowhere: No such file");
    fs::write(place.folder().join("large"), format!("\"{}\"", "x".repeat(1 << 20))).unwrap();
    place.fails(&with(&["--state", "@large"]), 7, "the state has 1048578 bytes, the limit is 1048576");
    for usage in [&["--attempts", "0"][..], &["--priority", "top"], &["--id", "7"], &["--wait", "--follow"]] {
        place.fails(&[&counter[..], usage].concat(), 2, "error: ");
    }
    assert_eq!(place.json(&["job", "list"]), json!([]));
}

/// A bundle of a job that has put some of its items, without its extension.
fn bundle(place: &Place) -> (String, PathBuf) {
    let server = place.serve();
    let id = place.dispatch("tally", &json!({ "target": 3_000, "pace_ms": 1 }));
    let mut events = Following::start(place, &["job", "events", &id, "--follow"]);
    events.until("checkpoint");
    place.ok(&["job", "pause", &id]);
    assert_eq!(server.terminate(), Some(0));
    let file = place.ok(&["job", "export", &id[..8]]);
    assert_eq!(file, format!("{id}.bundle"), "in the current folder, unless another name is given");
    (id, place.folder().join(file))
}

#[test]
fn bundles_that_are_damaged_newer_or_something_else_are_refused() {
    let place = Place::new();
    let (id, file) = bundle(&place);
    let good = fs::read(&file).unwrap();
    let elsewhere = Place::new();
    let bad = elsewhere.folder().join("bad.bundle").display().to_string();
    let refused = |bytes: &[u8], expected: &str| {
        fs::write(&bad, bytes).unwrap();
        for command in [&["job", "import", &bad][..], &["job", "replay", &bad]] {
            elsewhere.fails(command, 7, expected);
        }
    };
    let mut damaged = good.clone();
    damaged[good.len() / 2] ^= 1;
    refused(&damaged, "bad.bundle: the bundle is damaged or cut short");
    refused(&good[..good.len() - 1], "damaged or cut short");
    refused(b"", "bad.bundle: ");
    refused(b"{}", "bad.bundle: this is no bundle");
    refused(&Bundle::decode(&good).unwrap().newest, "this is no bundle");
    let mut newer = good.clone();
    newer[3] += 1;
    refused(&newer, "bad.bundle: the bundle has format ");
    elsewhere.fails(&["job", "import", "nowhere"], 7, "nowhere: No such file");
    elsewhere.fails(&["job", "import", "."], 7, "is no regular file");
    assert_eq!(elsewhere.json(&["job", "list"]), json!([]));

    let file = file.display().to_string();
    let stranger = Place::empty();
    stranger.fails(&["job", "import", &file], 7, "runs on module");
    stranger.fails(&["job", "replay", &file], 7, "the bundle has no module");
    let extension = root().join("test-extension").display().to_string();
    let replay = stranger.json(&["job", "replay", &file, "--extension", &extension]);
    assert_eq!((&replay["same_bytes"], &replay["job_id"]), (&true.into(), &id.as_str().into()));
    // Where the extension is known, it need not be in the bundle.
    assert_eq!(elsewhere.json(&["job", "import", &file])["state"], "paused");
}

#[test]
fn a_bundle_goes_through_a_pipe() {
    let place = Place::new();
    let id = place.dispatch("counter", &json!({ "target": 7 }));
    let script = format!(
        "'{0}' job export {id} -o - --with-extension | TOEHOLD_DATA=other '{0}' job import --paused -",
        env!("CARGO_BIN_EXE_toehold")
    );
    let out = place.command_of("bash", &["-c", &script]).output().unwrap();
    assert_eq!(text(&out.stdout).trim(), format!("{id}  test-extension:counter  paused"), "{out:?}");
    let listed = place.json(&["job", "list", "--data", "other"]);
    assert_eq!((&listed[0]["job_id"], &listed[0]["state"]), (&id.as_str().into(), &"paused".into()));
}

#[test]
fn a_replay_that_goes_another_way_says_so() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("draw", &json!({}));
    place.ok(&["job", "wait", &id]);
    assert_eq!(server.terminate(), Some(0));
    place.ok(&["job", "export", &id, "--with-extension", "-o", "good"]);
    let replay = place.ok(&["job", "replay", "good"]);
    assert!(replay.contains("call 1  query:random.bytes") && replay.contains("completed"), "{replay}");
    assert!(replay.contains("->  {\"version\":1}"), "{replay}");
    // The journal of another job of the same kind: its random bytes are others.
    let server = place.serve();
    let other = place.dispatch("draw", &json!({}));
    place.ok(&["job", "wait", &other]);
    assert_eq!(server.terminate(), Some(0));
    place.ok(&["job", "export", &other, "-o", "other"]);
    let read = |name: &str| Bundle::decode(&fs::read(place.folder().join(name)).unwrap()).unwrap();
    let mixed = Bundle { newest: read("other").newest, ..read("good") };
    let mixed = Bundle { newest: read("good").base, ..mixed };
    let mixed = Bundle { journal: read("other").journal, ..mixed };
    fs::write(place.folder().join("mixed"), mixed.encode()).unwrap();
    let out = place.run(&["job", "replay", "mixed", "--json"]);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["same"], false);
    assert!(text(&out.stderr).contains("went another way"), "{out:?}");
}

#[test]
fn settings_come_from_flags_then_variables_then_the_file() {
    let place = Place::empty();
    fs::write(place.folder().join("toehold.toml"), "data = \"from-file\"\nworkers = 3\nattempts = 7\n")
        .unwrap();
    let data = |place: &Place, arguments: &[&str], variable: Option<&str>| -> Value {
        let mut command = place.command(&[arguments, &["job", "list"]].concat());
        command.env_remove("TOEHOLD_DATA");
        if let Some(value) = variable {
            command.env("TOEHOLD_DATA", value);
        }
        text(&command.output().unwrap().stdout).into()
    };
    let listed = |expected: &str, out: &Value| assert!(out.as_str().unwrap().contains(expected), "{out}");
    listed("/from-file", &data(&place, &[], None));
    listed("/from-variable", &data(&place, &[], Some("from-variable")));
    let out = place.ok(&["job", "list", "--data", "from-flag"]);
    listed("/from-flag", &out.into());

    let workers = |arguments: &[&str]| place.serve_with(arguments).ready["workers"].clone();
    assert_eq!(workers(&[]), 3);
    assert_eq!(workers(&["--workers", "1"]), 1);
    fs::write(place.folder().join("other.toml"), "workers = 4").unwrap();
    assert_eq!(workers(&["--config", "other.toml"]), 4);
    // The file counts for what a command does without a server, too.
    place.ok(&["extension", "add", &root().join("test-extension").display().to_string()]);
    let id = place.dispatch("counter", &json!({}));
    assert_eq!(place.status(&id)["attempts"], 7);

    for (text, expected) in [
        ("worker = 3", "bad.toml:1: there is no setting `worker`"),
        ("\nworkers = \"x\"", "bad.toml:2: it is the text \"x\""),
        ("workers = 0", "bad.toml:1: it is the number `0`"),
        ("data = [", "bad.toml:1: "),
        ("keep_for = \"x\"", "bad.toml:1: \"x\" is no time"),
    ] {
        fs::write(place.folder().join("bad.toml"), text).unwrap();
        for command in [&["serve"][..], &["job", "list"], &["extension", "list"]] {
            place.fails(&[command, &["--config", "bad.toml"]].concat(), 7, expected);
        }
    }
    place.fails(&["serve", "--config", "nowhere.toml"], 7, "nowhere.toml: No such file");
    place.fails(&["serve", "--allow-dir", "nowhere"], 7, "nowhere: No such file");
    place.fails(&["serve", "--max-store-bytes", "1000"], 7, "it must be at least 1048576");
    place.fails(&["serve", "--workers", "0"], 2, "--workers");
}

#[test]
fn a_data_folder_that_can_not_be_used_is_left_as_it_is() {
    let commands: [&[&str]; 4] = [
        &["serve"],
        &["job", "list"],
        &["job", "dispatch", "test-extension:counter"],
        &["extension", "add", env!("CARGO_MANIFEST_DIR")],
    ];
    let place = Place::new();
    let database = place.data().join("toehold.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    for command in commands {
        place.fails(command, 7, "has format 1000, this build reads up to ");
    }
    for name in ["toehold.db-wal", "toehold.db-shm"] {
        let _ = fs::remove_file(place.data().join(name));
    }
    fs::write(&database, "no database").unwrap();
    for command in commands {
        place.fails(command, 7, "is no database of Toehold");
    }
    assert_eq!(fs::read_to_string(&database).unwrap(), "no database");
    let place = Place::empty();
    let deep = place.folder().join("x".repeat(120)).display().to_string();
    place.fails(&["serve", "--data", &deep], 7, "name a data folder with a shorter one");
    assert_eq!(
        place.json(&["extension", "list", "--data", &deep]),
        json!([]),
        "but without a server it will do"
    );
    fs::write(place.data(), "a file").unwrap();
    for command in commands {
        place.fails(command, 7, &format!("the data folder {} has to be one", place.data().display()));
    }
    // Nobody may write there, whoever is asked.
    for command in [commands[0], commands[2], commands[3]] {
        place.fails(&[command, &["--data", "/proc/nowhere"]].concat(), 7, "/proc/nowhere has to be one");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_a_command_without_a_panic() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("counter", &json!({ "target": 4_000_000_000_u64 }));
    for arguments in [
        format!("job events {id} --follow"),
        "job events --follow".to_owned(),
        "job list --follow".to_owned(),
        "job list".to_owned(),
        format!("job show {id}"),
        "extension list".to_owned(),
    ] {
        // It must come to its end by itself once nobody reads. The list changes since its job goes on.
        let script = format!("'{}' {arguments} | head -c 1", env!("CARGO_BIN_EXE_toehold"));
        let out = place.command_of("bash", &["-c", &script]).output().unwrap();
        assert!(!text(&out.stderr).contains("panicked"), "{arguments}: {out:?}");
    }
    assert_eq!(server.terminate(), Some(0));
}
