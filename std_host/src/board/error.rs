use std::{io, time::Duration};

use toehold::console::LINE_BYTES;

/// Why a board did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// It said no, and why. Nothing has changed.
    #[error("the board refused it: {message}")]
    Refused {
        /// A word for programs.
        code: String,
        /// For people.
        message: String,
        /// It was asked more than once, since an answer got lost: it may have done it the first time.
        again: bool,
    },
    /// Nothing that makes sense came in time.
    #[error("{port}: no answer within {}; {hint}", humantime::format_duration(*within))]
    NoAnswer {
        /// The port.
        port: String,
        /// How long it was waited for.
        within: Duration,
        /// What to look at.
        hint: &'static str,
    },
    /// It was reset while it answered, again and again.
    #[error(
        "{port}: the board was reset before it answered, and again when it was asked again; see what it says of itself with `toehold board follow`"
    )]
    Reset {
        /// The port.
        port: String,
    },
    /// The other end is gone.
    #[error("{port}: the link was closed by the other end; is the board still there?")]
    Closed {
        /// The port.
        port: String,
    },
    /// The link failed.
    #[error("{port}: {source}")]
    Link {
        /// The port.
        port: String,
        /// Why.
        source: io::Error,
    },
    /// Data arrived damaged, again and again.
    #[error("{port}: the data arrived damaged {tries} times; is the baud rate too high for the wire?")]
    Damaged {
        /// The port.
        port: String,
        /// How often it was asked for.
        tries: u32,
    },
    /// The command does not fit into a line.
    #[error(
        "the command has {bytes} bytes, and a board's console takes lines of {LINE_BYTES}; give less state"
    )]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// More bytes than the protocol can count.
    #[error("{bytes} bytes are more than a board's console can take")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
}

impl BoardError {
    /// Whether the board said this.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == word)
    }

    /// Whether the board said this when it was asked again: it may have done it the first time.
    #[must_use]
    pub fn is_again(&self, word: &str) -> bool {
        matches!(self, Self::Refused { code, again: true, .. } if code == word)
    }

    /// Whether it is known that nothing was done: the board said so. After any other error it may have been.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLong { .. } | Self::TooLarge { .. })
    }
}
