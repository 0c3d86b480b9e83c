//! What a person may type.

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

#[test]
fn nonsense_is_answered_and_nothing_happens() {
    let mut bench = Bench::new();
    assert_eq!(bench.refused("sudo reboot").0, "unknown");
    assert_eq!(bench.refused("run").0, "usage");
    assert_eq!(bench.refused("pause").0, "usage");
    assert_eq!(bench.refused(&"x".repeat(2_000)).0, "too_long");
    bench.send(b"ls \xff\xfe\n");
    assert!(bench.answer().last().unwrap().starts_with("err not_text"));
    assert_eq!(bench.refused(": 0 00000000 AAAA").0, "unasked");
    assert_eq!(bench.refused("status 00").0, "unknown_job");
    let (code, text) = bench.refused("run nothing:there");
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("unknown_extension", "extension nothing is not installed; there is none")
    );
    bench.ok("ls");
}

#[test]
fn a_terminal_may_end_lines_as_it_likes() {
    let mut bench = Bench::new();
    for line in ["info\n", "info\r", "info\r\n", "inx\x08fo\n", "\n\r\n\rinfo\n", "  info  \n"] {
        bench.send(line.as_bytes());
        let answer = bench.answer();
        assert!(answer.last().unwrap().starts_with("ok version="), "{line:?}: {answer:?}");
    }
}

#[test]
fn help_lists_every_command() {
    let mut bench = Bench::new();
    bench.ok("info");
    bench.remarks.clear();
    bench.ok("help");
    assert_eq!(bench.remarks.len(), toehold::console::Command::usage().len());
}

#[test]
fn a_job_is_named_by_the_beginning_of_its_id() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let id = bench.dispatch("jobs:count", &state(1));
    bench.until(&id, "completed");
    bench.ok(&format!("status {}", &id[..6]));
    bench.ok(&format!("status {}", id[..6].to_uppercase()));
    for number in ["1", "2"] {
        bench.ok(&format!("run jobs:count id=0000000{number}-0000-4000-8000-000000000000 {}", state(1)));
    }
    assert_eq!(bench.refused("status 0000000").0, "ambiguous");
    bench.ok("status 00000001");
}

#[test]
fn a_job_is_dispatched_once_however_often_it_is_asked() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let line = format!("run jobs:count id=00000001-0000-4000-8000-000000000000 {}", state(3));
    for _ in 0..3 {
        bench.ok(&line);
    }
    bench.restart();
    bench.ok(&line);
    bench.until("00000001", "completed");
    bench.ok(&line);
    let jobs = bench.ok("ls").iter().filter(|line| line.starts_with("- job")).count();
    assert_eq!(jobs, 1);
}

#[test]
fn what_is_over_can_not_be_steered_and_can_be_removed() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let id = bench.dispatch("jobs:count", &state(1));
    bench.until(&id, "completed");
    for command in ["pause", "resume", "cancel"] {
        let (code, text) = bench.refused(&format!("{command} {id}"));
        assert_eq!(code, "over");
        assert!(text.contains("completed"), "{text}");
    }
    bench.ok(&format!("remove {id}"));
    assert_eq!(bench.refused(&format!("status {id}")).0, "unknown_job");
    let id = bench.dispatch("jobs:spin", "");
    assert_eq!(bench.refused(&format!("remove {id}")).0, "busy");
    assert_eq!(bench.refused("remove jobs").0, "busy");
}
