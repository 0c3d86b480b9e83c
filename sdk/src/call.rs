use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::any;
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::border::{self, Block};
use crate::{Uuid, checkpoint, json};

/// Why a call of the host's operation gave no result.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The operation failed, or the host refused it.
    Failed {
        /// The method that was called.
        method: String,
        /// What the host says.
        message: String,
    },
    /// The host could not write a reply: the guest's memory is full.
    NoReply {
        /// The method that was called.
        method: String,
    },
    /// The input can't be written as JSON, so the operation was not called.
    Input {
        /// The method that was to be called.
        method: String,
        /// What serde says.
        reason: String,
    },
    /// The operation was carried out, but its reply is not what the job expects.
    Reply {
        /// The method that was called.
        method: String,
        /// What was expected, and what was found.
        reason: String,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, reason) = match self {
            // Most hosts name the method themselves.
            Self::Failed { method, message } if names(message, method) => return f.write_str(message),
            Self::Failed { method, message } => (method, message.as_str()),
            Self::NoReply { method } => (method, "no room for a reply in the extension's memory"),
            Self::Input { method, reason } | Self::Reply { method, reason } => (method, reason.as_str()),
        };
        f.write_str(method)?;
        f.write_str(": ")?;
        f.write_str(reason)
    }
}

/// Whether a message begins with the method and a colon.
fn names(message: &str, method: &str) -> bool {
    message.strip_prefix(method).is_some_and(|rest| rest.starts_with(": "))
}

/// As for people: what quotes text takes tables of Unicode along, into each guest.
impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for CallError {}

pub(crate) fn call<In, Out>(method: &str, library_id: Option<&Uuid>, input: &In) -> Result<Out, CallError>
where
    In: Serialize + ?Sized,
    Out: DeserializeOwned,
{
    let reply = call_json(method, library_id, json::to_vec(input).map_err(|error| error.to_string()))?;
    json::from_slice(&reply).map_err(|error| unexpected(method, any::type_name::<Out>(), &reply, &error))
}

fn call_json(
    method: &str,
    library_id: Option<&Uuid>,
    payload: Result<Vec<u8>, String>,
) -> Result<Block, CallError> {
    let payload = payload.map_err(|error| CallError::Input {
        method: method.into(),
        reason: format!("the input can't be written as JSON: {error}"),
    })?;
    let Some(reply) = border::call(method, library_id, &payload) else {
        return Err(CallError::NoReply { method: method.into() });
    };
    match refusal(&reply) {
        Some(message) => Err(CallError::Failed { method: method.into(), message }),
        None => Ok(reply),
    }
}

/// The message of a reply that is `{"error": "message"}`.
fn refusal(reply: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Refusal {
        error: String,
    }
    // Most replies are none, some are long, and a job pays for each byte that it parses: look before parsing.
    let object = reply.trim_ascii_start().strip_prefix(b"{")?;
    if !object.trim_ascii_start().starts_with(b"\"error\"") {
        return None;
    }
    json::from_slice::<Refusal>(reply).ok().map(|refusal| refusal.error)
}

fn unexpected(method: &str, expected: &str, reply: &[u8], error: &dyn fmt::Display) -> CallError {
    CallError::Reply { method: method.into(), reason: checkpoint::describe("reply", expected, reply, error) }
}

#[cfg(test)]
mod tests {
    use super::{CallError, refusal};

    #[test]
    fn a_method_is_named_once() {
        use alloc::string::ToString;

        let error = |message: &str| {
            CallError::Failed { method: "query:a".into(), message: message.into() }.to_string()
        };
        assert_eq!(error("no room"), "query:a: no room");
        assert_eq!(error("query:a: no room"), "query:a: no room");
        assert_eq!(error("query:ab: no room"), "query:a: query:ab: no room");
    }

    #[test]
    fn only_an_error_alone_is_a_refusal() {
        assert_eq!(refusal(br#"{"error":"no"}"#).as_deref(), Some("no"));
        assert_eq!(refusal(b" {\n \"error\" : \"no\" } ").as_deref(), Some("no"));
        for data in [
            r#"{"error":"none so far","next":3}"#,
            r#"{"error":7}"#,
            r#"{"errors":[]}"#,
            r#"["error"]"#,
            "",
            "null",
        ] {
            assert_eq!(refusal(data.as_bytes()), None, "{data}");
        }
    }
}
