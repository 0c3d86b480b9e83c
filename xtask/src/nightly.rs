//! rustup's nightly toolchain, which fuzzing and Miri need.

use std::process::Command;

use crate::process;
use crate::workspace;

/// Its cargo, as if nobody had called another one before.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(workspace::root());
    process::forget(&mut command, |name| {
        process::told_about_xtask(name)
            || ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"].contains(&name)
    });
    command
}

/// Whether it is installed.
pub(crate) fn is_there() -> bool {
    process::ask(cargo().arg("--version")).is_some()
}
