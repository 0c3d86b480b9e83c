//! JSON in and out, and what is said of it where it does not fit.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use toehold::{Call, Reply};

/// Characters of a guest's text that an error shows.
const SHOWN_CHARS: usize = 80;

/// The call's payload as an operation's input.
///
/// No payload, `null` and `{}` all mean "no input": what is expected as one of them may be given as another, so that a
/// guest need not know whether the host thinks of a unit or of a struct whose every field has a default.
pub(super) fn decode<In: DeserializeOwned>(call: &Call) -> Result<In, String> {
    let payload = if call.payload.trim_ascii().is_empty() { b"null".as_slice() } else { &call.payload };
    serde_json::from_slice(payload)
        .or_else(|error| {
            no_input_in_other_words(payload).and_then(|same| serde_json::from_str(same).ok()).ok_or(error)
        })
        .map_err(|error| {
            format!("{}: the input does not fit: {error}; it was {}", call.method, shortened(&call.payload))
        })
}

/// An operation's output as a reply.
pub(super) fn encode<Out: Serialize>(call: &Call, output: &Out) -> Reply {
    serde_json::to_vec(output)
        .map_err(|error| format!("{}: the output can't be written as JSON: {error}", call.method))
}

/// The start of a guest's bytes, fit for one line of text.
pub(super) fn shortened(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "empty".to_owned();
    }
    // A character has at most 4 bytes, and one more than shown tells that there is more.
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (SHOWN_CHARS + 1))]);
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    let mut text: String = start.chars().take(SHOWN_CHARS).map(printable).collect();
    if start.chars().nth(SHOWN_CHARS).is_some() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

fn no_input_in_other_words(payload: &[u8]) -> Option<&'static str> {
    match serde_json::from_slice(payload) {
        Ok(Value::Null) => Some("{}"),
        Ok(Value::Object(fields)) if fields.is_empty() => Some("null"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use toehold::{CallKey, Uuid};

    use super::*;

    fn call(payload: &[u8]) -> Call {
        Call {
            key: CallKey { job: Uuid::nil(), number: 1 },
            extension: "example".to_owned(),
            method: "app:do".to_owned(),
            library: None,
            payload: payload.to_vec(),
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Unit;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Defaults {
        #[serde(default)]
        depth: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Needs {
        depth: u32,
    }

    #[test]
    fn no_input_may_be_said_in_three_ways() {
        for payload in ["", " \n", "null", "{}", " { } "] {
            let call = call(payload.as_bytes());
            assert_eq!(decode(&call), Ok(()), "{payload:?}");
            assert_eq!(decode(&call), Ok(Unit), "{payload:?}");
            assert_eq!(decode(&call), Ok(Defaults { depth: 0 }), "{payload:?}");
            assert_eq!(decode::<Option<u32>>(&call), Ok(None), "{payload:?}");
            assert!(decode::<Needs>(&call).is_err(), "{payload:?}");
        }
        assert!(decode::<()>(&call(b"{\"depth\":1}")).is_err());
        assert_eq!(decode::<Value>(&call(b"{}")), Ok(serde_json::json!({})));
    }

    #[test]
    fn an_input_that_does_not_fit_is_named_with_what_and_where() {
        let wrong = |payload: &[u8]| decode::<Needs>(&call(payload)).unwrap_err();
        assert_eq!(
            wrong(b"{\"depth\": \"deep\"}"),
            "app:do: the input does not fit: invalid type: string \"deep\", expected u32 at line 1 column 16; \
             it was {\"depth\": \"deep\"}"
        );
        assert_eq!(
            wrong(b"{}"),
            "app:do: the input does not fit: missing field `depth` at line 1 column 2; it was {}"
        );
        assert!(wrong(b"").ends_with("it was empty"));
        assert!(wrong(b"{\"depth\": 1} x").contains("trailing characters"));
        assert!(wrong(b"\xff\x00").starts_with("app:do: the input does not fit"));
        // Nesting as deep as this would overflow the stack of a parser without a limit.
        assert!(wrong(&b"[".repeat(100_000)).contains("(100000 bytes)"));
    }

    #[test]
    fn what_was_found_is_shown_on_one_short_line() {
        assert_eq!(shortened(b"a\nb\x1bc"), "a b c");
        assert_eq!(shortened("é".repeat(80).as_bytes()), "é".repeat(80));
        assert_eq!(shortened("é".repeat(81).as_bytes()), format!("{}… (162 bytes)", "é".repeat(80)));
        assert_eq!(shortened("🪨".repeat(500).as_bytes()), format!("{}… (2000 bytes)", "🪨".repeat(80)));
        assert_eq!(shortened(&[0xff; 90]), format!("{}… (90 bytes)", "\u{fffd}".repeat(80)));
    }
}
