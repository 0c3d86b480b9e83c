//! How much of the core and the shells the fuzzers have been to: their corpora and seeds, once through each target, by lines.
//!
//! Only our own crates are instrumented, and nothing is fuzzed: an input that crashes a target stops it here, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::fuzz::TARGETS;
use crate::nightly;
use crate::process;
use crate::workspace;

/// Our crates that fuzzers are for.
const CRATES: [&str; 4] = ["toehold", "toehold-abi", "no_std_host", "std_host"];

/// Lines that there are, and those that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    all: u64,
    ran: u64,
}

/// Builds all targets, runs them, and prints a table.
pub(crate) fn print() -> Result<()> {
    let tools = tools()?;
    let folder = workspace::target_folder()?.join("coverage");
    process::run(&mut build(&folder))?;
    let profiles = folder.join("profiles");
    // Of an earlier run, of other code.
    match fs::remove_dir_all(&profiles) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&profiles)?,
    }
    let programs: Vec<PathBuf> = TARGETS.map(|target| folder.join("release").join(target)).into();
    for (target, program) in TARGETS.iter().zip(&programs) {
        process::run(&mut replay(target, program, &profiles)?)?;
    }
    let merged = folder.join("all.profdata");
    let mut merge = Command::new(tools.join("llvm-profdata"));
    let raw = TARGETS.map(|target| profiles.join(format!("{target}.profraw")));
    process::run(merge.args(["merge", "--sparse", "--output"]).arg(&merged).args(raw))?;
    let mut export = Command::new(tools.join("llvm-cov"));
    export.args(["export", "--summary-only", "--instr-profile"]).arg(&merged);
    for program in &programs {
        export.arg("--object").arg(program);
    }
    process::show(&export)?;
    let exported = process::ask(&mut export).context("llvm-cov has not read what the targets wrote")?;
    let areas = areas(&serde_json::from_str(&exported)?, &workspace::root())?;
    println!("\n{:<34} {:>8} {:>8} {:>6}", "area", "lines", "ran", "%");
    for (area, Lines { all, ran }) in areas {
        println!("{area:<34} {all:>8} {ran:>8} {:>6.1}", ran as f64 * 100.0 / all as f64);
    }
    Ok(())
}

fn build(folder: &Path) -> Command {
    let mut command = nightly::cargo();
    command.args(["build", "--release", "--bins", "-Zprofile-rustflags", "--manifest-path"]);
    command.arg(workspace::root().join("fuzz/Cargo.toml")).arg("--target-dir").arg(folder);
    for name in CRATES {
        // As the fuzzers' own builds are, but for what makes them slow.
        let flags = r#"["-Cinstrument-coverage", "--cfg=fuzzing"]"#;
        command.arg("--config").arg(format!("profile.release.package.{name}.rustflags={flags}"));
    }
    command.args(["--config", r#"profile.release.rustflags=["-Cinstrument-coverage", "--cfg=fuzzing"]"#]);
    // Dependencies have no use for it, and what the targets themselves have is not counted.
    command.args(["--config", r#"profile.release.package."*".rustflags=[]"#]);
    command
}

/// A target that runs all that it has learned, and all seeds, once.
fn replay(target: &str, program: &Path, profiles: &Path) -> Result<Command> {
    let corpus = workspace::target_folder()?.join("fuzz-corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("{}", corpus.display()))?;
    let mut command = Command::new(program);
    command.args(["-runs=0", "-rss_limit_mb=4096", "-verbosity=0"]);
    command.arg(corpus).arg(workspace::root().join("fuzz/seeds").join(target));
    command.env("LLVM_PROFILE_FILE", profiles.join(format!("{target}.profraw")));
    Ok(command)
}

/// Where LLVM's tools are that read what this compiler's programs write: they must be of the same version of LLVM.
fn tools() -> Result<PathBuf> {
    let rustc = |arguments: &[&str]| {
        process::ask(Command::new("rustup").args(["run", "nightly", "rustc"]).args(arguments))
    };
    let library = rustc(&["--print", "target-libdir"])
        .context("coverage needs rustup's nightly toolchain: `rustup toolchain install nightly` gets it")?;
    let own = Path::new(&library).with_file_name("bin");
    let version = rustc(&["-vV"]).unwrap_or_default();
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let major = llvm.and_then(|version| version.split('.').next()).unwrap_or_default();
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin"));
    let found = [own, debian].into_iter().find(|folder| folder.join("llvm-profdata").is_file());
    match found {
        Some(found) => Ok(found),
        None => bail!(
            "there is no llvm-profdata of LLVM {major}. One of these gets it:\n  \
               rustup component add llvm-tools --toolchain nightly\n  \
               apt-get install llvm-{major}"
        ),
    }
}

/// Sums up files by crate; of the std shell, by what its folders are.
fn areas(exported: &Value, root: &Path) -> Result<BTreeMap<String, Lines>> {
    let files = exported["data"][0]["files"].as_array().context("llvm-cov has written no files")?;
    let mut areas = BTreeMap::<String, Lines>::new();
    for file in files {
        let path = Path::new(file["filename"].as_str().unwrap_or_default());
        let Some(area) = path.strip_prefix(root).ok().and_then(area) else { continue };
        let lines = &file["summary"]["lines"];
        let count =
            |name: &str| lines[name].as_u64().with_context(|| format!("{name} of {}", path.display()));
        let sum = areas.entry(area).or_default();
        sum.all += count("count")?;
        sum.ran += count("covered")?;
    }
    if areas.is_empty() {
        bail!("llvm-cov has written nothing about our crates");
    }
    Ok(areas)
}

/// What a file, from the root of the workspace, belongs to.
fn area(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        // What tests are made of.
        ["src", "conformance", ..] | ["no_std_host", "src", "sim.rs"] => None,
        parts if parts.iter().any(|part| ["tests", "tests.rs", "testing.rs"].contains(part)) => None,
        ["src", ..] => Some("core: src".to_owned()),
        ["abi", "src", ..] => Some("ABI: abi/src".to_owned()),
        ["no_std_host", "src", ..] => Some("board shell: no_std_host/src".to_owned()),
        ["std_host", "src", folder, _, ..] => Some(format!("std shell: std_host/src/{folder}")),
        ["std_host", "src", _] => Some("std shell: std_host/src/*.rs".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_summed_up_by_what_their_files_belong_to() {
        let file = |name: &str, count: u64, covered: u64| {
            json!({ "filename": format!("/root/{name}"),
                "summary": { "lines": { "count": count, "covered": covered } } })
        };
        let exported = json!({ "data": [{ "files": [
            file("src/job.rs", 100, 90),
            file("src/call/mod.rs", 50, 0),
            file("src/conformance/mod.rs", 1_000, 1_000),
            file("std_host/src/store/tests/jobs.rs", 1_000, 1_000),
            file("std_host/src/api/jobs.rs", 10, 5),
            file("std_host/src/main.rs", 7, 0),
            file("fuzz/src/guest.rs", 1_000, 1_000),
            { "filename": "/elsewhere/src/lib.rs", "summary": { "lines": { "count": 9, "covered": 9 } } },
        ] }] });
        let found = areas(&exported, Path::new("/root")).unwrap();
        let lines = |all, ran| Lines { all, ran };
        let expected = [
            ("core: src", lines(150, 90)),
            ("std shell: std_host/src/*.rs", lines(7, 0)),
            ("std shell: std_host/src/api", lines(10, 5)),
        ];
        assert_eq!(found, BTreeMap::from(expected.map(|(area, lines)| (area.to_owned(), lines))));
        assert!(areas(&json!({ "data": [{ "files": [] }] }), Path::new("/root")).is_err());
    }
}
