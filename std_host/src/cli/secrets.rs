//! Secrets in `toehold.toml`: headers that the host adds to an extension's requests.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use std_host::operations::Secret;

use super::problem::Problem;

/// Bytes of a file with a secret.
const FILE_BYTES: u64 = 64 << 10;

/// One of `[[secrets]]`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretSettings {
    extension: String,
    host: String,
    header: String,
    /// The value itself, or where it stands: one of these three.
    value: Option<Value>,
    value_file: Option<PathBuf>,
    value_env: Option<String>,
}

/// Never shown.
#[derive(PartialEq, Eq, Deserialize)]
struct Value(String);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl SecretSettings {
    /// Makes the path in it one that starts at the settings file's folder.
    pub(crate) fn start_at(&mut self, folder: &Path) {
        if let Some(path) = &mut self.value_file {
            *path = folder.join(&path);
        }
    }

    pub(crate) fn secret(&self) -> Result<Secret, Problem> {
        let Self { extension, host, header, value, value_file, value_env } = self;
        let wrong = |reason: String| {
            Problem::new("settings", format!("[[secrets]] for {extension} at {host:?}: {reason}"))
        };
        let value = match (value, value_file, value_env) {
            (Some(Value(value)), None, None) => value.clone(),
            (None, Some(path), None) => {
                read(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?
            }
            (None, None, Some(name)) => std::env::var(name)
                .map_err(|_| wrong(format!("the variable {name} is not set, or is no text")))?,
            _ => return Err(wrong("it needs one of value, value_file and value_env".to_owned())),
        };
        Secret::new(extension, host, header, &value)
            .map_err(|error| Problem::new("settings", format!("[[secrets]]: {error}")))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() || found.len() > FILE_BYTES {
        return Err(std::io::Error::other("is no regular file, or too large for a secret"));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> SecretSettings {
        let text = format!("extension = \"a\"\nhost = \"api.example.com\"\nheader = \"X-Key\"\n{value}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_secret_has_its_value_in_one_place() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("key"), "from a file\n").unwrap();
        let mut from_file = parse("value_file = \"key\"");
        from_file.start_at(temp.path());
        assert!(from_file.secret().is_ok());
        assert!(parse("value = \"hunter22\"").secret().is_ok());
        let shown = format!("{:?}", parse("value = \"hunter22\""));
        assert!(!shown.contains("hunter22"), "{shown}");
        for (bad, expected) in [
            ("", "it needs one of"),
            ("value = \"hunter22\"\nvalue_env = \"A\"", "it needs one of"),
            ("value = \"short\"", "printable characters"),
            ("value_file = \"/nowhere\"", "/nowhere: "),
            ("value_file = \"/dev/zero\"", "no regular file"),
            ("value_env = \"TOEHOLD_NO_SUCH_VARIABLE\"", "TOEHOLD_NO_SUCH_VARIABLE is not set"),
        ] {
            let message = parse(bad).secret().unwrap_err().message;
            assert!(message.contains(expected) && !message.contains("short"), "{message}");
        }
    }
}
