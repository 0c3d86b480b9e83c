//! Jobs of which nothing is to be kept.

use serde_json::{Value, json};

use crate::{
    command::{Following, Place},
    support::{Folder, module},
};

const ENDLESS: u64 = 4_000_000_000;

#[test]
fn a_job_that_is_removed_can_come_back() {
    let place = Place::new();
    let id = place.dispatch("counter", &json!({ "target": 2 }));
    place.fails(&["job", "remove", &id], 7, "only one that is paused or over can be removed");
    place.ok(&["job", "pause", &id]);
    place.ok(&["job", "export", &id, "-o", "a.bundle"]);
    assert_eq!(place.json(&["job", "remove", &id]), json!({ "removed": [id] }));
    place.fails(&["job", "show", &id], 7, "there is no job");
    assert_eq!(place.json(&["job", "list"]), json!([]));

    let server = place.serve();
    place.ok(&["job", "import", "a.bundle"]);
    place.ok(&["job", "resume", &id]);
    place.ok(&["job", "wait", &id]);
    place.ok(&["job", "remove", &id]);
    place.fails(&["job", "remove", &id], 7, "there is no job");
    place.fails(&["job", "events", &id], 7, "there is no job");
    drop(server);
    // Nothing of it comes back after a start.
    let _server = place.serve();
    assert_eq!(place.json(&["job", "list"]), json!([]));
    let state = json!({ "target": 1 }).to_string();
    place.ok(&["job", "dispatch", "test-extension:counter", "--id", &id, "--state", &state, "--wait"]);
    assert_eq!(place.status(&id)["report"]["items"], 1);
}

#[test]
fn one_that_stands_still_in_memory_goes_and_who_follows_hears_of_it() {
    let place = Place::new();
    let _server = place.serve();
    // It never asks whether to stop, so that it is held where it is.
    let folder = Folder::new();
    let guest = folder.add("held", &module("(loop $again (br $again)) (i32.const 0)"));
    place.ok(&["extension", "add", &guest.display().to_string()]);
    let id = place.ok(&["job", "dispatch", "held:go"]);
    let mut events = Following::start(&place, &["job", "events", &id, "--follow", "--json"]);
    events.until("\"running\"");
    place.ok(&["job", "pause", &id]);
    place.ok(&["job", "remove", &id]);
    let (lines, code) = events.rest();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&last["event"], code), (&"removed".into(), Some(0)));
    place.fails(&["job", "resume", &id], 7, "there is no job");
    let next = place.dispatch("counter", &json!({ "target": 2 }));
    place.ok(&["job", "wait", &next]);
}

#[test]
fn a_child_stays_as_long_as_its_parent_could_dispatch_it_anew() {
    let place = Place::new();
    let _server = place.serve();
    let family = json!({ "children": ENDLESS, "state": { "target": 1 } });
    let parent = place.dispatch("family", &family);
    Following::start(&place, &["job", "events", &parent, "--follow"]).until("checkpoint");
    place.ok(&["job", "pause", &parent]);
    let jobs = place.json(&["job", "list", "--limit", "1000"]);
    let child = jobs.as_array().unwrap().iter().find(|job| job["parent"] == parent.as_str()).unwrap();
    let child = child["job_id"].as_str().unwrap().to_owned();
    place.ok(&["job", "wait", &child]);
    place.fails(&["job", "remove", &child], 7, "would dispatch it anew");
    place.ok(&["job", "remove", &parent]);
    place.ok(&["job", "remove", &child]);
}
