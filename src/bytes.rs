//! Bytes of a field, for serde in one go: `#[serde(with = "crate::bytes")]`.
//!
//! serde takes a `Vec<u8>` for a list and hands it over one by one, which costs a checkpoint of 64 KiB more time than its
//! checksum does. In postcard both ways give the same bytes.

use alloc::vec::Vec;
use core::fmt;

use serde::{
    Deserializer, Serializer,
    de::{SeqAccess, Visitor},
};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    from.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    /// Formats for people have no bytes, only lists.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One(#[serde(with = "crate::bytes")] Vec<u8>);

    #[test]
    fn bytes_are_written_as_a_list_is_and_read_from_either() {
        for length in [0, 1, 127, 128, 70_000] {
            let list: Vec<u8> = (0..length).map(|number: u32| number as u8).collect();
            let written = postcard::to_allocvec(&list).unwrap();
            assert_eq!(postcard::to_allocvec(&One(list.clone())).unwrap(), written);
            assert_eq!(postcard::from_bytes::<One>(&written).unwrap(), One(list));
            if length > 0 {
                postcard::from_bytes::<One>(&written[..written.len() - 1]).unwrap_err();
            }
        }
        // A length that nothing follows takes no memory.
        postcard::from_bytes::<One>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap_err();
        let json = serde_json::to_string(&One(vec![1, 255])).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), ("[1,255]", One(vec![1, 255])));
    }
}
