//! Each hostile guest beside a job that does no harm, on one thread.

mod gallery;

use std::time::Instant;

use toehold::{
    Extension, Job, JobStart, Limits, Manifest, Outcome, Permissions, Priority, Registry, Scheduler, Stopped,
    Turn, Uuid,
};

use self::gallery::{Ends, Hostile, MEMORY_MB, gallery};
use crate::guests::*;

/// Turns that a hostile job gets before it is cancelled, and turns in which it must be gone then: its grace and some.
const TURNS: u32 = 600;
const GONE_AFTER: u32 = 150;

const GOOD: Uuid = Uuid::from_u128(0x600d);
const BAD: Uuid = Uuid::from_u128(0xbad);

fn load_hostile(hostile: &Hostile) -> Result<Extension, toehold::LoadError> {
    let permissions = Permissions {
        methods: vec!["query:".to_owned()],
        max_memory_mb: MEMORY_MB,
        ..Permissions::default()
    };
    let manifest = Manifest::new("hostile").unwrap().with_permissions(permissions);
    Extension::load(manifest, &hostile.module, &Limits::default())
}

/// A job that counts to 100, with a call and a checkpoint at each.
fn good(registry: &Registry) -> Job {
    let body = job_body(
        "(local $n i32) (i32.store8 (i32.const 78) (i32.const 0x60)) (i32.store8 (i32.const 79) (i32.const 0x0d))
         (loop
            (call $items (i32.const 64) (i64.const 1))
            (drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100)))) (i32.const 0)",
    );
    let extension = load(&body, &Limits::default()).unwrap();
    extension.start(registry, "go", JobStart { id: GOOD, ..JobStart::default() }).unwrap()
}

/// Runs both jobs. How the hostile one ended, and the fuel that it took.
fn beside(hostile: &Hostile, extension: &Extension) -> (Outcome, u64) {
    let registry = Registry::default();
    let bad = extension.start(&registry, "go", JobStart { id: BAD, ..JobStart::default() }).unwrap();
    let context = bad.context().clone();
    let mut scheduler = Scheduler::new();
    scheduler.add(bad, Priority::Normal);
    scheduler.add(good(&registry), Priority::Normal);
    let (mut desk, mut good_is_done, mut ended) = (Desk::default(), false, None);
    for turn in 0..TURNS + GONE_AFTER {
        if turn == TURNS {
            context.control().cancel();
            scheduler.wake(BAD);
        }
        // Nobody has to look at what it saved.
        desk.saved.clear();
        desk.calls.clear();
        match scheduler.turn(&mut desk, SLICE) {
            Turn::Stopped(job, Stopped::Finished(outcome)) if job.context().id() == GOOD => {
                assert_eq!(outcome, Outcome::Completed, "beside {}", hostile.name);
                assert_eq!(job.context().report().items, 100, "beside {}", hostile.name);
                good_is_done = true;
            }
            Turn::Stopped(job, Stopped::Finished(outcome)) => {
                assert!(job.memory_bytes() as u64 <= u64::from(MEMORY_MB) << 20, "{}", hostile.name);
                ended = Some(outcome);
            }
            Turn::Idle => break,
            _ => {}
        }
    }
    assert!(good_is_done, "{} kept the other job from ending", hostile.name);
    let report = context.report();
    assert!(report.warnings.len() <= 100 && report.log_lines <= 10_000, "{}", hostile.name);
    assert!(context.log_tail().iter().all(|line| line.text.len() <= 4_096), "{}", hostile.name);
    let outcome = ended.unwrap_or_else(|| panic!("{} did not end", hostile.name));
    (outcome, context.fuel_used())
}

#[test]
fn each_hostile_guest_ends_as_it_must_and_harms_no_other() {
    let mut wrong = Vec::new();
    for hostile in gallery() {
        let start = Instant::now();
        let loaded = load_hostile(&hostile);
        let (told, fuel) = match (&loaded, hostile.ends) {
            (Err(error), Ends::Refused(_)) => (error.to_string(), 0),
            (Err(error), _) => (format!("not loaded: {error}"), 0),
            (Ok(_), Ends::Refused(_)) => ("loaded".to_owned(), 0),
            (Ok(extension), _) => {
                let (outcome, fuel) = beside(&hostile, extension);
                (outcome.to_string(), fuel)
            }
        };
        let expected = match hostile.ends {
            Ends::Refused(reason) | Ends::Fails(reason) => reason,
            Ends::Completes => "completed",
            Ends::Cancelled => "cancelled",
        };
        let short: String = told.chars().take(120).collect();
        println!("{:<45} {:>11} fuel {:>5} ms  {short}", hostile.name, fuel, start.elapsed().as_millis());
        if !told.contains(expected) {
            wrong.push(format!("{}: {expected:?} is not in {short:?}", hostile.name));
        }
        let most = u64::from(TURNS + GONE_AFTER) * 2 * SLICE;
        assert!(fuel <= most, "{} took {fuel} of fuel", hostile.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
