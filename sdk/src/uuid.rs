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
/// Before which bytes a hyphen stands.
const HYPHENS: [usize; 4] = [4, 6, 8, 10];

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
        let mut free = text.iter_mut();
        for (index, byte) in self.0.iter().enumerate() {
            if HYPHENS.contains(&index) {
                free.next();
            }
            for nibble in [byte >> 4, byte & 15] {
                if let Some(place) = free.next() {
                    *place = match nibble {
                        0..=9 => b'0' + nibble,
                        _ => b'a' + nibble - 10,
                    };
                }
            }
        }
        text
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        fn nibble(character: Option<u8>) -> Result<u8, ParseUuidError> {
            match character {
                Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
                Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
                Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
                _ => Err(ParseUuidError),
            }
        }
        let mut characters = text.bytes();
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            if HYPHENS.contains(&index) && characters.next() != Some(b'-') {
                return Err(ParseUuidError);
            }
            *byte = nibble(characters.next())? << 4 | nibble(characters.next())?;
        }
        match characters.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(ParseUuidError),
        }
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
