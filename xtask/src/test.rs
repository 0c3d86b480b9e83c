//! Every check of the project, in one order, with a table of results and times at the end.
//!
//! A step that fails does not stop the others: one run shows all there is to repair. Steps that a developer waits for
//! the least come first.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::board_test;
use crate::browser;
use crate::dependencies;
use crate::fleet;
use crate::fuzz;
use crate::guests;
use crate::install;
use crate::miri;
use crate::process::{self, cargo};
use crate::soak;

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 13] = [
    ("format", format),
    ("guests are up to date", guests::check),
    ("clippy", clippy),
    ("features of the core", features),
    ("boards", board_test::all),
    ("tests", all_tests),
    ("fleet", fleet::test),
    BROWSER,
    ("docs", docs),
    ("dependencies", dependencies::step),
    ("miri", miri::step),
    ("fuzz", fuzz::step),
    ("soak", soak::step),
];

const BROWSER: Step = ("browser", browser::test);

/// Steps that run only where they are asked for: firmware once more with other features takes minutes.
const EXTRA: [Step; 1] = [("unvalidated boards", board_test::unvalidated)];

/// Runs all steps but the extra ones, or those whose names begin with one of `wanted`; first installs what is missing, where that
/// is wanted.
pub(crate) fn run(install: bool, screenshots: bool, wanted: &[String]) -> Result<()> {
    let install: Option<Step> = install.then_some(("install what is missing", install::missing));
    for wanted in wanted {
        if !STEPS.iter().chain(&EXTRA).any(|(name, _)| name.starts_with(wanted)) {
            let names: Vec<&str> = STEPS.iter().chain(&EXTRA).map(|(name, _)| *name).collect();
            bail!("no step's name begins with {wanted:?}, only {}", names.join(", "));
        }
    }
    let pictured = |(name, step)| match name {
        name if screenshots && name == BROWSER.0 => (name, browser::test_with_screenshots as fn() -> _),
        name => (name, step),
    };
    let is_named = |name: &str| wanted.iter().any(|wanted| name.starts_with(wanted));
    let normal = STEPS.into_iter().filter(|(name, _)| wanted.is_empty() || is_named(name));
    let extra = EXTRA.into_iter().filter(|(name, _)| is_named(name));
    let steps: Vec<Step> = install.into_iter().chain(normal).chain(extra).map(pictured).collect();
    let mut outcomes = Vec::new();
    for (index, (name, step)) in steps.iter().enumerate() {
        heading(&format!("{}/{} {name}", index + 1, steps.len()));
        let start = Instant::now();
        let error = step().err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            println!("\nFAILED: {error}");
        }
        outcomes.push(Outcome { name, time: start.elapsed(), error });
    }
    heading("summary");
    print!("{}", table(&outcomes));
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    if failed > 0 {
        bail!("{failed} of {} steps failed", outcomes.len());
    }
    Ok(())
}

fn format() -> Result<()> {
    install::need_subcommand("fmt")?;
    let mut fuzz = cargo();
    fuzz.args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]);
    let mut all = cargo();
    all.args(["fmt", "--all", "--check"]);
    process::run_all([all, fuzz])
}

fn clippy() -> Result<()> {
    install::need_subcommand("clippy")?;
    let mut clippy = cargo();
    process::run(clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-Dwarnings",
    ]))
}

/// The combinations that the core promises. Clippy checks all that `cargo check` does, so one run serves for both.
fn features() -> Result<()> {
    install::need_subcommand("clippy")?;
    let combinations: [&[&str]; 5] = [
        &["--no-default-features"],
        &["--no-default-features", "--features", "portable-dispatch"],
        &["--no-default-features", "--features", "conformance"],
        &["--no-default-features", "--features", "validate,signatures,console"],
        &[],
    ];
    process::run_all(combinations.map(|combination| {
        let mut clippy = cargo();
        clippy.args(["clippy", "--package", "toehold"]).args(combination).args(["--", "-Dwarnings"]);
        clippy
    }))
}

/// Unit, integration and doc tests, and those that look at compiler errors.
///
/// Then those of the SDK once more, as small guests have it: all others have its features on.
fn all_tests() -> Result<()> {
    let (mut all, mut small) = (cargo(), cargo());
    all.args(["test", "--workspace", "--no-fail-fast"]);
    small.args(["test", "--package", "toehold-sdk", "--no-default-features", "--lib"]);
    small.args(["--test", "extension", "--test", "glue", "--test", "migration"]);
    process::run_all([all, small])
}

/// Only libraries: the command `toehold` would want the same page as the library `toehold`.
fn docs() -> Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--all-features", "--lib"]);
    process::run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
}

struct Outcome<'s> {
    name: &'s str,
    time: Duration,
    error: Option<String>,
}

fn heading(text: &str) {
    println!("\n======== {text} ========");
}

fn table(outcomes: &[Outcome<'_>]) -> String {
    let total: Duration = outcomes.iter().map(|outcome| outcome.time).sum();
    let mut lines = String::new();
    for Outcome { name, time, error } in outcomes {
        let result = if error.is_some() { "FAILED" } else { "ok" };
        lines += &format!("{name:<26}{result:<8}{:>8.1} s\n", time.as_secs_f64());
    }
    lines += &format!("{:<34}{:>8.1} s\n", "total", total.as_secs_f64());
    for Outcome { name, error, .. } in outcomes {
        if let Some(error) = error {
            lines += &format!("\n{name}: {error}\n");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_every_step_and_repeats_what_failed() {
        let outcomes = [
            Outcome { name: "format", time: Duration::from_millis(1_500), error: None },
            Outcome { name: "boards", time: Duration::from_secs(60), error: Some("no target".into()) },
        ];
        let table = table(&outcomes);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["format", "ok", "1.5", "s"]);
        assert_eq!(lines[1], ["boards", "FAILED", "60.0", "s"]);
        assert_eq!(lines[2], ["total", "61.5", "s"]);
        assert_eq!(lines[4], ["boards:", "no", "target"]);
    }
}
