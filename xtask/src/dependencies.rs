//! Holds what everything depends on to deny.toml: licences, versions that stand twice, sources. cargo-deny looks.

use anyhow::Result;

use crate::process;
use crate::workspace;

/// The manifests of the workspaces: the second is that of the firmwares, the third that of the fuzz targets.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "no_std_host/boards/Cargo.toml", "fuzz/Cargo.toml"];

/// What is looked at. Advisories are not: they come over the network, and change without the repository.
const CHECKS: [&str; 3] = ["licenses", "bans", "sources"];

/// Looks, where there is cargo-deny.
pub(crate) fn step() -> Result<()> {
    if !is_there() {
        println!("SKIPPED: this needs cargo-deny: `cargo install cargo-deny --locked` gets it");
        return Ok(());
    }
    process::run_all(MANIFESTS.map(|manifest| {
        let mut command = process::cargo();
        command.args(["deny", "--manifest-path", manifest, "--workspace", "--locked", "--config"]);
        command.arg(workspace::root().join("deny.toml")).args(["check", "--hide-inclusion-graph"]);
        // Each workspace meets some of what deny.toml makes room for.
        command.args(["--allow", "unmatched-skip", "--allow", "unnecessary-skip"]).args(CHECKS);
        command
    }))
}

/// Gets cargo-deny, where it can. Without optimization, which takes a fraction of the time and looks as well.
pub(crate) fn install() {
    if is_there() {
        println!("cargo-deny: there");
    } else if let Err(error) =
        process::run(process::cargo().args(["install", "cargo-deny", "--locked", "--debug"]))
    {
        println!("{error:#}; going on without");
    }
}

fn is_there() -> bool {
    process::ask(process::cargo().args(["deny", "--version"])).is_some()
}
