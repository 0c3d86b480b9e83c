//! Jobs through all that may befall them.

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    let answer = bench.install(&package("jobs", JOBS));
    assert!(answer.starts_with("ok id=jobs"), "{answer}");
    bench
}

#[test]
fn a_job_runs_to_its_end_and_says_how_far_it_is() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:count", &state(20));
    bench.until(&id, "completed");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("20"));
    assert_eq!(bench.status(&id, "checkpoints").as_deref(), Some("20"));
    assert_eq!(bench.status(&id, "fraction").as_deref(), Some("1.000"));
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let mut bench = bench();
    bench.send(format!("run jobs:count {}\n", state(5)).as_bytes());
    bench.rounds(200);
    let kinds: Vec<String> = bench
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("* "))
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("running"), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind == "progress"), "{kinds:?}");
    assert_eq!(kinds.last().map(String::as_str), Some("completed"), "{kinds:?}");
    bench.lines.clear();
    bench.ok("events off");
    let id = bench.dispatch("jobs:count", &state(5));
    bench.until(&id, "completed");
    assert!(!bench.lines.iter().any(|line| line.starts_with('*')), "{:?}", bench.lines);
}

#[test]
fn a_light_job_ends_beside_one_that_never_does() {
    let mut bench = bench();
    let heavy = bench.dispatch("jobs:spin", "");
    let light = bench.dispatch("jobs:count", &state(50));
    bench.until(&light, "completed");
    assert_eq!(bench.status(&heavy, "state").as_deref(), Some("running"));
    bench.ok(&format!("cancel {heavy}"));
    bench.until(&heavy, "cancelled");
}

#[test]
fn a_paused_job_goes_on_where_it_was() {
    for job in ["jobs:count", "jobs:deaf"] {
        let mut bench = bench();
        let id = bench.dispatch(job, &state(60));
        while bench.status(&id, "items").is_none_or(|items| items == "0") {
            bench.rounds(1);
        }
        bench.ok(&format!("pause {id}"));
        bench.until(&id, "paused");
        let items = bench.status(&id, "items");
        bench.rounds(50);
        assert_eq!(bench.status(&id, "items"), items, "{job} stands still");
        // Also after the power was away.
        bench.restart();
        bench.rounds(50);
        assert_eq!(bench.status(&id, "state").as_deref(), Some("paused"));
        bench.ok(&format!("resume {id}"));
        bench.until(&id, "completed");
        assert_eq!(bench.status(&id, "items").as_deref(), Some("60"), "{job}");
    }
}

#[test]
fn each_item_counts_once_wherever_the_power_goes() {
    for rounds in 0..60 {
        let mut bench = bench();
        let id = bench.dispatch("jobs:count", &state(40));
        for _ in 0..3 {
            bench.rounds(rounds);
            bench.restart();
        }
        bench.until(&id, "completed");
        assert_eq!(bench.status(&id, "items").as_deref(), Some("40"), "cut off every {rounds} rounds");
    }
}

#[test]
fn a_job_that_was_running_runs_again_and_one_that_has_ended_does_not() {
    let mut bench = bench();
    let spin = bench.dispatch("jobs:spin", "");
    let count = bench.dispatch("jobs:count", &state(3));
    bench.until(&count, "completed");
    bench.restart();
    bench.until(&spin, "running");
    assert_eq!(bench.status(&count, "state").as_deref(), Some("completed"));
}

#[test]
fn a_sleep_holds_nobody_up_and_lasts_through_a_reset() {
    let mut bench = bench();
    bench.clock.unix.set(Some(1_700_000_000_000));
    let nap = bench.dispatch("jobs:nap", "");
    let count = bench.dispatch("jobs:count", &state(10));
    bench.until(&count, "completed");
    assert_eq!(bench.status(&nap, "state").as_deref(), Some("running"));
    // 4 of its 5 seconds pass while the board is off.
    bench.power_off();
    bench.clock.now.set(0);
    bench.clock.unix.set(Some(1_700_000_004_000));
    bench.power_on();
    for _ in 0..50 {
        bench.turn();
    }
    assert_eq!(bench.status(&nap, "state").as_deref(), Some("running"));
    bench.clock.now.set(1_001);
    for _ in 0..50 {
        bench.turn();
    }
    assert_eq!(bench.status(&nap, "state").as_deref(), Some("completed"));
}

#[test]
fn a_job_that_faults_is_tried_again_and_then_kept_with_its_last_words() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:fail", "");
    bench.until(&id, "failed");
    assert_eq!(bench.status(&id, "attempt").as_deref(), Some("2"));
    let reason = bench.status(&id, "reason").unwrap();
    assert!(reason.contains("execute_fail"), "{reason}");
}

#[test]
fn log_lines_reach_the_console_and_never_fill_the_memory() {
    let mut bench = bench();
    bench.send(format!("run jobs:log {}\n", state(40)).as_bytes());
    bench.rounds(50);
    let logs = bench.events("log");
    let told = logs.iter().filter(|line| line.contains("text=Counted")).count();
    let dropped: u64 =
        logs.iter().filter_map(|line| crate::support::field(line, "dropped")?.parse::<u64>().ok()).sum();
    assert_eq!(told as u64 + dropped, 40, "{logs:?}");
    assert!(told > 0);
}

#[test]
fn only_so_many_ended_jobs_are_kept() {
    let mut bench = bench();
    let ids: Vec<String> = (0..20)
        .map(|_| {
            let id = bench.dispatch("jobs:count", &state(1));
            bench.until(&id, "completed");
            id
        })
        .collect();
    let listed: Vec<String> = bench
        .ok("ls")
        .iter()
        .filter_map(|line| line.starts_with("- job").then(|| crate::support::field(line, "id"))?)
        .collect();
    assert_eq!(listed.len(), 16);
    assert!(ids[..4].iter().all(|id| !listed.contains(id)), "those that ended first are gone");
}

#[test]
fn a_job_that_has_no_room_waits_until_another_has_ended() {
    let mut bench = bench();
    let first = bench.dispatch("jobs:spin", "");
    bench.until(&first, "running");
    bench.memory.0.set(40 << 10);
    // Its extension is in memory, there is no room for another instance of 64 KiB.
    let second = bench.dispatch("jobs:count", &state(5));
    bench.rounds(50);
    assert_eq!(bench.status(&second, "state").as_deref(), Some("queued"));
    bench.memory.0.set(1 << 20);
    bench.ok(&format!("cancel {first}"));
    bench.until(&second, "completed");
}

#[test]
fn a_job_that_never_has_room_is_paused_and_says_so() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:count", &state(5));
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    bench.restart();
    bench.memory.0.set(40 << 10);
    bench.ok(&format!("resume {id}"));
    bench.until(&id, "paused");
    let reason = bench.status(&id, "reason").unwrap();
    assert!(reason.contains("needs about") && reason.contains("are free"), "{reason}");
    bench.memory.0.set(1 << 20);
    bench.ok(&format!("resume {id}"));
    bench.until(&id, "completed");
}
