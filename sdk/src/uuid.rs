use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of a job or a library: 16 bytes in RFC 4122 order.
///
/// It is text with hyphens wherever people or JSON see it. The SDK makes no ids, it only carries those of the host.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// The text is not a UUID of 36 characters, such as `67e55044-10b1-426f-9247-bb680e5fe0c8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

/// Length of the text, hyphens included.
const TEXT_LENGTH: usize = 36;
/// Where hyphens stand in it.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// The id that these bytes are, in RFC 4122 order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, in RFC 4122 order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn text(&self) -> [u8; TEXT_LENGTH] {
        let mut text = [b'-'; TEXT_LENGTH];
        let mut digits = 0;
        for (place, character) in text.iter_mut().enumerate() {
            if HYPHENS.contains(&place) {
                continue;
            }
            let byte = self.0.get(digits / 2).copied().unwrap_or(0);
            let digit = if digits % 2 == 0 { byte >> 4 } else { byte & 15 };
            *character = digit + if digit < 10 { b'0' } else { b'a' - 10 };
            digits += 1;
        }
        text
    }
}

/// What a hexadecimal digit stands for.
pub(crate) fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        // In ASCII a small letter is the large one with another bit.
        _ => match digit | 0x20 {
            letter @ b'a'..=b'f' => Some(letter - b'a' + 10),
            _ => None,
        },
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let mut id = Self::default();
        if text.len() != TEXT_LENGTH {
            return Err(ParseUuidError);
        }
        let mut digits = 0;
        for (place, character) in text.bytes().enumerate() {
            if HYPHENS.contains(&place) {
                if character != b'-' {
                    return Err(ParseUuidError);
                }
                continue;
            }
            let digit = hexadecimal(character).ok_or(ParseUuidError)?;
            let byte = id.0.get_mut(digits / 2).ok_or(ParseUuidError)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        Ok(id)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Uuid;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hyphenated UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8")
    }
}

impl core::error::Error for ParseUuidError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_the_same_id() {
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let id: Uuid = text.parse().unwrap();
        assert_eq!(id.as_bytes()[..5], [0x67, 0xe5, 0x50, 0x44, 0x10]);
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Uuid>(&format!("\"{text}\"")).unwrap(), id);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "67e55044-10b1-426f-9247-bb680e5fe0c",
            "67e55044-10b1-426f-9247-bb680e5fe0c80",
            "67e5504410b1426f9247bb680e5fe0c8",
            "67e55044-10b1-426f-9247-bb680e5fe0cg",
            "67e550441-0b1-426f-9247-bb680e5fe0c8",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError), "{text}");
        }
        let error = serde_json::from_str::<Uuid>("\"job 7\"").unwrap_err();
        assert!(error.to_string().contains("expected a hyphenated UUID"));
    }
}
