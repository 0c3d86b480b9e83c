//! The headers of requests and replies.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers that say how a message is carried, which is the host's business. All that start with `proxy-` are too.
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header's name that may be set.
pub(super) fn name(name: &str) -> Result<HeaderName, String> {
    let shown = || super::super::payload::shortened(name.as_bytes());
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("the header {} has no name that a header can have", shown()))?;
    if OURS.contains(&parsed.as_str()) || parsed.as_str().starts_with("proxy-") {
        return Err(format!("the header {parsed} is the host's, and can't be set; leave it out"));
    }
    Ok(parsed)
}

/// A guest's headers.
pub(super) fn of_guest(given: &BTreeMap<String, String>, most_bytes: usize) -> Result<HeaderMap, String> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > most_bytes {
        return Err(format!("the headers have {bytes} bytes; a request may have {most_bytes}"));
    }
    let mut headers = HeaderMap::new();
    for (given, value) in given {
        let name = name(given)?;
        let value = HeaderValue::from_str(value).map_err(|_| {
            format!(
                "the value of the header {name} has line breaks or other characters that a header can't have"
            )
        })?;
        if headers.insert(name.clone(), value).is_some() {
            return Err(format!("the header {name} is given twice"));
        }
    }
    Ok(headers)
}

/// A reply's headers by name; one that comes several times has its values separated by commas.
pub(super) fn of_reply(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match all.get_mut(name.as_str()) {
            Some(before) => {
                before.push_str(", ");
                before.push_str(&value);
            }
            None => drop(all.insert(name.as_str().to_owned(), value.into_owned())),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Result<HeaderMap, String> {
        of_guest(&BTreeMap::from([(name.to_owned(), value.to_owned())]), 1_000)
    }

    #[test]
    fn headers_that_carry_the_message_and_such_that_break_it_are_refused() {
        for name in [
            "Host",
            "host",
            "Content-Length",
            "Connection",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "proxy-anything",
            "",
            "a b",
            "a:b",
            "a\r\nb",
            "ä",
            "a\0",
        ] {
            assert!(one(name, "x").is_err(), "{name:?}");
        }
        for value in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            assert!(one("X-Ok", value).unwrap_err().contains("x-ok has line breaks"), "{value:?}");
        }
        assert!(one("X-Ok", &"x".repeat(1_000)).unwrap_err().contains("a request may have 1000"));
        let twice = BTreeMap::from([("X-A", "1"), ("x-a", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(of_guest(&twice, 1_000), Err("the header x-a is given twice".to_owned()));
        assert_eq!(one("X-Ok", "fine").unwrap().get("x-ok").unwrap(), "fine");
    }
}
