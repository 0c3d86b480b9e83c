//! Resets by the firmware itself, and interrupts.

use no_std_host::{Attention, Config, Doing};

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

#[test]
fn a_job_that_resets_the_board_is_tried_again_and_then_failed_and_others_go_on() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let bad = bench.dispatch("jobs:spin", "");
    let good = bench.dispatch("jobs:count", &state(60));
    bench.until(&bad, "running");
    for attempt in ["2", "2"] {
        let Doing::Job(id) = std::iter::repeat_with(|| {
            bench.turn();
            bench.witness.doing.get()
        })
        .take(10)
        .find(|doing| *doing != Doing::Idle)
        .unwrap_or(Doing::Job(bad.parse().unwrap())) else {
            panic!("it installs nothing")
        };
        assert!(id.to_string() == bad || id.to_string() == good);
        bench.power_off();
        bench.witness.reset.set(Some(Doing::Job(bad.parse().unwrap())));
        bench.power_on();
        assert_eq!(bench.status(&bad, "attempt").as_deref(), Some(attempt));
        bench.rounds(10);
    }
    assert_eq!(bench.status(&bad, "state").as_deref(), Some("failed"));
    let reason = bench.status(&bad, "reason").unwrap();
    assert_eq!(reason, "the board was reset while the job ran: out of memory");
    bench.until(&good, "completed");
    assert_eq!(bench.status(&good, "items").as_deref(), Some("60"));
}

#[test]
fn a_package_that_resets_the_board_is_gone() {
    let mut bench = Bench::new();
    let package = package("jobs", JOBS);
    bench.tell(&format!("install {} {:08x}", package.len(), toehold::Crc32::of(&package)));
    bench.power_off();
    bench.witness.reset.set(Some(Doing::Install));
    bench.power_on();
    bench.turn();
    assert!(
        bench.lines.iter().any(|line| line.starts_with("# the board was reset while it tried a package"))
    );
    assert_eq!(bench.ok("ls").last().unwrap(), "ok extensions=0 jobs=0");
}

#[test]
fn an_interrupt_pauses_all_jobs_durably() {
    static ATTENTION: Attention = Attention::new();
    let mut bench = Bench::with(|| Config { attention: Some(&ATTENTION), ..Config::default() });
    bench.install(&package("jobs", JOBS));
    let ids = ["jobs:count", "jobs:spin"].map(|job| bench.dispatch(job, &state(60)));
    bench.rounds(5);
    ATTENTION.pause();
    for id in &ids {
        bench.until(id, "paused");
    }
    bench.restart();
    bench.rounds(20);
    for id in &ids {
        assert_eq!(bench.status(id, "state").as_deref(), Some("paused"));
    }
    bench.ok(&format!("resume {}", ids[0]));
    bench.until(&ids[0], "completed");
    assert_eq!(bench.status(&ids[0], "items").as_deref(), Some("60"));
}
