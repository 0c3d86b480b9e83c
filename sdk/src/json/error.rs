use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

use serde::{de, ser};

/// What is wrong with JSON, and where. On the heap, so that all that can fail returns no more than a pointer.
pub(crate) struct Error(Box<Inner>);

struct Inner {
    reason: Cow<'static, str>,
    /// Bytes before the mistake, where a place is known.
    at: Option<usize>,
}

pub(crate) type Result<T> = core::result::Result<T, Error>;

impl Error {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(reason: &'static str) -> Self {
        Self(Box::new(Inner { reason: Cow::Borrowed(reason), at: None }))
    }

    #[cold]
    #[inline(never)]
    fn named(what: &'static str, name: &str) -> Self {
        let mut reason = String::from(what);
        reason.push_str(" `");
        reason.push_str(name);
        reason.push('`');
        Self(Box::new(Inner { reason: Cow::Owned(reason), at: None }))
    }

    /// With this place, unless it has one.
    #[cold]
    #[inline(never)]
    pub(crate) fn at(mut self, place: usize) -> Self {
        self.0.at.get_or_insert(place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)?;
        match self.0.at {
            // The code to write a `u64` is there, as what counts items; that for a `usize` would be more of it.
            Some(at) => write!(f, " at byte {}", at as u64),
            None => Ok(()),
        }
    }
}

/// As for people: what quotes text takes tables of Unicode along.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Inner { reason: Cow::Owned(message.to_string()), at: None }))
    }
}

/// What a value is, `de::Unexpected`, is not told: to write it takes the code for floating-point numbers along.
impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ser::Error::custom(message)
    }

    fn invalid_type(_found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        wanted(expected)
    }

    fn invalid_value(_found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        wanted(expected)
    }

    fn invalid_length(_found: usize, expected: &dyn de::Expected) -> Self {
        wanted(expected)
    }

    fn unknown_variant(variant: &str, _expected: &'static [&'static str]) -> Self {
        Self::named("unknown variant", variant)
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self::named("unknown field", field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::named("missing field", field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::named("duplicate field", field)
    }
}

#[cold]
#[inline(never)]
fn wanted(expected: &dyn de::Expected) -> Error {
    ser::Error::custom(format_args!("expected {expected}"))
}
