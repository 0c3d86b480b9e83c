//! Keys that packages are signed with.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use toehold::{Package, SigningKey, Trust};

use super::{exit::Exit, file, logging, output::print, problem::Problem};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key to sign packages with, and print its public key
    Generate(KeyArgs),
    /// Print the public key of a key file, or of who signed a package
    Show(KeyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key's file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The first line of a key file. What follows it is the seed.
const HEAD: &str = "toehold signing key, secret";
/// Bytes of a key file, or of a package.
const LONGEST: usize = 64 << 20;

pub(crate) fn key(command: &KeyCommand) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    let (result, args) = match command {
        KeyCommand::Generate(args) => (generate(&args.file), args),
        KeyCommand::Show(args) => (show(&args.file), args),
    };
    match result {
        Ok(public_key) => {
            let value = json!({ "public_key": public_key, "file": args.file });
            print(&if args.json { value.to_string() } else { public_key });
            Exit::Completed
        }
        Err(problem) => problem.report(args.json),
    }
}

fn generate(path: &Path) -> Result<String, Problem> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Problem::new("failed", format!("the system has no random bytes: {error}")))?;
    let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    file::write_secret(path, format!("{HEAD}\n{digits}\n").as_bytes())?;
    Ok(SigningKey::from_seed(&seed).public_key().to_string())
}

fn show(path: &Path) -> Result<String, Problem> {
    let bytes = file::read(path, LONGEST, "a key or a package")?;
    if bytes.starts_with(HEAD.as_bytes()) {
        return parse(&bytes).map(|key| key.public_key().to_string()).map_err(|reason| bad(path, reason));
    }
    let package = Package::open(&bytes, &Trust::Anyone).map_err(|error| match error {
        toehold::PackageError::Format(toehold::FormatError::Foreign { .. }) => {
            bad(path, "is neither a key of Toehold nor a package")
        }
        error => Problem::new("bad_package", format!("{}: {error}", path.display())),
    })?;
    let signer = package.signer().map(ToString::to_string);
    signer.ok_or_else(|| {
        let message = format!("{}: nobody has signed this package", path.display());
        Problem::new("unsigned", message)
    })
}

/// The key in a file.
pub(crate) fn read(path: &Path) -> Result<SigningKey, Problem> {
    warn_if_open(path);
    let bytes = file::read(path, LONGEST, "a key")?;
    parse(&bytes).map_err(|reason| bad(path, reason))
}

/// Never says what the digits are: they are a secret, or were meant to be one.
fn parse(bytes: &[u8]) -> Result<SigningKey, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "is no key of Toehold: it is not text")?;
    let mut lines = text.lines().map(str::trim_end);
    match lines.next() {
        Some(HEAD) => {}
        Some(line) if SigningKey::parse(line).is_some() => {
            return Err(
                "has 64 hexadecimal digits alone, as a public key; a key to sign with says what it is in its first line",
            );
        }
        _ => return Err("is no key of Toehold; `toehold key generate FILE` makes one"),
    }
    let key = lines.next().and_then(SigningKey::parse);
    match (key, lines.find(|line| !line.is_empty())) {
        (Some(key), None) => Ok(key),
        (None, _) => Err("is damaged: the second line of a key must have 64 hexadecimal digits"),
        (Some(_), Some(_)) => Err("is damaged: a key has two lines"),
    }
}

fn bad(path: &Path, reason: &str) -> Problem {
    Problem::new("bad_key", format!("{}: {reason}", path.display()))
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        log::warn!("{0}: others can read this key; `chmod 600 {0}` keeps it for you", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_open(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_is_told_without_its_digits() {
        let digits = "ab".repeat(32);
        assert!(parse(format!("{HEAD}\r\n{digits}\r\n\n").as_bytes()).is_ok());
        for (text, expected) in [
            (digits.clone(), "as a public key"),
            (String::new(), "is no key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(), "is no key"),
            (format!("{HEAD}\n{}", &digits[1..]), "64 hexadecimal digits"),
            (format!("{HEAD}\n{digits}0"), "64 hexadecimal digits"),
            (HEAD.to_owned(), "64 hexadecimal digits"),
            (format!("{HEAD}\n{digits}\n{digits}"), "two lines"),
        ] {
            let reason = parse(text.as_bytes()).err().unwrap_or_default();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
