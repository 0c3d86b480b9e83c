//! Gets what is missing: by rustup where it can, on Debian by apt-get. What is there is left alone.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

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
    let packages: BTreeSet<&str> = toolchain::ALL
        .iter()
        .filter(|target| !is_buildable(target))
        .flat_map(|target| toolchain::missing_parts(target, &toolchain::look(target).debian))
        .collect();
    if !packages.is_empty() {
        apt_get(&packages)?;
    }
    for target in toolchain::ALL {
        toolchain::take(target)?;
    }
    for (subcommand, ..) in COMPONENTS {
        need_subcommand(subcommand)?;
    }
    Ok(())
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
        bail!("rustup could not install the targets, and there is no apt-get that could install {list}");
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
