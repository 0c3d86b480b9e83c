//! Builds the core for boards. That is the proof that it needs no std: these targets have none.

use anyhow::{Context, Result};

use crate::process;
use crate::toolchain::{self, CORTEX_M, RISC_V};

/// The feature sets that boards may choose from.
const FEATURES: [&str; 2] = ["validate", ""];

pub(crate) fn build() -> Result<()> {
    for target in [&CORTEX_M, &RISC_V] {
        let toolchain = toolchain::take(target)?;
        for features in FEATURES {
            let mut cargo = toolchain.cargo(target, "build", &[])?;
            cargo.args([
                "--package",
                "toehold",
                "--no-default-features",
                "--features",
                features,
            ]);
            process::run(&mut cargo)
                .with_context(|| format!("the core does not build for {}", target.triple))?;
        }
    }
    Ok(())
}
