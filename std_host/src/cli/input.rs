use std::{
    fs::{self, File},
    io::{self, Read},
};

use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

/// Bytes of a file or of standard input.
const LIMIT: u64 = 64 << 20;

/// JSON that `option` was given on the command line: the text itself, or `@FILE`, or `@-` for standard input.
pub(crate) fn json(option: &str, argument: &str) -> Result<Value, String> {
    parsed(option, argument)
}

/// As [`json`], without a change of even a blank.
pub(crate) fn raw_json(option: &str, argument: &str) -> Result<Box<RawValue>, String> {
    parsed(option, argument)
}

fn parsed<T: DeserializeOwned>(option: &str, argument: &str) -> Result<T, String> {
    let (text, from) = match argument.strip_prefix('@') {
        None => (argument.to_owned(), option.to_owned()),
        Some("-") => (
            read(io::stdin()).map_err(|error| format!("{option}: standard input: {error}"))?,
            format!("{option}: standard input"),
        ),
        Some(path) => (
            read_file(path).map_err(|error| format!("{option}: {path}: {error}"))?,
            format!("{option}: {path}"),
        ),
    };
    let example = "write it such as '{\"target\": 10}', or @FILE";
    serde_json::from_str(&text).map_err(|error| format!("{from}: is no JSON: {error}; {example}"))
}

fn read_file(path: &str) -> io::Result<String> {
    // A device or a pipe may have no end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
    }
    read(File::open(path)?)
}

fn read(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("has more than {LIMIT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_json_says_where() {
        assert_eq!(json("--state", "{\"a\":1}").map(|json| json["a"].clone()), Ok(Value::from(1)));
        let error = json("--state", "{target: 10}").unwrap_err();
        assert!(error.starts_with("--state: is no JSON: key must be a string at line 1 column 2"), "{error}");
        let error = json("--state", "@no-such-file").unwrap_err();
        assert!(error.starts_with("--state: no-such-file: "), "{error}");
    }
}
