//! Lists that are read from bytes of anywhere: each element takes many times its encoded bytes, so a small file could name more
//! than a board has memory for.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Reads a list of at most `N`, for `#[serde(deserialize_with)]`.
pub(crate) fn at_most<'de, const N: usize, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    from.deserialize_seq(AtMost::<T, N>(PhantomData))
}

struct AtMost<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for AtMost<T, N> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
        // It grows with what is there, whatever the list says of its length.
        let mut list = Vec::new();
        while let Some(element) = from.next_element()? {
            if list.len() == N {
                return Err(A::Error::invalid_length(N.saturating_add(1), &self));
            }
            list.push(element);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        string::{String, ToString},
        vec,
    };

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Texts(#[serde(deserialize_with = "at_most::<3, _, _>")] Vec<String>);

    #[test]
    fn a_list_is_as_long_as_it_may_be_or_refused() {
        for count in 0..6 {
            let texts = Texts(vec![String::new(); count]);
            let bytes = postcard::to_allocvec(&texts).unwrap();
            let read = postcard::from_bytes::<Texts>(&bytes);
            assert_eq!(read.ok(), (count <= 3).then_some(texts), "{count}");
        }
        let error = serde_json::from_str::<Texts>(r#"["", "", "", ""]"#).unwrap_err().to_string();
        assert!(error.contains("at most 3"), "{error}");
    }
}
