//! The canonical Toehold extension. It shows what a job can do, and hosts are tested with it.
//!
//! - [`counter`]: counts to a target, with progress, checkpoints and interrupts. It needs nothing of the host.
//! - [`wordcount`]: reads the files of a folder through the host's operations, and counts and hashes them.
//! - [`tally`]: has an effect for each item, and sees whether the host carried out any of them twice.
//! - [`draw`]: keeps what it has drawn in memory only, so that it depends on being replayed faithfully.
//! - [`nap`]: sleeps, by the host's clock.
//! - [`family`]: dispatches other jobs.
//! - [`spin`]: computes and calls nobody, as a load that others must get along with.
//! - [`flaky`]: panics in its first attempts, to be tried again.
//! - [`crash`]: panics always, to see what a host keeps of such a job.
//!
//! What the jobs call, beside the operations that every host has:
//!
//! | method | input | reply |
//! | --- | --- | --- |
//! | `action:kv.put` | `{"key": "a/b", "value": …}` | `{"version": 1}`: how often the key was ever written |
//! | `action:sleep` | `{"ms": 100}` | anything, once that time is over |
//! | `action:jobs.dispatch` | `{"job": "test-extension:counter", "state": {…}}` | `{"job_id": "…"}` |
//! | `query:job.attempt` | none | `{"attempt": 1}`, from 1 up |
//!
//! The jobs are ordinary functions, so `cargo test` runs them natively; `cargo xtask guests` builds
//! `test_extension.wasm`.

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod counter;
#[cfg(feature = "crash")]
pub mod crash;
#[cfg(feature = "draw")]
pub mod draw;
#[cfg(feature = "family")]
pub mod family;
#[cfg(feature = "flaky")]
pub mod flaky;
#[cfg(feature = "nap")]
pub mod nap;
#[cfg(feature = "spin")]
pub mod spin;
#[cfg(feature = "tally")]
pub mod tally;
#[cfg(feature = "wordcount")]
pub mod wordcount;

use toehold_sdk::{LogLevel, Result, extension, log};

#[cfg(not(feature = "std"))]
toehold_sdk::heap!(2048);

/// The extension as its manifest describes it.
#[extension(
    id = "test-extension",
    name = "Test Extension",
    version = "0.1.0",
    jobs = [
        counter::counter,
        #[cfg(feature = "wordcount")]
        wordcount::wordcount,
        #[cfg(feature = "tally")]
        tally::tally,
        #[cfg(feature = "draw")]
        draw::draw,
        #[cfg(feature = "nap")]
        nap::nap,
        #[cfg(feature = "family")]
        family::family,
        #[cfg(feature = "spin")]
        spin::spin,
        #[cfg(feature = "flaky")]
        flaky::flaky,
        #[cfg(feature = "crash")]
        crash::crash,
    ],
    init = init,
)]
pub struct TestExtension;

fn init() -> Result<()> {
    log(LogLevel::Info, "✓ Test extension initialized!");
    Ok(())
}
