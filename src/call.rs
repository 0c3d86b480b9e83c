use alloc::{string::String, vec::Vec};
use core::fmt;

use toehold_abi::QUERY_PREFIX;
use uuid::Uuid;

/// A guest's call of an operation, on its way to the shell. It went through permissions and limits already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Names this call among all others of all jobs. A run that starts from a checkpoint counts on from there, so what it
    /// calls again has the key that it had.
    pub key: CallKey,
    /// The extension whose job calls.
    pub extension: String,
    /// The operation's name, such as `query:ping`.
    pub method: String,
    /// The library that the call is about, if it names one.
    pub library: Option<Uuid>,
    /// The argument: JSON if the guest keeps to the ABI, which nobody has checked.
    pub payload: Vec<u8>,
}

/// An idempotency key: an operation that has seen it must not act a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// The job that calls.
    pub job: Uuid,
    /// The how many-th call of this job it is, from 1 up; calls that were refused count too.
    pub number: u64,
}

/// What an operation says: JSON, or why it failed, which the guest gets as `{"error": …}`.
pub type Reply = Result<Vec<u8>, String>;

/// What a job that waits gets from the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Step::Call`](crate::Step::Call).
    Reply {
        /// The number of the call's key.
        call: u64,
        /// What the operation says.
        reply: Reply,
    },
    /// To [`Step::Commit`](crate::Step::Commit).
    Committed {
        /// The commit's number.
        commit: u64,
        /// Whether the store has said that it is durable. If not, the guest hears so: a checkpoint is none, an effect is
        /// not carried out. To try again instead, give no answer yet.
        durable: bool,
    },
}

impl Call {
    /// Whether the call may change something outside of the job: any that is no `query:`.
    #[must_use]
    pub fn is_effect(&self) -> bool {
        !self.method.starts_with(QUERY_PREFIX)
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.number)
    }
}

/// `{"error": "…"}`, with the text escaped as JSON wants it.
pub(crate) fn error_json(text: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len() + 12);
    json.extend_from_slice(b"{\"error\":\"");
    for character in text.chars() {
        match character {
            '"' => json.extend_from_slice(b"\\\""),
            '\\' => json.extend_from_slice(b"\\\\"),
            '\n' => json.extend_from_slice(b"\\n"),
            control if control < ' ' => {
                let digit = |nibble: u32| char::from_digit(nibble, 16).unwrap_or('0') as u8;
                let code = control as u32;
                json.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code & 15)]);
            }
            other => json.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    json.extend_from_slice(b"\"}");
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_whatever_its_text() {
        assert_eq!(error_json("no"), b"{\"error\":\"no\"}");
        assert_eq!(error_json("a\"b\\c\n\u{1f}é"), "{\"error\":\"a\\\"b\\\\c\\n\\u001fé\"}".as_bytes());
    }
}
