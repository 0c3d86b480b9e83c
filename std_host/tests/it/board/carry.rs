//! Jobs that are carried between a board and a data folder, with everything that can go wrong in between.

use std::process::Stdio;

use super::*;
use crate::command::Server;

/// Items that the jobs here count: enough for a board not to be done before the job is carried away.
const TARGET: u64 = 2_000;

/// A desk whose data folder has the extension too, and its server.
fn both() -> (Desk, Server) {
    let desk = Desk::installed();
    desk.place.ok(&["extension", "add", &extension()]);
    let server = desk.place.serve();
    (desk, server)
}

/// How a job stands in the data folder, if it is there.
fn here(desk: &Desk, id: &str) -> Option<String> {
    let listed = desk.place.json(&["job", "list"]);
    let job = listed.as_array().unwrap().iter().find(|job| job["job_id"] == id)?;
    Some(job["state"].as_str().unwrap().to_owned())
}

/// A job on the board that has counted some of its items.
fn begun(desk: &Desk, target: u64) -> String {
    let id = desk.dispatch(target);
    further(desk, &id, 0);
    id
}

/// Waits until a job on the board has counted more items than so many.
fn further(desk: &Desk, id: &str, items: u64) {
    while desk.json(&["status", id])["report"]["items"].as_u64().unwrap() <= items {}
}

fn runs(state: Option<&str>) -> bool {
    matches!(state, Some("running" | "queued"))
}

/// Never at both ends: not running there and here.
#[track_caller]
fn runs_once_at_most(desk: &Desk, id: &str) -> (Option<String>, Option<String>) {
    let (there, here) = (desk.state(id), here(desk, id));
    assert!(!(runs(there.as_deref()) && runs(here.as_deref())), "there {there:?}, here {here:?}");
    assert!(there.is_some() || here.is_some(), "the job is lost");
    (there, here)
}

#[test]
fn a_job_goes_to_the_board_and_back_and_counts_every_item_once() {
    let (desk, _server) = both();
    let id = desk.place.dispatch("counter", &json!({ "target": ENDLESS }));
    desk.place.ok(&["job", "pause", &id]);
    let before = desk.place.status(&id)["report"]["items"].as_u64().unwrap();
    let sent = desk.json(&["send", &id[..8], "--paused"]);
    assert_eq!((&sent["state"], &sent["report"]["items"]), (&json!("paused"), &json!(before)));
    assert_eq!(here(&desk, &id), None);
    assert_eq!(desk.json(&["send", &id, "--paused"])["state"], "paused", "again, it does nothing");
    assert_ne!(desk.json(&["send", &id])["state"], "paused");
    further(&desk, &id, before);
    let fetched = desk.json(&["fetch", &id[..8], "--paused"]);
    assert_eq!(fetched["state"], "paused");
    assert!(fetched["report"]["items"].as_u64().unwrap() > before, "{fetched}");
    assert_eq!(desk.state(&id), None);
    assert_ne!(desk.json(&["fetch", &id[..8]])["state"], "paused");
    desk.place.ok(&["job", "cancel", &id]);
    desk.fails(&["fetch", "abcd"], "there is no job abcd on the board, and none here either");
    desk.fails(&["send", "abcd"], "there is no job abcd here, and none on the board either");
    desk.fails(&["send", &id], "is cancelled already");
    // One that is over comes too.
    let id = desk.dispatch(2);
    desk.ok(&["wait", &id]);
    assert_eq!(desk.json(&["fetch", &id])["state"], "completed");
    assert_eq!((desk.state(&id), here(&desk, &id).as_deref()), (None, Some("completed")));
}

/// A run of a server writes a journal without end, and a board takes bundles of 16 KiB. Without effects in it nobody needs it.
#[test]
fn a_job_whose_journal_is_larger_than_a_board_takes_goes_there_all_the_same() {
    let (desk, _server) = both();
    let id = desk.place.dispatch("counter", &json!({ "target": ENDLESS }));
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    loop {
        desk.place.ok(&["job", "export", &id, "-o", path, "--force"]);
        let bundle = std::fs::read(path).unwrap();
        if toehold::Bundle::decode(&bundle).unwrap().journal.len() > 16 << 10 {
            break;
        }
    }
    desk.place.ok(&["job", "pause", &id]);
    let before = desk.place.status(&id)["report"]["items"].as_u64().unwrap();
    desk.ok(&["send", &id]);
    further(&desk, &id, before);
    desk.ok(&["fetch", &id]);
    assert_eq!(desk.state(&id), None);
}

#[test]
fn without_a_server_it_waits_here() {
    let desk = Desk::installed();
    desk.place.ok(&["extension", "add", &extension()]);
    let id = begun(&desk, ENDLESS);
    let out = desk.run(&["fetch", &id]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(text(&out.stderr).contains("runs once `toehold serve` does"), "{out:?}");
    assert_eq!(runs_once_at_most(&desk, &id), (None, Some("queued".to_owned())));
    desk.ok(&["send", &id]);
    assert_eq!(here(&desk, &id), None);
}

#[test]
fn what_one_end_can_not_run_goes_on_at_the_other() {
    let desk = Desk::installed();
    let _server = desk.place.serve();
    let id = begun(&desk, ENDLESS);
    desk.fails(
        &["fetch", &id],
        "`toehold extension add PATH` installs it here; the job goes on on the board",
    );
    assert!(runs(desk.state(&id).as_deref()));
    assert_eq!(here(&desk, &id), None);

    let desk = Desk::new();
    desk.place.ok(&["extension", "add", &extension()]);
    let _server = desk.place.serve();
    let id = desk.place.dispatch("counter", &json!({ "target": ENDLESS }));
    desk.fails(&["send", &id], "install PATH` installs it; the job goes on here");
    assert!(runs(here(&desk, &id).as_deref()));
    // Who had paused it finds it paused.
    desk.place.ok(&["job", "pause", &id]);
    desk.fails(&["send", &id], "install PATH` installs it");
    assert_eq!(here(&desk, &id).as_deref(), Some("paused"));
}

#[test]
fn a_job_that_was_resumed_at_one_end_of_two_is_left_alone() {
    let (desk, _server) = both();
    let id = begun(&desk, ENDLESS);
    desk.ok(&["pause", &id]);
    while desk.state(&id).as_deref() != Some("paused") {}
    let bundle = desk.ok(&["export", &id]);
    desk.place.ok(&["job", "import", &bundle]);
    // Both are paused and alike, as an earlier try may have left them; now one of them goes on.
    let before = desk.json(&["status", &id])["report"]["items"].as_u64().unwrap();
    desk.ok(&["resume", &id]);
    desk.fails(&["send", &id], "on the board already");
    // At least one checkpoint, after ten items.
    further(&desk, &id, before + 10);
    for command in ["fetch", "send"] {
        desk.ok(&["pause", &id]);
        while desk.state(&id).as_deref() != Some("paused") {}
        desk.fails(&[command, &id], "stands otherwise here");
        assert_eq!(runs_once_at_most(&desk, &id), (Some("paused".into()), Some("paused".into())));
    }
    desk.place.ok(&["job", "resume", &id]);
    desk.fails(&["fetch", &id], "here already, and paused on the board");
    // The person knows which is the older one.
    desk.ok(&["cancel", &id]);
    desk.ok(&["remove", &id]);
    desk.ok(&["fetch", &id]);
}

/// Carries a job with a mishap at each line in turn, and again after it. Whatever happens, it runs at one end at most, and
/// the second time brings it to its end.
fn with_every(mishap: Option<Mishap>, direction: &str) {
    let (desk, server) = both();
    let mut line = 0;
    loop {
        let id = if direction == "fetch" {
            begun(&desk, TARGET)
        } else {
            // It waits for nothing: the server may have begun it or not.
            desk.place.dispatch("counter", &json!({ "target": ENDLESS }))
        };
        // It begins once the board knows what is to go wrong, and for whom.
        let script = ["-c", r#"read _; exec "$0" "$@""#, env!("CARGO_BIN_EXE_toehold")];
        let arguments = desk.arguments(&["--answer-time", "300ms", direction, &id]);
        let arguments: Vec<&str> = script.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let mut child = desk.place.command_of("bash", &arguments).stdin(Stdio::piped()).spawn().unwrap();
        let what = mishap.unwrap_or(Mishap::Kill(child.id()));
        desk.board.after(line, what);
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let out = child.wait_with_output().unwrap();
        let has_happened = desk.board.calm().1;
        let context = format!("{what:?} at line {line}: {out:?}");
        let (there, here_now) = runs_once_at_most(&desk, &id);
        match what {
            // The board is there again, so that the command sees to it by itself.
            Mishap::Reset | Mishap::ResetAfter | Mishap::Damage => assert!(out.status.success(), "{context}"),
            _ if !has_happened => assert!(out.status.success(), "{context}"),
            Mishap::Kill(_) => {}
            _ => assert!(!out.status.success() || there.is_none() != here_now.is_none(), "{context}"),
        }
        let out = desk.run(&[direction, &id]);
        assert!(out.status.success(), "{context}, then {out:?}");
        let (there, here_now) = runs_once_at_most(&desk, &id);
        if direction == "fetch" {
            assert_eq!(there, None, "{context}");
            let ended = desk.place.json(&["job", "wait", &id]);
            assert_eq!(ended[0]["report"]["items"], TARGET, "{context}");
            assert_eq!(ended[0]["report"]["progress"]["message"], format!("Counted {TARGET}/{TARGET}"));
            desk.place.ok(&["job", "remove", &id]);
        } else {
            assert_eq!((here_now, runs(there.as_deref())), (None, true), "{context}");
            desk.ok(&["cancel", &id]);
            while desk.state(&id).as_deref() != Some("cancelled") {}
            desk.ok(&["remove", &id]);
        }
        if !has_happened {
            break;
        }
        line += 1;
    }
    assert!(line > 10, "{line} lines");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_job_is_fetched_once_wherever_the_desk_is_killed() {
    with_every(None, "fetch");
}

#[test]
fn a_job_is_sent_once_wherever_the_desk_is_killed() {
    with_every(None, "send");
}

#[test]
fn a_job_is_fetched_once_wherever_an_answer_is_lost_with_the_link() {
    with_every(Some(Mishap::CutAnswer), "fetch");
}

#[test]
fn a_job_is_sent_once_wherever_an_answer_is_lost_with_the_link() {
    with_every(Some(Mishap::CutAnswer), "send");
}

#[test]
fn a_job_is_fetched_once_wherever_the_board_is_reset() {
    with_every(Some(Mishap::ResetAfter), "fetch");
}

#[test]
fn a_job_is_sent_once_wherever_the_board_is_reset() {
    with_every(Some(Mishap::ResetAfter), "send");
}
