use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::{headers, pattern::HostPattern};

/// Characters of a secret, at least: a shorter one would be seen everywhere, and guessed.
const FEWEST: usize = 8;

/// A header that the host adds to an extension's requests to one host, and that the extension never sees.
///
/// It is sent over https only, or over http to this machine itself where the operator says so, and with no redirect to
/// another host. Where a reply echoes its value, the guest gets `***`.
#[derive(Clone)]
pub struct Secret {
    extension: String,
    host: HostPattern,
    header: HeaderName,
    value: HeaderValue,
    /// What must not reach the guest, the longest first.
    words: Vec<Vec<u8>>,
}

/// Why a secret can't be used. Never with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret for {extension} at {host:?}: {reason}")]
pub struct SecretError {
    extension: String,
    host: String,
    reason: String,
}

impl Secret {
    /// A secret of an extension, by its id, for one host: `[https://]HOST[:PORT]`, or `http://HOST[:PORT]` where HOST is this
    /// machine (`127.0.0.1`, `[::1]`, `localhost`). White space around the value is left out.
    ///
    /// # Errors
    /// A host that is a pattern of several or that is not reached safely, a header that can't be set, or a value that is
    /// shorter than 8 characters or has others than printable ASCII.
    pub fn new(extension: &str, host: &str, header: &str, value: &str) -> Result<Self, SecretError> {
        let wrong = |reason: String| SecretError {
            extension: extension.to_owned(),
            host: host.chars().take(80).collect(),
            reason,
        };
        let pattern: HostPattern = host.parse().map_err(|error| wrong(format!("{error}")))?;
        if !pattern.is_one_host_safely() {
            let reason = "it must be one host, reached by https; http:// only goes to this machine itself, by 127.0.0.1, \
                          [::1] or localhost";
            return Err(wrong(reason.to_owned()));
        }
        let name = headers::name(header).map_err(wrong)?;
        let value = value.trim();
        let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let header_value = HeaderValue::from_str(value).ok().filter(|_| printable && value.len() >= FEWEST);
        let Some(mut header_value) = header_value else {
            return Err(wrong(format!("its value must have {FEWEST} printable characters or more")));
        };
        header_value.set_sensitive(true);
        Ok(Self {
            extension: extension.to_owned(),
            host: pattern,
            header: name,
            value: header_value,
            words: words(value),
        })
    }

    pub(super) fn is_of(&self, extension: &str) -> bool {
        self.extension == extension
    }

    pub(super) fn header(&self) -> &HeaderName {
        &self.header
    }

    /// The value, if a request goes to its host.
    pub(super) fn for_url(&self, url: &Url) -> Option<&HeaderValue> {
        self.host.matches(url).then_some(&self.value)
    }

    /// Replaces what is secret by `***`.
    pub(super) fn hide(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.words.iter().fold(bytes, |bytes, word| without(bytes, word))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { extension, host, header, .. } = self;
        write!(f, "Secret {{ {extension}, {host}, {header}: *** }}")
    }
}

/// Replaces what is secret in a text.
pub(super) fn hide_in_text(secrets: &[Secret], text: String) -> String {
    let bytes = secrets.iter().fold(text.into_bytes(), |bytes, secret| secret.hide(bytes));
    String::from_utf8(bytes).unwrap_or_else(|_| "***".to_owned())
}

/// The value, what of it is the secret proper, and how both look in base64, JSON and URLs.
fn words(value: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![value.to_owned()];
    // `Bearer TOKEN`, `Basic BASE64`, `token TOKEN`.
    if let Some((scheme, token)) = value.split_once(' ') {
        plain.push(token.to_owned());
        let credentials = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(credentials) = credentials.filter(|_| scheme.eq_ignore_ascii_case("basic")) {
            plain.extend(credentials.split_once(':').map(|(_, password)| password.to_owned()));
            plain.push(credentials);
        }
    }
    let mut words: Vec<String> = Vec::new();
    for word in plain {
        words.push(STANDARD.encode(&word));
        words.push(url::form_urlencoded::byte_serialize(word.as_bytes()).collect());
        let json = serde_json::to_string(&word).unwrap_or_default();
        words.extend(json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).map(str::to_owned));
        words.push(word);
    }
    words.retain(|word| word.len() >= FEWEST);
    words.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    words.dedup();
    words.into_iter().map(String::into_bytes).collect()
}

fn without(bytes: Vec<u8>, word: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(at) = rest.windows(word.len()).position(|window| window == word) {
        let (before, found) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(b"***");
        rest = found.get(word.len()..).unwrap_or_default();
    }
    if out.is_empty() && rest.len() == bytes.len() {
        return bytes;
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(value: &str) -> Secret {
        Secret::new("a", "api.example.com", "Authorization", value).unwrap()
    }

    #[test]
    fn what_a_reply_echoes_is_hidden_in_whatever_form() {
        let hidden = |value: &str, text: &str| {
            String::from_utf8(secret(value).hide(text.as_bytes().to_vec())).unwrap()
        };
        assert_eq!(hidden("Bearer abcdefgh12", "got Bearer abcdefgh12!"), "got ***!");
        assert_eq!(hidden("Bearer abcdefgh12", "abcdefgh12abcdefgh12, abcdefgh"), "******, abcdefgh");
        assert_eq!(hidden("Bearer abcdefgh12", &STANDARD.encode("abcdefgh12")), "***");
        assert_eq!(hidden("key+with/chars=", "q=key%2Bwith%2Fchars%3D"), "q=***");
        assert_eq!(hidden("key\"quote\\d", r#"{"k":"key\"quote\\d"}"#), r#"{"k":"***"}"#);
        let basic = format!("Basic {}", STANDARD.encode("user:password1"));
        assert_eq!(hidden(&basic, "user:password1 password1 user"), "*** *** user");
        assert_eq!(hidden("Bearer abcdefgh12", "nothing"), "nothing");
    }

    #[test]
    fn a_secret_never_shows_itself() {
        assert_eq!(format!("{:?}", secret("hunter22x")), "Secret { a, api.example.com, authorization: *** }");
        for value in ["hunter2", "hunter\u{e9}22", "hunter22\r\nx: y", ""] {
            let error = Secret::new("a", "api.example.com", "X-Key", value).unwrap_err().to_string();
            assert!(!error.contains("hunter") && error.contains("printable"), "{error}");
        }
    }

    #[test]
    fn a_secret_goes_to_one_host_safely() {
        for bad in ["*", "*.example.com", "http://api.example.com", "http://10.0.0.1", "a/b", ""] {
            assert!(Secret::new("a", bad, "X-Key", "12345678").is_err(), "{bad}");
        }
        for good in
            ["https://api.example.com:8443", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"]
        {
            assert!(Secret::new("a", good, "X-Key", "12345678\n").is_ok(), "{good}");
        }
        for header in ["Host", "content-length", "a b", "", "Proxy-Authorization"] {
            assert!(Secret::new("a", "api.example.com", header, "12345678").is_err(), "{header}");
        }
        let sent = |url: &str| secret("12345678").for_url(&Url::parse(url).unwrap()).is_some();
        assert!(sent("https://api.example.com/x"));
        for other in ["http://api.example.com/", "https://api.example.com:444/", "https://x.api.example.com/"]
        {
            assert!(!sent(other), "{other}");
        }
    }
}
