//! Pause, resume and cancel, whatever the job is at.

use toehold::{Manifest, Package, Permissions, RateLimits};

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    bench
}

/// `fail` makes a checkpoint for each item before it traps.
fn stumbling() -> String {
    let fail = r#"(func (export "execute_fail") (param i32 i32 i32 i32) (result i32) (unreachable))"#;
    assert!(JOBS.contains(fail));
    JOBS.replace(
        fail,
        r#"(func (export "execute_fail") (param $ctx i32) (param i32) (param $state i32) (param i32) (result i32)
            (call $id (local.get $ctx)) (drop (call $run (local.get $state) (i32.const 1) (i32.const 0)))
            (unreachable))"#,
    )
}

/// Has the flash fail until the job is held at a commit, and then work again until the job goes on.
fn hold_up_for_a_while(bench: &mut Bench, id: &str) {
    bench.until(id, "running");
    bench.break_flash(true);
    bench.until(id, "paused");
    bench.break_flash(false);
    bench.until(id, "running");
    let items = bench.status(id, "items");
    while bench.status(id, "items") == items {
        bench.rounds(1);
    }
}

#[test]
fn a_job_that_was_held_up_is_as_any_other_when_it_goes_on() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:count", &state(70));
    hold_up_for_a_while(&mut bench, &id);
    assert_eq!(bench.status(&id, "reason"), None, "it is over");
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    bench.ok(&format!("resume {id}"));
    bench.until(&id, "completed");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("70"));
}

#[test]
fn a_job_that_was_held_up_is_tried_again() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", &stumbling()));
    let id = bench.dispatch("jobs:fail", &state(40));
    hold_up_for_a_while(&mut bench, &id);
    bench.until(&id, "failed");
    assert_eq!(bench.status(&id, "attempt").as_deref(), Some("2"));
}

#[test]
fn a_cancel_that_was_acknowledged_holds_after_a_power_cut_although_there_is_no_room_for_the_job() {
    for pauses in [false, true] {
        let mut bench = bench();
        let answer = bench.ok("run jobs:spin priority=low");
        let id = crate::support::field(&answer[0], "id").unwrap();
        bench.until(&id, "running");
        bench.ok("run jobs:spin priority=high");
        bench.rounds(20);
        bench.ok(&format!("cancel {id}"));
        // The other one has had the turn.
        assert_eq!(bench.status(&id, "state").as_deref(), Some("running"));
        bench.power_off();
        bench.memory.0.set(30 << 10);
        bench.power_on();
        if pauses {
            bench.tell(&format!("pause {id}"));
        }
        bench.until(&id, "cancelled");
    }
}

#[test]
fn a_paused_job_whose_retry_was_pending_lets_the_board_sleep_and_goes_on_at_once() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:fail", "");
    while bench.status(&id, "attempt").as_deref() != Some("2") {
        bench.turn();
    }
    bench.ok(&format!("pause {id}"));
    bench.restart();
    while bench.turn() {}
    assert_eq!(bench.shell.as_mut().unwrap().next_due(), None, "there is nothing to do");
    bench.ok(&format!("resume {id}"));
    while bench.turn() {}
    assert_eq!(bench.status(&id, "state").as_deref(), Some("failed"), "its second and last attempt");
}

#[test]
fn a_job_that_waits_for_others_waits_also_while_the_store_holds_these_up() {
    let permissions = Permissions {
        methods: vec![String::new()],
        rate_limits: RateLimits { concurrent_jobs: 1, ..RateLimits::default() },
        ..Permissions::default()
    };
    let manifest = Manifest::new("jobs").unwrap().with_permissions(permissions);
    let mut bench = Bench::new();
    bench.install(&Package::pack(&manifest, b"", &wat::parse_str(JOBS).unwrap()));
    let first = bench.dispatch("jobs:count", &state(70));
    bench.until(&first, "running");
    let second = bench.dispatch("jobs:count", &state(5));
    bench.rounds(5);
    assert_eq!(bench.status(&second, "state").as_deref(), Some("queued"));
    bench.wear_out_flash();
    bench.until(&first, "paused");
    let reason = bench.status(&first, "reason").unwrap();
    assert!(reason.contains("the flash can't erase at 0x") && reason.contains("may be worn out"), "{reason}");
    let refused =
        bench.install(&Package::pack(&Manifest::new("more").unwrap(), b"", &wat::parse_str(JOBS).unwrap()));
    assert!(refused.starts_with("err ") && refused.contains("may be worn out"), "{refused}");
    assert!(bench.ok("ls").iter().any(|line| line.contains("id=jobs")), "the board goes on");
    bench.rounds(20);
    assert_eq!(bench.status(&second, "state").as_deref(), Some("queued"));
}

#[test]
fn only_so_many_jobs_may_wait() {
    let mut bench = bench();
    let mut ids = Vec::new();
    for number in 0..100 {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let answer = bench.tell(&format!("run jobs:spin id={id}"));
        let answer = answer.last().unwrap();
        if answer.starts_with("err too_many") {
            break;
        }
        ids.push(id);
    }
    assert_eq!(ids.len(), 32);
    bench.ok(&format!("run jobs:spin id={}", ids[0]));
    bench.ok(&format!("cancel {}", ids[0]));
    bench.until(&ids[0], "cancelled");
    bench.ok("run jobs:spin");
}

#[test]
fn a_job_that_is_not_there_leaves_nothing_in_memory() {
    let mut bench = bench();
    assert_eq!(bench.refused("run jobs:nothing").0, "job");
    let listed = bench.ok("ls").remove(0);
    assert!(listed.contains("id=jobs") && !listed.contains("jobs=count"), "loaded for nobody: {listed}");
    bench.ok("run jobs:spin");
    let listed = bench.ok("ls").remove(0);
    assert!(listed.contains("jobs=count"), "{listed}");
}
