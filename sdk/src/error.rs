use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use toehold_abi::Interrupt;

use crate::Interrupted;

/// What a job returns. The error of a single operation can stand in place of [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a job ends early.
///
/// `?` makes it from any error and from text:
///
/// ```
/// use toehold_sdk::{Error, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     let port = text.trim().parse()?;
///     if port < 1024 {
///         Err("ports below 1024 are taken")?;
///     }
///     Ok(port)
/// }
///
/// assert_eq!(port("seven").unwrap_err().to_string(), "invalid digit found in string");
/// assert_eq!(port("7").unwrap_err().to_string(), "ports below 1024 are taken");
/// assert_eq!(Error::failed("no such port").to_string(), "no such port");
/// ```
///
/// For that it can't be a [`core::error::Error`] itself, as with anyhow: Rust has no way to tell the two conversions
/// apart. The errors of single operations are. [`Interrupted`] becomes [`Error::Interrupted`], never a failure.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The job was asked to stop. The SDK checkpoints its state, and the run ends as interrupted.
    Interrupted(Interrupt),
    /// The job can't go on. The SDK logs why, and the run ends as failed.
    Failed(Box<dyn core::error::Error>),
}

/// A failure that is only text. Rust's own would bring along what quotes it, with tables of Unicode.
struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Text {}

impl Error {
    /// A failure with this text.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(Box::new(Text(text.into())))
    }

    /// Whether the job was asked to stop, rather than failed.
    #[must_use]
    pub const fn is_interrupt(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }
}

impl<E: Into<Box<dyn core::error::Error>>> From<E> for Error {
    fn from(error: E) -> Self {
        from_box(error.into())
    }
}

fn from_box(error: Box<dyn core::error::Error>) -> Error {
    match error.downcast::<Interrupted>() {
        Ok(interrupted) => Error::Interrupted(interrupted.0),
        Err(error) => Error::Failed(error),
    }
}

impl fmt::Display for Error {
    /// The error and what caused it, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Interrupted(interrupt) => return fmt::Display::fmt(&Interrupted(*interrupt), f),
            Self::Failed(error) => error,
        };
        fmt::Display::fmt(error, f)?;
        let mut source = error.source();
        while let Some(error) = source {
            f.write_str(": ")?;
            fmt::Display::fmt(error, f)?;
            source = error.source();
        }
        Ok(())
    }
}
