//! What checkpoints and the entries of a journal cost a flash: operations, erases and wear. These are counts, so they are the same
//! wherever this runs.
//!
//! `cargo xtask bench flash`

use std::sync::Arc;

use embedded_storage::nor_flash::NorFlash;
use no_std_host::{
    FlashStore,
    sim::{Counts, SimFlash},
};
use toehold::{
    Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, NoticedLimits, Priority, Report, Store, Uuid,
};

const CHANGES: u64 = 1_000;
/// For how evenly the blocks wear.
const MANY_CHANGES: u64 = 100_000;

fn main() {
    println!("For each change, of one job among three; read KiB is what mounting and looking takes.\n");
    println!(
        "| flash, change | programs | programmed bytes | erases | reads | read KiB | erases per 1,000 |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    measure::<SimFlash<4, 4096>, 64>("4 KiB blocks, words of 4", &SimFlash::new(64));
    measure::<SimFlash<256, 4096>, 64>("4 KiB blocks, words of 256", &SimFlash::new(64));
    measure::<SimFlash<8, 2048>, 128>("2 KiB blocks, words of 8", &SimFlash::new(128));
    measure::<SimFlash<4, 1024>, 256>("1 KiB blocks, words of 4", &SimFlash::new(256));
    measure::<SimFlash<4, 16384>, 32>("16 KiB blocks, words of 4", &SimFlash::new(32));
    println!("\nOf 256 KiB in blocks of 4 KiB, erases of each block after {MANY_CHANGES} changes:\n");
    println!("| change | fewest | mean | most |");
    println!("| --- | ---: | ---: | ---: |");
    wear();
}

/// A flash that counts.
trait Counting: NorFlash + Clone + 'static {
    fn counted(&self) -> Counts;
    fn fresh(&self) -> Self;
}

impl<const WRITE: usize, const ERASE: usize> Counting for SimFlash<WRITE, ERASE> {
    fn counted(&self) -> Counts {
        self.counts()
    }

    fn fresh(&self) -> Self {
        self.copy()
    }
}

/// What is changed.
#[derive(Clone, Copy)]
enum Load {
    /// A checkpoint with a state of so many bytes.
    Checkpoint(usize),
    /// The same, and the job's record.
    WithRecord(usize),
    /// An entry of a journal, of so many bytes; a new run after each 50.
    Journal(usize),
}

const LOADS: [Load; 7] = [
    Load::Checkpoint(100),
    Load::Checkpoint(300),
    Load::Checkpoint(1024),
    Load::WithRecord(100),
    Load::WithRecord(300),
    Load::WithRecord(1024),
    Load::Journal(60),
];

fn measure<F: Counting, const BLOCKS: usize>(name: &str, blank: &F) {
    for load in LOADS {
        let flash = blank.fresh();
        let mut store = store::<F, BLOCKS>(&flash);
        let before = flash.counted();
        for number in 1..=CHANGES {
            store.change(Uuid::from_u128(1), &change(load, number)).expect("a change");
        }
        let after = flash.counted();
        let each = |count: fn(&Counts) -> u64| (count(&after) - count(&before)) as f64 / CHANGES as f64;
        println!(
            "| {name}: {} | {:.1} | {:.0} | {:.3} | {:.0} | {:.1} | {:.0} |",
            load.name(),
            each(|counts| counts.programs),
            each(|counts| counts.programmed_bytes),
            each(|counts| counts.erases),
            each(|counts| counts.reads),
            each(|counts| counts.read_bytes) / 1024.0,
            each(|counts| counts.erases) * 1_000.0,
        );
    }
}

fn wear() {
    for load in LOADS {
        let flash = SimFlash::<4, 4096>::new(64);
        let mut store = store::<_, 64>(&flash);
        for number in 1..=MANY_CHANGES {
            store.change(Uuid::from_u128(1), &change(load, number)).expect("a change");
        }
        let wear = flash.wear();
        let mean = wear.iter().map(|erases| u64::from(*erases)).sum::<u64>() as f64 / wear.len() as f64;
        let (fewest, most) = (wear.iter().min().unwrap_or(&0), wear.iter().max().unwrap_or(&0));
        println!("| {} | {fewest} | {mean:.0} | {most} |", load.name());
    }
}

/// A store with three jobs.
fn store<F: Counting, const BLOCKS: usize>(flash: &F) -> FlashStore<F, BLOCKS> {
    let mut store = FlashStore::open(flash.clone()).expect("a blank flash");
    for job in 1..=3 {
        let commit = Some(Arc::new(Commit::first(checkpoint(job, 0, 100))));
        let change = Change { record: Some(record(0)), commit };
        store.change(Uuid::from_u128(job), &change).expect("a first change");
    }
    store
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Checkpoint(bytes) => format!("checkpoint, state of {bytes}"),
            Self::WithRecord(bytes) => format!("checkpoint and record, state of {bytes}"),
            Self::Journal(bytes) => format!("entry of {bytes} in a journal"),
        }
    }
}

fn change(load: Load, number: u64) -> Change {
    let with = |bytes| Some(Arc::new(Commit::new(Vec::new(), Some(checkpoint(1, number, bytes)))));
    match load {
        Load::Checkpoint(bytes) => Change { record: None, commit: with(bytes) },
        Load::WithRecord(bytes) => Change { record: Some(record(number)), commit: with(bytes) },
        Load::Journal(bytes) => {
            let mut commit = if number.is_multiple_of(50) {
                Commit::upgrade(checkpoint(1, number, 100))
            } else {
                Commit::default()
            };
            commit.journal = noise(bytes, number);
            Change { record: None, commit: Some(Arc::new(commit)) }
        }
    }
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    (0..bytes as u64).map(|at| (at.wrapping_mul(0x9e37) ^ seed.wrapping_mul(0x85eb)) as u8).collect()
}

fn checkpoint(job: u128, number: u64, state_bytes: usize) -> Checkpoint {
    Checkpoint {
        job_id: Uuid::from_u128(job),
        library: None,
        extension: "test-extension".into(),
        extension_version: "0.1.0".into(),
        state_version: 0,
        module_hash: [9; 32],
        job: "counter".into(),
        sequence: number,
        calls: 0,
        fuel_used: number << 16,
        limits: NoticedLimits {
            memory_bytes: 1 << 16,
            table_elements: 100,
            call_depth: 100,
            stack_bytes: 1 << 12,
        },
        report: Report { items: number, checkpoints: number, ..Report::default() },
        state: noise(state_bytes, number),
    }
}

fn record(number: u64) -> JobRecord {
    JobRecord {
        job: "test-extension:counter".into(),
        module_hash: [9; 32],
        library: None,
        parent: None,
        state: JobState::Running,
        wanted: Interrupt::None,
        priority: Priority::Normal,
        reason: None,
        attempt: 1,
        attempts: 3,
        retry_at: None,
        sleep: None,
        created_at: 1_700_000_000_000,
        started_at: Some(1_700_000_000_000),
        ended_at: None,
        report: Report { items: number, ..Report::default() },
        fuel_used: number << 16,
        last_words: None,
    }
}
