//! Builds the core for boards. That is the proof that it needs no std: these targets have none.

use anyhow::{Context, Result};

use crate::process;
use crate::toolchain::{self, CORTEX_M, RISC_V, Target, Toolchain};

/// The feature sets that boards may choose from.
const FEATURES: [&str; 2] = ["portable-dispatch", "portable-dispatch,indirect-dispatch"];

/// Nobody runs what is built here, so all that makes it fast or debuggable would be waiting for nothing. It inherits
/// from release because dev optimizes the interpreter.
const PROFILE: [&str; 5] = [
    "profile.bare.inherits='release'",
    "profile.bare.opt-level=0",
    "profile.bare.lto=false",
    "profile.bare.codegen-units=16",
    "profile.bare.strip=false",
];

pub(crate) fn build() -> Result<()> {
    let mut commands = Vec::new();
    for (toolchain, targets) in by_toolchain(&[&CORTEX_M, &RISC_V])? {
        for features in FEATURES {
            let mut cargo = toolchain.cargo("build", &targets, &[])?;
            cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting])).args(["--profile", "bare"]);
            cargo.args(["--package", "toehold", "--no-default-features", "--features", features]);
            commands.push(cargo);
        }
    }
    process::run_all(commands).context("the core does not build for boards")
}

/// Targets that one toolchain builds belong in one call of cargo, where they keep all processors busy.
fn by_toolchain<'t>(targets: &[&'t Target]) -> Result<Vec<(Toolchain, Vec<&'t Target>)>> {
    let mut groups: Vec<(Toolchain, Vec<&Target>)> = Vec::new();
    for target in targets {
        let toolchain = toolchain::take(target)?;
        match groups.iter_mut().find(|(known, _)| *known == toolchain) {
            Some((_, members)) => members.push(target),
            None => groups.push((toolchain, vec![target])),
        }
    }
    Ok(groups)
}
