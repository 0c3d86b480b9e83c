//! Gets what is missing: by rustup where it can, on Debian by apt-get. What is there is left alone.

use std::collections::BTreeSet;
use std::env;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::board::{BOARDS, Board};
use crate::browser;
use crate::dependencies;
use crate::fleet;
use crate::fuzz;
use crate::miri;
use crate::process;
use crate::toolchain::{self, Target};

/// Parts of the toolchain that cargo calls as subcommands: the subcommand, rustup's and Debian's name for it.
const COMPONENTS: [(&str, &str, &str); 2] =
    [("fmt", "rustfmt", "rustfmt-web"), ("clippy", "clippy", "rust-web-clippy")];

pub(crate) fn missing() -> Result<()> {
    for (subcommand, component, _) in COMPONENTS {
        if has_subcommand(subcommand) {
            println!("{component}: there");
        } else {
            rustup(&["component", "add", component]);
        }
    }
    for target in toolchain::ALL {
        if !is_buildable(target) {
            rustup(&["target", "add", target.triple]);
        }
    }
    let mut packages: BTreeSet<&str> = toolchain::ALL
        .iter()
        .filter(|target| !is_buildable(target))
        .flat_map(|target| toolchain::missing_parts(target, &toolchain::look(target).debian))
        .collect();
    packages.extend(BOARDS.into_iter().flat_map(for_board));
    packages.extend(browser::missing_packages());
    if !packages.is_empty() {
        apt_get(&packages)?;
    }
    for target in toolchain::ALL {
        toolchain::take(target)?;
    }
    fuzz::install();
    fleet::install()?;
    miri::install();
    dependencies::install();
    for (subcommand, ..) in COMPONENTS {
        need_subcommand(subcommand)?;
    }
    Ok(())
}

/// Debian's packages that a board still needs: its emulator, and what compiles the C code of its store.
fn for_board(board: &Board) -> Vec<&'static str> {
    let (emulator, package) = board.emulator;
    let mut packages = Vec::new();
    if process::find(emulator).is_none() {
        packages.push(package);
    }
    if process::find(board.c.compiler).is_none() {
        packages.extend(board.c.packages);
    }
    if !has_libclang() {
        packages.push("libclang-dev");
    }
    packages
}

/// Whether there is the library that reads C's headers for bindings.
fn has_libclang() -> bool {
    let is_libclang = |entry: std::io::Result<DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libclang"))
    };
    let in_folder = |folder: &Path| folder.read_dir().is_ok_and(|mut entries| entries.any(is_libclang));
    env::var_os("LIBCLANG_PATH").is_some()
        || process::find("llvm-config").is_some()
        || library_folders().iter().any(|folder| in_folder(folder))
}

/// Where Debian and others have libraries.
fn library_folders() -> Vec<PathBuf> {
    let llvm = Path::new("/usr/lib").read_dir().into_iter().flatten().flatten();
    let llvm = llvm.filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"));
    let mut folders: Vec<PathBuf> = llvm.map(|entry| entry.path().join("lib")).collect();
    folders.extend(
        [
            "/usr/lib",
            "/usr/lib64",
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
        ]
        .map(PathBuf::from),
    );
    folders
}

/// Says how to get a subcommand of cargo where it is not installed.
pub(crate) fn need_subcommand(wanted: &str) -> Result<()> {
    if has_subcommand(wanted) {
        return Ok(());
    }
    for (subcommand, component, package) in COMPONENTS {
        if subcommand == wanted {
            bail!(
                "`cargo {subcommand}` is not installed. One of these gets it:\n  \
                   rustup component add {component}\n  \
                   apt-get install {package}      (for Debian's own cargo)"
            );
        }
    }
    bail!("`cargo {wanted}` is not installed")
}

fn has_subcommand(subcommand: &str) -> bool {
    process::ask(process::cargo().args([subcommand, "--version"])).is_some()
}

fn is_buildable(target: &Target) -> bool {
    toolchain::choose(target, &toolchain::look(target)).is_some()
}

/// Tries, and goes on where it fails: there may be no rustup, or no network that it likes, and Debian may still help.
fn rustup(arguments: &[&str]) {
    if let Err(error) = process::run(Command::new("rustup").args(arguments)) {
        println!("{error:#}; going on without");
    }
}

fn apt_get(packages: &BTreeSet<&str>) -> Result<()> {
    let list = packages.iter().copied().collect::<Vec<_>>().join(" ");
    if process::find("apt-get").is_none() {
        bail!(
            "this still needs what Debian has as {list}, and there is no apt-get that could install it: install the same by \
             your system's own means"
        );
    }
    let is_root = process::ask(Command::new("id").arg("-u")).is_some_and(|user| user == "0");
    if !is_root && process::find("sudo").is_none() {
        bail!("installing needs root: run `apt-get install --no-install-recommends {list}` as root");
    }
    let as_root = || {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    };
    process::run(as_root().args(["--quiet", "update"]))?;
    process::run(as_root().args(["--quiet", "install", "--yes", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("Debian's packages could not be installed: {list}"))
}
