//! The soak: a server under all that can happen to it, for as long as one likes. `std_host/tests/it/soak.rs` has what happens.

use anyhow::Result;

use crate::process;

/// Runs it for so many seconds, and as long as the jobs take that are left then.
pub(crate) fn run(seconds: u64) -> Result<()> {
    let mut test = process::cargo();
    test.args(["test", "--package", "std_host", "--test", "it", "soak::", "--", "--ignored", "--nocapture"]);
    process::run(test.env("SOAK_SECONDS", seconds.to_string()))
}

/// A minute of it.
pub(crate) fn step() -> Result<()> {
    run(60)
}
