//! The chores that cargo alone can't do. `cargo xtask help` lists them.
//!
//! ```text
//! main ── test ───────── every check, in order, with a table of times
//!      │    ├─ bare_metal   the core for boards, without std
//!      │    └─ install      gets what is missing
//!      ├─ guests ───────── builds extensions, or says that a built one is stale
//!      │    ├─ sources      one hash over everything that goes into a guest
//!      │    ├─ shrink       optimizes a module, and counts its memory in bytes
//!      │    └─ wasm         reads and writes sections
//!      └─ bench
//!
//! toolchain   which cargo can build for a target: rustup's, or Debian's with std's source
//! process     runs a command, shows it first
//! workspace   where things are
//! ```

mod bare_metal;
mod guests;
mod install;
mod process;
mod shrink;
mod sources;
mod test;
mod toolchain;
mod wasm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};
use guests::Pages;
use lexopt::prelude::*;

const HELP: &str = "\
Chores that cargo alone can't do.

  cargo xtask test [--install]    Run every check: format, guests, clippy, features, boards, tests, docs.
                                  --install first gets the targets and components that are missing.
  cargo xtask guests [--check | --ordinary-pages]
                                  Build test-extension/test_extension.wasm, and those in test-extension/small/ and
                                  test-extension/tiny/, from their sources.
                                  --check only says whether they are up to date; needs no WebAssembly toolchain.
                                  --ordinary-pages builds only the small one, with a memory in pages of 64 KiB for hosts
                                  that know no others, into the target folder.
  cargo xtask bench [ARGS]        Run the benchmarks of std_host. ARGS go to `cargo bench`.
  cargo xtask help                Show this text.
";

enum Chore {
    Help,
    Test { install: bool },
    Guests { check: bool, pages: Pages },
    Bench { arguments: Vec<OsString> },
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
            Some("test") => Chore::Test { install: false },
            Some("guests") => Chore::Guests { check: false, pages: Pages::Bytes },
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
            (Long("install"), Chore::Test { install }) => *install = true,
            (Long("check"), Chore::Guests { check, .. }) => *check = true,
            (Long("ordinary-pages"), Chore::Guests { pages, .. }) => *pages = Pages::Ordinary,
            (other, _) => return Err(other.unexpected().into()),
        }
    }
    Ok(chore)
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Help => {
            print!("{HELP}");
            Ok(())
        }
        Chore::Test { install } => test::run(install),
        Chore::Guests { check: true, .. } => guests::check(),
        Chore::Guests { check: false, pages } => guests::build(pages),
        Chore::Bench { arguments } => {
            process::run(process::cargo().args(["bench", "--package", "std_host"]).args(arguments))
        }
    }
}
