//! Runs a command and shows it first, so that a developer can repeat it by hand.

use std::env;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The cargo that xtask was started with, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    forget(&mut command, told_about_xtask);
    command
}

/// Keeps variables out of `command` that `unwanted` picks from this process's own.
pub(crate) fn forget(command: &mut Command, unwanted: impl Fn(&str) -> bool) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(&unwanted) {
            command.env_remove(name);
        }
    }
}

/// Variables in which `cargo run` told xtask about itself: an inner cargo must not take them for its own.
pub(crate) fn told_about_xtask(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

/// Shows the command, runs it with this process's output, and fails where it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command)?;
    let program = command.get_program().to_owned();
    let status = match command.status() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{program:?} is not installed"),
        status => status.with_context(|| format!("{program:?} can't be started"))?,
    };
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Shows the command.
pub(crate) fn show(command: &Command) -> Result<()> {
    println!("$ {}", line(command));
    Ok(std::io::stdout().flush()?)
}

/// Runs all commands, also after one that fails, and then fails with all that failed.
pub(crate) fn run_all(commands: impl IntoIterator<Item = Command>) -> Result<()> {
    let failed: Vec<String> = commands
        .into_iter()
        .filter_map(|mut command| run(&mut command).err())
        .map(|error| format!("{error:#}"))
        .collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

/// What the command wrote to its standard output, or nothing where it failed or is not installed.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first program of that name in PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The command as one would type it: short program name, and only the variables that it sets.
fn line(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        let Some(value) = value.map(OsStr::to_string_lossy) else {
            continue;
        };
        words.push(match name.to_str() {
            // Cargo's form for flags that may have spaces in them, which no shell can take.
            Some("CARGO_ENCODED_RUSTFLAGS") => {
                format!("RUSTFLAGS={}", quoted(&value.replace('\x1f', " ")))
            }
            _ => format!("{}={}", name.to_string_lossy(), quoted(&value)),
        });
    }
    let program = Path::new(command.get_program());
    // Cargo hands over its full path inside rustup; Debian's is told apart by its folder.
    let short = if program.starts_with("/usr/bin") {
        program.as_os_str()
    } else {
        program.file_name().unwrap_or_default()
    };
    words.push(quoted(&short.to_string_lossy()));
    words.extend(command.get_args().map(OsStr::to_string_lossy).map(|word| quoted(&word)));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/opt/toolchains/x/bin/cargo");
        command.args(["test", "--config", "a = 'b'"]).env("RUSTDOCFLAGS", "-Dwarnings").env_remove("GONE");
        assert_eq!(line(&command), r"RUSTDOCFLAGS=-Dwarnings cargo test --config 'a = '\''b'\'''");
    }

    #[test]
    fn a_program_that_fails_or_is_absent_fails() {
        assert!(run(&mut Command::new("false")).is_err());
        let error = run(&mut Command::new("no-such-program-at-all")).unwrap_err();
        assert_eq!(error.to_string(), r#""no-such-program-at-all" is not installed"#);
        assert_eq!(ask(&mut Command::new("no-such-program-at-all")), None);
    }

    #[test]
    fn all_that_failed_is_told() {
        let commands = ["no-such-program-1", "true", "no-such-program-2"].map(Command::new);
        let error = run_all(commands).unwrap_err().to_string();
        assert_eq!(error, "\"no-such-program-1\" is not installed\n\"no-such-program-2\" is not installed");
        run_all([Command::new("true")]).unwrap();
    }
}
