//! Runs the tests of what has unsafe code in Miri, which sees undefined behaviour that a processor lets pass.
//!
//! What is unsafe because it talks to a host or to hardware can't run there: the SDK's imports, registers, the boards' start-up code. Its heap
//! can, and what both are made of. Miri is some hundred times slower than a processor, so properties get few cases.

use std::process::Command;

use anyhow::Result;

use crate::nightly;
use crate::process;
use crate::workspace;

/// Packages, and which of their unit tests run: of the SDK those of what is unsafe, since its JSON takes Miri ten minutes.
const TESTS: [(&str, &[&str]); 2] =
    [("toehold-abi", &[]), ("toehold-sdk", &["heap::", "border::", "glue::"])];

/// Cases of each property.
const CASES: &str = "4";

/// Runs them, where there is what it takes.
pub(crate) fn step() -> Result<()> {
    match missing() {
        Some(missing) => {
            println!("SKIPPED: {missing}");
            Ok(())
        }
        None => process::run_all(TESTS.map(command)),
    }
}

/// Gets Miri, where there is the nightly toolchain.
pub(crate) fn install() {
    if nightly::is_there() && !has_miri() {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "miri", "rust-src", "--toolchain", "nightly"]);
        if let Err(error) = process::run(&mut rustup) {
            println!("{error:#}; going on without");
        }
    }
}

fn missing() -> Option<&'static str> {
    (!nightly::is_there() || !has_miri()).then_some(
        "Miri needs rustup's nightly toolchain: `rustup toolchain install nightly --component miri,rust-src` gets both",
    )
}

fn has_miri() -> bool {
    process::ask(nightly::cargo().args(["miri", "--version"])).is_some()
}

fn command((package, tests): (&str, &[&str])) -> Command {
    let mut command = nightly::cargo();
    command.args(["miri", "test", "--lib", "--package", package]);
    if let Ok(target) = workspace::target_folder() {
        // Its builds are of no use to any other toolchain.
        command.arg("--target-dir").arg(target.join("miri"));
    }
    command.arg("--").args(tests);
    // proptest asks for the folder that it runs in.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command.env("PROPTEST_CASES", CASES).env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command
}
