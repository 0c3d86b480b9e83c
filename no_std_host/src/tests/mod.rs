//! What the store promises, on a flash that hurts.

mod conformance;
mod damage;
mod faults;
mod format;
mod full;
mod opening;
mod packages;
mod wear;

use std::sync::Arc;

use toehold::{
    Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, NoticedLimits, Priority, Report, Saved,
    Store, Uuid,
};

use crate::{FlashStore, sim::SimFlash};

/// Blocks of 4 KiB as serial flash chips have.
type Serial = SimFlash<4, 4096>;
type SerialStore = FlashStore<Serial, 32>;

/// Opens the store that is on a flash, or makes one.
fn open(flash: &Serial) -> SerialStore {
    flash.power_on();
    SerialStore::open(flash.clone()).unwrap()
}

/// So many bytes that do not repeat soon.
fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed).wrapping_add((at >> 8) as u8))
        .collect()
}

fn job(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The `number`th record of a job.
fn record(number: u64, state: JobState) -> JobRecord {
    JobRecord {
        job: "example:job".into(),
        module_hash: [9; 32],
        library: None,
        parent: None,
        state,
        wanted: Interrupt::None,
        priority: Priority::Normal,
        reason: None,
        attempt: 1,
        attempts: 1,
        retry_at: None,
        sleep: None,
        created_at: 0,
        started_at: None,
        ended_at: None,
        report: Report::default(),
        fuel_used: number,
        last_words: None,
    }
}

/// The `number`th checkpoint of a job.
fn checkpoint(number: u64, state_bytes: usize) -> Checkpoint {
    Checkpoint {
        job_id: job(1),
        library: None,
        extension: "example".into(),
        extension_version: "1.0.0".into(),
        state_version: 0,
        module_hash: [9; 32],
        job: "job".into(),
        sequence: number,
        calls: 0,
        fuel_used: number,
        limits: NoticedLimits { memory_bytes: 1, table_elements: 1, call_depth: 1, stack_bytes: 1 },
        report: Report::default(),
        state: bytes(state_bytes, number as u8),
    }
}

/// What a job begins with, and each `number`th change of a job: record, journal and checkpoint.
fn change(number: u64, state_bytes: usize) -> Change {
    let commit = Commit::new(bytes(40, number as u8), Some(checkpoint(number, state_bytes)));
    Change { record: Some(record(number, JobState::Running)), commit: Some(Arc::new(commit)) }
}

/// A change that only adds to the journal.
fn entry(number: u64, bytes_of_it: usize) -> Change {
    Change { record: None, commit: Some(Arc::new(Commit::new(bytes(bytes_of_it, number as u8), None))) }
}

/// What there is of a job.
fn load(store: &mut impl Store, number: u128) -> Option<Saved> {
    store.load(job(number)).unwrap_or_else(|error| panic!("job {number}: {error}"))
}

/// What there is of a job after a change.
fn after(before: Option<Saved>, change: &Change) -> Option<Saved> {
    let mut saved = before.unwrap_or_default();
    if let Some(record) = &change.record {
        saved.record = record.encode();
    }
    if let Some(commit) = &change.commit {
        saved.journal.extend_from_slice(&commit.journal);
        if let Some(checkpoint) = &commit.checkpoint {
            saved.newest = checkpoint.encode();
            if saved.base.is_empty() {
                saved.base = saved.newest.clone();
            }
        }
    }
    Some(saved)
}
