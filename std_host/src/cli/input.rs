use std::{fs, io::Read, str::FromStr};

use serde_json::Value;

/// JSON from the command line: the text itself, or `@FILE`, or `@-` for standard input.
#[derive(Clone, Debug)]
pub(crate) struct JsonArg(pub(crate) Value);

impl FromStr for JsonArg {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (text, from) = match argument.strip_prefix('@') {
            None => (argument.to_owned(), "it".to_owned()),
            Some("-") => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| format!("standard input: {error}"))?;
                (text, "standard input".to_owned())
            }
            Some(path) => {
                (fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?, path.to_owned())
            }
        };
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(format!("{from} is no JSON: {error}; write it such as '{{\"target\": 10}}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_json_says_where() {
        assert_eq!("{\"a\":1}".parse::<JsonArg>().map(|json| json.0["a"].clone()), Ok(Value::from(1)));
        let error = "{target: 10}".parse::<JsonArg>().map(|_| ()).unwrap_err();
        assert!(error.contains("line 1 column 2"), "{error}");
        let error = "@no-such-file".parse::<JsonArg>().map(|_| ()).unwrap_err();
        assert!(error.starts_with("no-such-file: "), "{error}");
    }
}
