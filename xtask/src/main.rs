//! The chores that cargo alone can't do. `cargo xtask help` lists them.
//!
//! ```text
//! main ── test ───────── every check, in order, with a table of times
//!      │    ├─ board_test   what is built for boards, in the emulator
//!      │    ├─ browser      the page, in Chromium
//!      │    ├─ miri         undefined behaviour, where there is unsafe code
//!      │    ├─ dependencies cargo-deny
//!      │    └─ install      gets what is missing
//!      ├─ guests ───────── builds extensions, or says that a built one is stale
//!      │    ├─ sources      one hash over everything that goes into a guest
//!      │    ├─ shrink       optimizes a module, and counts its memory in bytes
//!      │    └─ wasm         reads and writes sections
//!      ├─ board ────────── builds a board's firmware and runs it
//!      │    ├─ firmware     cargo for a board
//!      │    └─ emulator     QEMU
//!      ├─ fuzz ─────────── what libFuzzer throws at everything that reads bytes of others
//!      ├─ coverage ────── where the fuzz targets have been
//!      ├─ fleet ────────── the fleet on real NATS servers
//!      ├─ fleet_plan ───── a fleet that is larger than any here, simulated
//!      ├─ soak ─────────── a server under all that can happen to it
//!      ├─ sizes ────────── what firmware takes of flash and RAM
//!      └─ bench
//!
//! toolchain   which cargo can build for a target: rustup's, or Debian's with std's source
//! nightly     rustup's nightly toolchain
//! process     runs a command, shows it first
//! workspace   where things are
//! ```

mod board;
mod board_test;
mod browser;
mod coverage;
mod dependencies;
mod emulator;
mod firmware;
mod fleet;
mod fleet_plan;
mod fuzz;
mod guests;
mod install;
mod miri;
mod nightly;
mod process;
mod shrink;
mod sizes;
mod soak;
mod sources;
mod test;
mod toolchain;
mod wasm;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;
use shrink::Pages;

use crate::emulator::Serial;
use crate::firmware::Program;

const HELP: &str = "\
Chores that cargo alone can't do.

  cargo xtask test [--install] [--screenshots] [STEP…]
                                  Run every check: format, guests, clippy, features, boards, tests, fleet, browser, docs,
                                  dependencies, miri, fuzz, soak; or
                                  only the steps whose names begin so. `unvalidated` runs only where it is named: firmware that
                                  takes nothing but signed packages.
                                  --install first gets the targets, components and programs that are missing.
                                  --screenshots makes docs/screenshots anew, in the step `browser`.
  cargo xtask guests [--check | --ordinary-pages]
                                  Build test-extension/test_extension.wasm, and those in test-extension/small/ and
                                  test-extension/tiny/, from their sources.
                                  --check only says whether they are up to date; needs no WebAssembly toolchain.
                                  --ordinary-pages builds only the small one, with a memory in pages of 64 KiB for hosts
                                  that know no others, into the target folder.
  cargo xtask shrink MODULE OUTPUT [--ordinary-pages]
                                  Make a module smaller that was built with the SDK and has a `toehold_sdk::heap!`: see
                                  docs/small-guests.md.
  cargo xtask bench [ARGS]        Run the benchmarks of std_host. ARGS go to `cargo bench`.
  cargo xtask bench boards        Measure the boards in QEMU: memory, and instructions for each unit of fuel.
  cargo xtask bench browser       Measure how soon the page in Chromium shows what a guest told.
  cargo xtask bench --fleet       Measure the fleet on three NATS servers of this machine, beside plain writes to them.
  cargo xtask bench flash         Count what checkpoints cost a board's flash: operations, erases and wear.
  cargo xtask board cortex-m|riscv [OPTIONS]
                                  Build a board's firmware and run it in QEMU, its console on this terminal.
                                  --serial unix:PATH|tcp:HOST:PORT|…  Its console there, as QEMU's -serial has it.
                                  --flash FILE     Its flash in this file, instead of target/boards/NAME.flash.
                                  --fresh          With blank flash.
                                  --icount         Its time goes by the instructions that it executes.
                                  --job NAME [--target N]  Runs a job of test-extension/small from here, and shows how far it is.
                                  --bring-up       What tries the board's parts, instead of the firmware.
                                  --core           Nothing but the core, instead of the firmware.
                                  --example        The firmware to be copied, instead: cortex-m has one.
  cargo xtask sizes [--by-crate]  Build the firmwares and the core alone with several sets of features, and show what they
                                  take of flash and RAM. --by-crate shows which crate has a firmware's flash.
  cargo xtask fuzz [TARGET] [--seconds N]
                                  Run the fuzz targets, or one, each for N seconds (60). Needs cargo-fuzz and rustup's
                                  nightly toolchain.
  cargo xtask coverage            Show how much of the core and the shells the fuzz targets have been to, by lines.
  cargo xtask fleet-plan [--workers N] [--slots N] [--jobs N] [--work SECONDS] [--checkpoints N] [--job-bytes N]
                         [--streams N] [--lease SECONDS] [--entries N] [--queued N]
                                  Simulate fleets up to this size, and show which of their streams has enough first.
  cargo xtask soak [--minutes N]  Run 1,000 jobs, hostile ones among them, on a server that is killed, stopped and short of room,
                                  for N minutes (10) and until all of them are over.
  cargo xtask help                Show this text.
";

enum Chore {
    Help,
    Test { install: bool, screenshots: bool, steps: Vec<String> },
    Guests { check: bool, pages: Pages },
    Shrink { files: Vec<PathBuf>, pages: Pages },
    Bench { arguments: Vec<OsString> },
    Sizes { by_crate: bool },
    Board { name: String, options: board::Options },
    Coverage,
    Fuzz { target: Option<String>, seconds: u64 },
    Soak { minutes: u64 },
    FleetPlan(fleet_plan::Plan),
}

fn main() -> ExitCode {
    match parse().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Chore> {
    let mut arguments = lexopt::Parser::from_env();
    let mut chore = match arguments.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Chore::Help),
        Some(Value(name)) => match name.to_str() {
            Some("help") => return Ok(Chore::Help),
            Some("guests") => Chore::Guests { check: false, pages: Pages::Bytes },
            Some("test") => Chore::Test { install: false, screenshots: false, steps: Vec::new() },
            Some("fuzz") => Chore::Fuzz { target: None, seconds: 60 },
            Some("coverage") => Chore::Coverage,
            Some("fleet-plan") => Chore::FleetPlan(fleet_plan::Plan::default()),
            Some("soak") => Chore::Soak { minutes: 10 },
            Some("sizes") => Chore::Sizes { by_crate: false },
            Some("board") => {
                Chore::Board { name: board_name(&mut arguments)?, options: board::Options::default() }
            }
            Some("shrink") => Chore::Shrink { files: Vec::new(), pages: Pages::Bytes },
            Some("bench") => {
                let arguments = arguments.raw_args()?.collect();
                return Ok(Chore::Bench { arguments });
            }
            _ => bail!("there is no chore called {name:?}\n\n{HELP}"),
        },
        Some(other) => return Err(other.unexpected().into()),
    };
    while let Some(argument) = arguments.next()? {
        match (argument, &mut chore) {
            (Short('h') | Long("help"), _) => return Ok(Chore::Help),
            (Long("check"), Chore::Guests { check, .. }) => *check = true,
            (Long("install"), Chore::Test { install, .. }) => *install = true,
            (Long("screenshots"), Chore::Test { screenshots, .. }) => *screenshots = true,
            (Value(step), Chore::Test { steps, .. }) => steps.push(step.string()?),
            (Long(name), Chore::FleetPlan(plan)) => {
                let name = name.to_owned();
                let number = arguments.value()?.parse::<u64>()?;
                *plan.setting(&name)? = number.max(1);
            }
            (Long("minutes"), Chore::Soak { minutes }) => *minutes = arguments.value()?.parse()?,
            (Long("seconds"), Chore::Fuzz { seconds, .. }) => *seconds = arguments.value()?.parse()?,
            (Value(name), Chore::Fuzz { target: target @ None, .. }) => *target = Some(name.string()?),
            (Long("by-crate"), Chore::Sizes { by_crate }) => *by_crate = true,
            (Long("serial"), Chore::Board { options, .. }) => {
                options.serial = Serial::Other(arguments.value()?.string()?);
            }
            (Long("flash"), Chore::Board { options, .. }) => options.flash = Some(arguments.value()?.into()),
            (Long("fresh"), Chore::Board { options, .. }) => options.fresh = true,
            (Long("icount"), Chore::Board { options, .. }) => options.icount = true,
            (Long("job"), Chore::Board { options, .. }) => options.job = Some(arguments.value()?.string()?),
            (Long("target"), Chore::Board { options, .. }) => options.target = arguments.value()?.parse()?,
            (Long("bring-up"), Chore::Board { options, .. }) => options.program = Some(Program::BringUp),
            (Long("core"), Chore::Board { options, .. }) => options.program = Some(Program::CoreAlone),
            (Long("example"), Chore::Board { options, .. }) => options.program = Some(Program::Example),
            (Long("ordinary-pages"), Chore::Guests { pages, .. } | Chore::Shrink { pages, .. }) => {
                *pages = Pages::Ordinary
            }
            (Value(file), Chore::Shrink { files, .. }) => files.push(file.into()),
            (other, _) => return Err(other.unexpected().into()),
        }
    }
    Ok(chore)
}

fn board_name(arguments: &mut lexopt::Parser) -> Result<String> {
    match arguments.next()? {
        Some(Value(name)) => Ok(name.string()?),
        _ => bail!("which board? One of {}", board::names()),
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Help => {
            print!("{HELP}");
            Ok(())
        }
        Chore::Guests { check: true, .. } => guests::check(),
        Chore::Guests { check: false, pages } => guests::build(pages),
        Chore::Test { install, screenshots, steps } => test::run(install, screenshots, &steps),
        Chore::Sizes { by_crate } => sizes::print(by_crate),
        Chore::Soak { minutes } => soak::run(minutes.saturating_mul(60)),
        Chore::FleetPlan(plan) => fleet_plan::print(&plan),
        Chore::Coverage => coverage::print(),
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Board { name, options } => board::run(board::by_name(&name)?, options),
        Chore::Shrink { files, pages } => match files.as_slice() {
            [input, output] => shrink::run(input, output, pages),
            _ => bail!("shrink takes two files: MODULE and OUTPUT"),
        },
        Chore::Bench { arguments } if arguments == ["boards"] => board_test::bench(),
        Chore::Bench { arguments } if arguments == ["browser"] => browser::bench(),
        Chore::Bench { arguments } if arguments == ["--fleet"] => fleet::bench(),
        Chore::Bench { arguments } if arguments == ["flash"] => process::run(process::cargo().args([
            "bench",
            "--package",
            "no_std_host",
            "--features",
            "sim",
            "--bench",
            "flash",
        ])),
        Chore::Bench { arguments } => {
            process::run(process::cargo().args(["bench", "--package", "std_host"]).args(arguments))
        }
    }
}
