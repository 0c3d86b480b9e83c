use toehold::{Compile, Limits, Millis, Trust};

use crate::{Attention, Operations};

/// How the shell works. The defaults suit a board with 128 KiB of RAM.
#[expect(missing_debug_implementations, reason = "operations are closures over parts of boards")]
pub struct Config {
    /// The firmware's name and version, for people and `info`.
    pub firmware: &'static str,
    /// What extensions and jobs may use at most.
    pub limits: Limits,
    /// Fuel of a slice. The console is looked at between two.
    pub slice: u64,
    /// Whose packages are taken.
    pub trust: Trust,
    /// Loads modules without validation: see [`toehold::Extension::load_unvalidated`]. It needs [`Trust::Signed`].
    pub compile: Option<Compile>,
    /// How often a job that faults, or whose run resets the board, is tried in all.
    pub attempts: u32,
    /// Milliseconds until another attempt; twice as many with each.
    pub backoff_ms: Millis,
    /// Jobs that have not ended, at most: more are refused. Each takes about half a kilobyte of the heap, also while it waits.
    pub live_jobs: usize,
    /// Jobs that are kept once they have ended; of more, those that ended first are forgotten.
    pub ended_jobs: usize,
    /// Bytes of the largest bundle that is imported.
    pub bundle_bytes: usize,
    /// Bytes of the heap, in one piece, that are left alone when a job is brought into memory, and that a job that runs must leave:
    /// for what the shell does meanwhile.
    pub reserve_bytes: usize,
    /// What jobs can call, beside what the shell has.
    pub operations: Operations,
    /// Where interrupt service routines ask for a pause.
    pub attention: Option<&'static Attention>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            firmware: concat!("toehold ", env!("CARGO_PKG_VERSION")),
            limits: limits(),
            slice: 100_000,
            trust: Trust::Anyone,
            compile: None,
            attempts: 2,
            backoff_ms: 1_000,
            live_jobs: 32,
            ended_jobs: 16,
            bundle_bytes: 16 << 10,
            reserve_bytes: 4 << 10,
            operations: Operations::default(),
            attention: None,
        }
    }
}

/// Limits of a board with 128 KiB of RAM. Those that a guest can notice travel with a job that starts here.
fn limits() -> Limits {
    Limits {
        module_bytes: 64 << 10,
        memory_bytes: 64 << 10,
        tables: 2,
        table_elements: 1_024,
        call_depth: 200,
        stack_bytes: 16 << 10,
        payload_bytes: 2 << 10,
        reply_bytes: 4 << 10,
        journal_bytes: 8 << 10,
        replay_fuel: 50_000_000,
        state_bytes: 4 << 10,
        line_bytes: 200,
        warnings: 8,
        ..Limits::default()
    }
}
