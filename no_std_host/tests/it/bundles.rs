//! Bundles that no host has made, with checksums that are right.

use toehold::{Bundle, Checkpoint, Interrupt, JobRecord, JobState};

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    bench
}

/// A bundle of a job that is paused before its end, and its id. The job is gone from the board.
fn bundle(bench: &mut Bench, job: &str) -> (String, Bundle) {
    let id = bench.dispatch(job, &state(60));
    while job == "jobs:count" && bench.status(&id, "items").is_none_or(|items| items == "0") {
        bench.rounds(1);
    }
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    let bundle = Bundle::decode(&bench.export(&id)).unwrap();
    forget(bench, &id);
    (id, bundle)
}

fn forget(bench: &mut Bench, id: &str) {
    bench.tell(&format!("cancel {id}"));
    bench.until(id, "cancelled");
    bench.ok(&format!("remove {id}"));
}

fn with_record(bundle: &Bundle, change: impl FnOnce(&mut JobRecord)) -> Vec<u8> {
    let mut record = JobRecord::decode(&bundle.record).unwrap();
    change(&mut record);
    Bundle { record: record.encode(), ..bundle.clone() }.encode()
}

#[test]
fn one_that_looks_half_imported_is_there_after_a_restart() {
    let mut bench = bench();
    let (id, bundle) = bundle(&mut bench, "jobs:count");
    let bad = with_record(&bundle, |record| record.reason = Some("an import that is under way".into()));
    assert!(bench.import(&bad, true).starts_with("ok"));
    bench.restart();
    bench.ok(&format!("resume {id}"));
    bench.until(&id, "completed");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("60"));
}

#[test]
fn times_that_are_absurd_do_not_stop_the_boards_calendar() {
    let mut bench = bench();
    let (id, bundle) = bundle(&mut bench, "jobs:count");
    let bad = with_record(&bundle, |record| {
        (record.created_at, record.started_at, record.ended_at) = (u64::MAX, Some(u64::MAX), Some(u64::MAX));
        record.state = JobState::Completed;
    });
    assert!(bench.import(&bad, false).starts_with("ok"));
    bench.restart();
    // Of those that end from now on, the first goes first.
    let ids: Vec<String> = (0..20)
        .map(|number| {
            let id = format!("{:08x}-0000-4000-8000-000000000000", 0xf000_0000_u32 - number);
            bench.ok(&format!("run jobs:count id={id} {}", state(1)));
            bench.until(&id, "completed");
            id
        })
        .collect();
    assert_eq!(bench.refused(&format!("status {id}")).0, "unknown_job");
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(bench.tell(&format!("status {id}")).len() == 2, number >= 4, "{number}");
    }
}

#[test]
fn one_does_not_bring_attempts_without_end() {
    let mut bench = bench();
    let (id, bundle) = bundle(&mut bench, "jobs:fail");
    let bad = with_record(&bundle, |record| {
        (record.attempt, record.attempts) = (1, u32::MAX);
        (record.state, record.wanted) = (JobState::Running, Interrupt::None);
    });
    assert!(bench.import(&bad, false).starts_with("ok"));
    bench.until(&id, "failed");
    assert_eq!(bench.status(&id, "attempt").as_deref(), Some("2"));
}

#[test]
fn one_that_somebody_has_cancelled_is_cancelled() {
    for paused in [false, true] {
        let mut bench = bench();
        let (id, bundle) = bundle(&mut bench, "jobs:count");
        let cancelled = with_record(&bundle, |record| {
            (record.state, record.wanted) = (JobState::Running, Interrupt::Cancel);
        });
        let answer = bench.import(&cancelled, paused);
        assert!(answer.starts_with("ok") && answer.contains("state=cancelled"), "{answer}");
        bench.restart();
        assert_eq!(bench.status(&id, "state").as_deref(), Some("cancelled"));
    }
}

#[test]
fn those_that_have_ended_do_not_pile_up() {
    let mut bench = bench();
    let (_, bundle) = bundle(&mut bench, "jobs:count");
    for number in 1..40_u128 {
        let job_id = toehold::Uuid::from_u128(number);
        let with_id = |bytes: &[u8]| {
            let checkpoint = Checkpoint { job_id, ..Checkpoint::decode(bytes).unwrap() };
            checkpoint.encode()
        };
        let (base, newest) = (with_id(&bundle.base), with_id(&bundle.newest));
        let bundle = Bundle { job_id, base, newest, ..bundle.clone() };
        let ended = with_record(&bundle, |record| record.state = JobState::Failed);
        assert!(bench.import(&ended, false).starts_with("ok"));
    }
    assert_eq!(bench.ok("ls").last().unwrap(), "ok extensions=1 jobs=16");
}

#[test]
fn one_whose_checkpoints_do_not_fit_together_is_refused() {
    let mut bench = bench();
    let (id, bundle) = bundle(&mut bench, "jobs:count");
    let newest = Checkpoint::decode(&bundle.newest).unwrap();
    let base = Checkpoint { state: b"~0".to_vec(), ..newest.clone() }.encode();
    let bad = Bundle { base, journal: Vec::new(), ..bundle.clone() };
    assert!(bench.import(&bad.encode(), false).starts_with("err format"));
    let base = Checkpoint { sequence: newest.sequence + 1, ..newest }.encode();
    let bad = Bundle { base, journal: Vec::new(), ..bundle.clone() };
    assert!(bench.import(&bad.encode(), false).starts_with("err format"));
    let bad = Bundle { journal: Vec::new(), newest: Vec::new(), ..bundle };
    assert!(bench.import(&bad.encode(), false).starts_with("err format"));
    assert_eq!(bench.refused(&format!("status {id}")).0, "unknown_job");
}

#[test]
fn one_that_names_more_than_there_is_memory_for_is_refused() {
    let mut bench = bench();
    let (_, bundle) = bundle(&mut bench, "jobs:count");
    let bad = with_record(&bundle, |record| record.report.warnings = vec![String::new(); 10_000]);
    assert!(bench.import(&bad, false).starts_with("err format"));
    let entries = vec![toehold::JournalEntry::Reply(Vec::new()); 1_500];
    let journal = toehold::JournalEntry::encode_all(&entries);
    let bad = Bundle { journal, ..bundle }.encode();
    bench.memory.0.set(80 << 10);
    let answer = bench.import(&bad, false);
    assert!(answer.starts_with("err memory"), "{answer}");
}

#[test]
fn an_export_needs_room() {
    let mut bench = bench();
    let id = bench.dispatch("jobs:count", &state(60));
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    bench.memory.0.set(4_300);
    assert_eq!(bench.refused(&format!("export {id}")).0, "memory");
    bench.memory.0.set(1 << 20);
    let bytes = bench.export(&id).len();
    // Much is free, and no piece of it is large enough.
    bench.memory.1.set(bytes - 1);
    let (code, message) = bench.refused(&format!("export {id}"));
    assert!(code == "memory" && message.contains("in one piece"), "{message}");
    bench.memory.1.set(usize::MAX);
    bench.export(&id);
}
