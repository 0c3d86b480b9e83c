//! The canonical Toehold extension. It shows what a job can do, and hosts are tested with it.
//!
//! - [`counter`]: counts to a target, with progress, checkpoints and interrupts. It needs nothing of the host.
//! - [`wordcount`]: reads the files of a folder through the host's operations, and counts and hashes them.
//! - [`crash`]: panics, to see what a host keeps of such a job.
//!
//! The jobs are ordinary functions, so `cargo test` runs them natively; `cargo xtask guests` builds
//! `test_extension.wasm`.

#![forbid(unsafe_code)]

pub mod counter;
pub mod crash;
pub mod wordcount;

use toehold_sdk::{LogLevel, Result, extension, log};

/// The extension as its manifest describes it.
#[extension(
    id = "test-extension",
    name = "Test Extension",
    version = "0.1.0",
    jobs = [counter::counter, wordcount::wordcount, crash::crash],
    init = init,
)]
pub struct TestExtension;

fn init() -> Result<()> {
    log(LogLevel::Info, "✓ Test extension initialized!");
    Ok(())
}
