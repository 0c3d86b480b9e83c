//! Flash that is full.

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

/// A package that takes up room.
fn padding(id: &str, bytes: usize) -> Vec<u8> {
    package(
        id,
        &format!("(module (memory (export \"memory\") 1) (data (i32.const 0) \"{}\"))", "x".repeat(bytes)),
    )
}

/// Fills the flash with packages, and gives their ids.
fn fill(bench: &mut Bench) -> Vec<String> {
    let mut ids = Vec::new();
    for bytes in [30_000, 6_000, 200] {
        loop {
            let id = format!("padding-{}", ids.len());
            let answer = bench.install(&padding(&id, bytes));
            if answer.starts_with("err flash") {
                assert!(answer.contains("full"), "{answer}");
                break;
            }
            assert!(answer.starts_with("ok"), "{answer}");
            ids.push(id);
        }
    }
    ids
}

#[test]
fn jobs_stand_still_while_the_flash_is_full_and_go_on_when_there_is_room() {
    let mut bench =
        Bench::with(|| no_std_host::Config { live_jobs: 1_000, ..no_std_host::Config::default() });
    bench.install(&package("jobs", JOBS));
    let id = bench.dispatch("jobs:count", &state(70));
    let other = bench.dispatch("jobs:spin", "");
    while bench.status(&id, "items").is_none_or(|items| items == "0") {
        bench.rounds(1);
    }
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    let padding = fill(&mut bench);
    // What there is left is a reserve: for jobs that end, and for room to be made.
    let mut held = Vec::new();
    for number in 0..200 {
        let answer =
            bench.tell(&format!("run jobs:count id=00000000-0000-4000-8000-{number:012} {}", state(70)));
        let answer = answer.last().unwrap();
        if answer.starts_with("err flash") {
            assert!(answer.contains("full"), "{answer}");
            break;
        }
        held.push(format!("00000000-0000-4000-8000-{number:012}"));
        bench.rounds(30);
    }
    assert!(held.len() < 200, "the flash is never full");
    assert_eq!(bench.status(&other, "state").as_deref(), Some("running"), "it needs no flash");
    for id in &padding {
        bench.ok(&format!("remove {id}"));
    }
    bench.ok(&format!("resume {id}"));
    bench.until(&id, "completed");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("70"));
    for id in held.iter().rev().take(3) {
        bench.until(id, "completed");
        assert_eq!(bench.status(id, "items").as_deref(), Some("70"));
    }
}

#[test]
fn a_running_job_is_held_at_its_checkpoint_and_says_why() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let id = bench.dispatch("jobs:count", &state(70));
    bench.until(&id, "running");
    bench.break_flash(true);
    bench.until(&id, "paused");
    let reason = bench.status(&id, "reason").unwrap();
    assert!(!reason.is_empty());
    let told = bench.events("paused").len();
    bench.rounds(100);
    assert_eq!(bench.events("paused").len(), told, "the same is not told again and again");
    bench.break_flash(false);
    bench.until(&id, "completed");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("70"));
}
