//! Records, checkpoints and journals of jobs that never were.

use alloc::{format, string::String, vec::Vec};

use toehold_abi::{Interrupt, LogLevel};
use uuid::Uuid;

use super::plan::Random;
use crate::{
    Checkpoint, JobRecord, JobState, LastWords, LogLine, NoticedLimits, Priority, Progress, Report, Sleep,
};

/// A record that no other step of a plan has.
pub(super) fn record(random: &mut Random<'_>, job: u32, step: u32) -> JobRecord {
    let maybe = |random: &mut Random<'_>, value: u64| (random.below(2) == 0).then_some(value);
    let state = pick(random, &JobState::ALL, JobState::Queued);
    JobRecord {
        job: format!("example-{}:job-{job}", job % 3),
        module_hash: [job as u8; 32],
        library: (random.below(2) == 0).then(|| Uuid::from_u128(7)),
        parent: (random.below(4) == 0).then(|| Uuid::from_u128(u128::from(random.below(10)))),
        state,
        wanted: pick(random, &[Interrupt::None, Interrupt::Pause, Interrupt::Cancel], Interrupt::None),
        priority: pick(random, &Priority::ALL, Priority::Normal),
        reason: (random.below(3) == 0).then(|| text(random)),
        attempt: 1 + random.below(3),
        attempts: 3,
        retry_at: maybe(random, 1 << 41),
        sleep: (random.below(4) == 0).then_some(Sleep { call: 3, ms: 1_000, until: 1 << 41 }),
        created_at: u64::from(job),
        started_at: maybe(random, 1_000),
        ended_at: state.is_final().then_some(2_000),
        report: report(random),
        fuel_used: u64::from(step),
        last_words: (random.below(8) == 0).then(|| LastWords {
            cause: text(random),
            fault: true,
            last_error: None,
            memory_bytes: 1 << 20,
            log_tail: Vec::from([LogLine { level: LogLevel::Warn, text: text(random) }]),
        }),
    }
}

/// A checkpoint that no other step of a plan has.
pub(super) fn checkpoint(random: &mut Random<'_>, job: Uuid, step: u32, state_bytes: usize) -> Checkpoint {
    Checkpoint {
        job_id: job,
        library: None,
        extension: String::from("example-1"),
        extension_version: String::from("1.2.3"),
        state_version: 0,
        module_hash: [9; 32],
        job: String::from("job"),
        sequence: u64::from(step),
        calls: u64::from(random.below(100)),
        fuel_used: u64::from(step) << 32,
        limits: NoticedLimits {
            memory_bytes: 1 << 20,
            table_elements: 10,
            call_depth: 100,
            stack_bytes: 1 << 16,
        },
        report: random.unscripted(report),
        state: random.bytes(state_bytes),
    }
}

/// A piece of a journal, which is just bytes to a store.
pub(super) fn journal(random: &mut Random<'_>, most: usize) -> Vec<u8> {
    random.bytes(most)
}

fn report(random: &mut Random<'_>) -> Report {
    let warnings = (0..random.below(3)).map(|_| text(random)).collect();
    let progress = Progress { fraction: 0.5, phase: None, steps: Some((1, 2)), message: text(random) };
    Report {
        progress: (random.below(2) == 0).then_some(progress),
        items: u64::from(random.below(1_000)),
        warnings,
        ..Report::default()
    }
}

fn text(random: &mut Random<'_>) -> String {
    (0..random.below(60)).map(|_| pick(random, &['a', 'é', '✓', '\0', '\'', '\n'], 'a')).collect()
}

fn pick<T: Copy>(random: &mut Random<'_>, all: &[T], otherwise: T) -> T {
    let count = u32::try_from(all.len()).unwrap_or(1);
    usize::try_from(random.below(count)).ok().and_then(|index| all.get(index).copied()).unwrap_or(otherwise)
}
