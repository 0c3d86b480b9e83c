//! One job on four machines.

use toehold::{Bundle, Checkpoint, JobRecord, JobState, Report};

use crate::bench::{Board, Folder, board};

const TARGET: u64 = 3_000;

/// Waits until a job has done this share of its items.
fn until_items(status: impl Fn() -> serde_json::Value, items: u64) {
    loop {
        let status = status();
        let done = &status["items"];
        let done = if done.is_null() { &status["report"]["items"] } else { done };
        if !done.is_null() && crate::jobs::number(done) >= items {
            return;
        }
    }
}

/// What an undisturbed run and one that moved have in common: all but how often it was stopped. Each start of the counter logs
/// a line, and each pause makes a checkpoint.
fn end(bundle: &Bundle) -> (JobState, Report, serde_json::Value) {
    let record = JobRecord::decode(&bundle.record).unwrap();
    let newest = Checkpoint::decode(&bundle.newest).unwrap();
    let report = Report { log_lines: 0, checkpoints: 0, ..record.report };
    (record.state, report, serde_json::from_slice(&newest.state).unwrap())
}

fn on(board: &Board, id: &str, items: u64) {
    until_items(|| board.ok(&["status", id]), items);
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn a_job_goes_from_here_to_cortex_m_and_riscv_and_back() {
    let state = format!(r#"{{"target": {TARGET}}}"#);
    let undisturbed = Folder::new();
    let server = undisturbed.serve();
    let id = dispatch(&undisturbed, &state);
    undisturbed.ok(&["job", "wait", &id]);
    let expected = end(&undisturbed.bundle(&id));
    assert_eq!(expected.0, JobState::Completed);
    drop(server);

    let here = Folder::new();
    let (mut cortex_m, mut riscv) = (board("cortex-m"), board("riscv"));
    for board in [&mut cortex_m, &mut riscv] {
        board.power_on();
        board.install_small();
    }
    // Here, to a third. The server is stopped there, since it would be at the end before anybody could ask.
    let id = dispatch(&here, &state);
    let server = here.serve();
    until_items(|| here.ok(&["job", "show", &id]), TARGET / 3);
    here.ok(&["job", "pause", &id]);
    let data = ["--data", here.path()];
    cortex_m.ok(&[&["send", &id], &data[..]].concat());
    on(&cortex_m, &id, TARGET / 2);
    // It is killed, and goes on by itself.
    cortex_m.power_off();
    cortex_m.power_on();
    on(&cortex_m, &id, TARGET * 3 / 5);
    cortex_m.ok(&[&["fetch", &id, "--paused"], &data[..]].concat());
    riscv.ok(&[&["send", &id], &data[..]].concat());
    on(&riscv, &id, TARGET * 4 / 5);
    riscv.ok(&[&["fetch", &id], &data[..]].concat());
    here.ok(&["job", "wait", &id]);
    assert_eq!(end(&here.bundle(&id)), expected);
    drop(server);
    for board in [&cortex_m, &riscv] {
        let list = board.ok(&["list"]);
        assert_eq!(
            list["jobs"].as_array().map(Vec::len),
            Some(0),
            "nothing of it is left on {}",
            board.name()
        );
    }
}

fn dispatch(folder: &Folder, state: &str) -> String {
    let dispatched = folder.ok(&["job", "dispatch", "test-extension:counter", "--state", state]);
    dispatched["id"].as_str().or_else(|| dispatched["job_id"].as_str()).expect("an id").to_owned()
}
