//! Jobs from beginning to end.

use toehold::{Bundle, Checkpoint, JobRecord, JobState};

use crate::bench::{Folder, boards};

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn the_counter_counts_to_the_end_and_the_console_says_so() {
    for mut board in boards() {
        board.power_on();
        board.install_small();
        let mut console = board.console();
        let answer = console.ask(r#"run test-extension:counter {"target": 100}"#);
        assert!(answer.starts_with("ok id="), "{answer}");
        let (mut progress, mut done) = (0, 0.0);
        let last = console.until(|line| {
            if let Some(fraction) = crate::bench::field(line, "fraction") {
                progress += 1;
                let fraction: f32 = fraction.parse().unwrap();
                assert!(fraction >= done, "it goes forward: {line}");
                done = fraction;
            }
            line.starts_with("* completed")
        });
        assert!(progress > 0, "{}: {last}", board.name());
        assert_eq!(done, 1.0, "{}", board.name());
        drop(console);
        let list = board.ok(&["list"]);
        let job = &list["jobs"][0];
        assert_eq!((&job["state"], number(&job["report"]["items"])), (&"completed".into(), 100), "{list}");
    }
}

/// Each has to wait until there is room for it, and none costs the others anything.
#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn more_jobs_than_memory_has_room_for_all_come_to_their_end() {
    for mut board in boards() {
        board.power_on();
        board.install_small();
        let mut console = board.console();
        let mut left: Vec<String> = (0..12)
            .map(|_| {
                let answer = console.ask(r#"run test-extension:counter {"target": 300}"#);
                crate::bench::field(&answer, "id").unwrap_or_else(|| panic!("{}: {answer}", board.name()))
            })
            .collect();
        while !left.is_empty() {
            let line = console.line();
            let is_bad = ["* failed", "* paused", "* retry"].iter().any(|bad| line.starts_with(bad));
            assert!(!is_bad, "{}: {line}", board.name());
            if line.starts_with("* completed") {
                left.retain(|id| !line.contains(id.as_str()));
            }
        }
    }
}

/// A number, whether it came as one or as text.
pub(crate) fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn the_same_job_makes_the_same_bytes_everywhere() {
    let here = Folder::new();
    let start = first_bundle();
    let id = start.job_id.to_string();
    let server = here.serve();
    here.import(&start);
    here.ok(&["job", "wait", &id]);
    let expected = here.bundle(&id);
    let expected_record = JobRecord::decode(&expected.record).unwrap();
    assert_eq!(expected_record.state, JobState::Completed);
    drop(server);
    for mut board in boards() {
        board.power_on();
        board.install_small();
        board.import(&start);
        board.ok(&["wait", &id]);
        let found = board.bundle(&id);
        let record = JobRecord::decode(&found.record).unwrap();
        assert_eq!(record.state, JobState::Completed, "{}", board.name());
        assert_eq!(record.fuel_used, expected_record.fuel_used, "{}", board.name());
        assert_eq!(record.report, expected_record.report, "{}", board.name());
        let (newest, expected) = (&found.newest, &expected.newest);
        let decode = |bytes: &[u8]| Checkpoint::decode(bytes).unwrap();
        assert_eq!(newest, expected, "{}: {:?} {:?}", board.name(), decode(newest), decode(expected));
    }
}

/// A job as it is dispatched on this machine, before it has run.
fn first_bundle() -> Bundle {
    let other = Folder::new();
    let dispatched =
        other.ok(&["job", "dispatch", "test-extension:counter", "--state", r#"{"target": 137}"#]);
    let id = dispatched["id"].as_str().or_else(|| dispatched["job_id"].as_str()).expect("an id").to_owned();
    other.bundle(&id)
}
