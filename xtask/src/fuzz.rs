//! Runs the fuzz targets in `fuzz/`, which cargo-fuzz builds with the nightly toolchain.
//!
//! What is found lies in `fuzz/artifacts/`, what the targets have learned in the target folder. Seeds are in the repository.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::nightly;
use crate::process;
use crate::workspace;

/// All targets, in the order in which they run.
pub(crate) const TARGETS: [&str; 8] =
    ["load", "host_calls", "slices", "checkpoint", "manifest", "journal", "flash_store", "http"];

/// How long each runs as a step of the tests.
const STEP_SECONDS: u64 = 20;

/// Bytes of an input, at most; and mebibytes and seconds that one may take.
const LONGEST: u32 = 4_096;
const MEBIBYTES: u32 = 2_048;
const TIMEOUT: u32 = 25;

/// Runs one target or all, each for so many seconds.
pub(crate) fn run(target: Option<&str>, seconds: u64) -> Result<()> {
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    let chosen: Vec<&str> = match target {
        None => TARGETS.to_vec(),
        Some(name) if TARGETS.contains(&name) => vec![name],
        Some(name) => bail!("there is no fuzz target {name:?}, only {}", TARGETS.join(", ")),
    };
    // Once for all of them, so that no target's time goes into building.
    process::run(fuzz("build")?.arg("--release"))?;
    let runs = chosen.into_iter().map(|name| command(name, seconds)).collect::<Result<Vec<_>>>()?;
    process::run_all(runs)
}

/// All targets for a short while, where there is what builds them.
pub(crate) fn step() -> Result<()> {
    match missing() {
        Some(missing) => {
            println!("SKIPPED: {missing}");
            Ok(())
        }
        None => run(None, STEP_SECONDS),
    }
}

/// Gets cargo-fuzz, where it can. The nightly toolchain is rustup's business.
pub(crate) fn install() {
    if !nightly::is_there() {
        println!("nightly: not there, so fuzzing is skipped; `rustup toolchain install nightly` gets it");
    } else if has_cargo_fuzz() {
        println!("cargo-fuzz: there");
    } else if let Err(error) = process::run(process::cargo().args(["install", "cargo-fuzz", "--locked"])) {
        println!("{error:#}; going on without");
    }
}

/// What keeps the targets from being built, and how to get it.
fn missing() -> Option<&'static str> {
    if !nightly::is_there() {
        return Some("fuzzing needs rustup's nightly toolchain: `rustup toolchain install nightly` gets it");
    }
    (!has_cargo_fuzz()).then_some("fuzzing needs cargo-fuzz: `cargo install cargo-fuzz --locked` gets it")
}

fn has_cargo_fuzz() -> bool {
    process::ask(nightly::cargo().args(["fuzz", "--version"])).is_some()
}

fn fuzz(subcommand: &str) -> Result<Command> {
    let mut command = nightly::cargo();
    // One folder for all of them, whose dependencies are built once.
    command.args(["fuzz", subcommand, "--target-dir"]).arg(workspace::target_folder()?.join("fuzz"));
    Ok(command)
}

fn command(name: &str, seconds: u64) -> Result<Command> {
    let corpus = workspace::target_folder()?.join("fuzz-corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("{}", corpus.display()))?;
    let mut command = fuzz("run")?;
    command.args(["--release", name]).arg(corpus).arg(workspace::root().join("fuzz/seeds").join(name));
    command.arg("--").args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST}"),
        format!("-rss_limit_mb={MEBIBYTES}"),
        format!("-timeout={TIMEOUT}"),
        "-print_final_stats=1".to_owned(),
    ]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that nobody lists would never run, and one without seeds starts from nothing.
    #[test]
    fn every_target_is_listed_and_has_seeds() {
        let folder = workspace::root().join("fuzz");
        let mut files: Vec<String> = fs::read_dir(folder.join("fuzz_targets"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut listed = TARGETS.map(str::to_owned).to_vec();
        listed.sort();
        assert_eq!(files, listed);
        for target in TARGETS {
            let seeds = fs::read_dir(folder.join("seeds").join(target)).unwrap().count();
            assert!(seeds > 0, "{target}");
        }
    }
}
