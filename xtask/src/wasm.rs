//! Reads and writes the sections of a WebAssembly module. Knows nothing of what is inside of them.

use anyhow::{Context, Result, bail, ensure};

/// Magic number and version 1 of the binary format.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;

/// What a custom section of that name holds. The first one counts.
pub(crate) fn custom_section<'m>(module: &'m [u8], name: &str) -> Result<Option<&'m [u8]>> {
    for section in sections(module)? {
        if section.custom_name == Some(name.as_bytes()) {
            return Ok(Some(section.content));
        }
    }
    Ok(None)
}

/// The module with a custom section at its end, in place of any that had the same name.
pub(crate) fn with_custom_section(module: &[u8], name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut with = without_custom_sections(module, |other| other == name.as_bytes())?;
    let mut body = leb128(name.len())?;
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    with.push(CUSTOM);
    with.extend(leb128(body.len())?);
    with.extend(body);
    Ok(with)
}

/// The module without the custom sections that `unwanted` picks by name.
pub(crate) fn without_custom_sections(module: &[u8], unwanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let mut kept = HEADER.to_vec();
    for section in sections(module)? {
        if !section.custom_name.is_some_and(&unwanted) {
            kept.extend_from_slice(section.whole);
        }
    }
    Ok(kept)
}

/// The module with another content of its section `identifier`, which is there and no custom section.
pub(crate) fn with_section(module: &[u8], identifier: u8, content: &[u8]) -> Result<Vec<u8>> {
    let mut with = HEADER.to_vec();
    for section in sections(module)? {
        if section.whole.first() == Some(&identifier) {
            with.push(identifier);
            with.extend(leb128(content.len())?);
            with.extend_from_slice(content);
        } else {
            with.extend_from_slice(section.whole);
        }
    }
    Ok(with)
}

struct Section<'m> {
    /// Identifier, size and body.
    whole: &'m [u8],
    /// Only custom sections have one.
    custom_name: Option<&'m [u8]>,
    /// The body, without the name.
    content: &'m [u8],
}

fn sections(module: &[u8]) -> Result<Vec<Section<'_>>> {
    let mut rest = module.strip_prefix(HEADER).context("not a WebAssembly module of version 1")?;
    let mut sections = Vec::new();
    while let Some((&identifier, after)) = rest.split_first() {
        let place = module.len() - rest.len();
        let (body, after) =
            sized(after).with_context(|| format!("the WebAssembly section at byte {place} is damaged"))?;
        let whole = &rest[..rest.len() - after.len()];
        let (custom_name, content) = if identifier == CUSTOM {
            let (name, content) = sized(body)
                .with_context(|| format!("the custom section at byte {place} has no readable name"))?;
            (Some(name), content)
        } else {
            (None, body)
        };
        sections.push(Section { whole, custom_name, content });
        rest = after;
    }
    Ok(sections)
}

/// A length and that many bytes, and what follows them.
fn sized(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut length: u64 = 0;
    // A u32 takes five bytes at most.
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let after = &bytes[index + 1..];
            let length = usize::try_from(length)?;
            return after
                .split_at_checked(length)
                .with_context(|| format!("it should have {length} bytes, only {} are there", after.len()));
        }
    }
    bail!("its length is cut off or longer than five bytes")
}

pub(crate) fn leb128(length: usize) -> Result<Vec<u8>> {
    ensure!(u32::try_from(length).is_ok(), "a section of {length} bytes is too long for WebAssembly");
    let mut rest = length;
    let mut bytes = Vec::new();
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        bytes.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one empty type section.
    fn module() -> Vec<u8> {
        [HEADER, &[1, 1, 0]].concat()
    }

    #[test]
    fn a_section_that_was_added_is_found_again() {
        for length in [0, 1, 127, 128, 20_000] {
            let content = vec![7; length];
            let with = with_custom_section(&module(), "toehold:sources", &content).unwrap();
            assert_eq!(custom_section(&with, "toehold:sources").unwrap(), Some(&content[..]));
            assert_eq!(custom_section(&with, "toehold").unwrap(), None);
        }
    }

    #[test]
    fn a_second_section_of_the_same_name_replaces_the_first() {
        let once = with_custom_section(&module(), "a", b"old").unwrap();
        let other = with_custom_section(&once, "b", b"stays").unwrap();
        let twice = with_custom_section(&other, "a", b"new").unwrap();
        assert_eq!(custom_section(&twice, "a").unwrap(), Some(&b"new"[..]));
        assert_eq!(custom_section(&twice, "b").unwrap(), Some(&b"stays"[..]));
        assert_eq!(sections(&twice).unwrap().len(), 3);
    }

    /// Linkers write lengths in five bytes, whatever they are, so that they can fill them in later.
    #[test]
    fn a_padded_length_is_read() {
        let module = [HEADER, &[0, 0x83, 0x80, 0x80, 0x80, 0x00, 1, b'a', b'b']].concat();
        assert_eq!(custom_section(&module, "a").unwrap(), Some(&b"b"[..]));
    }

    #[test]
    fn only_unwanted_custom_sections_go() {
        let with = with_custom_section(&module(), "name", b"x").unwrap();
        assert_eq!(without_custom_sections(&with, |name| name == b"name").unwrap(), module());
        assert_eq!(without_custom_sections(&with, |_| false).unwrap(), with);
    }

    #[test]
    fn damage_is_an_error_wherever_the_module_is_cut() {
        let whole = with_custom_section(&module(), "toehold:sources", b"0123456789").unwrap();
        for length in 0..whole.len() {
            // Where one section ends and the next begins, nothing is missing.
            let is_whole = length == HEADER.len() || length == module().len();
            assert_eq!(sections(&whole[..length]).is_ok(), is_whole, "cut at byte {length}");
        }
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        let damaged: [&[u8]; 6] = [
            b"",
            b"\0asm\x02\0\0\0",
            b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f",
            b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff",
            b"\0asm\x01\0\0\0\0\x00",
            b"\0asm\x01\0\0\0\0\x02\x05a",
        ];
        for module in damaged {
            assert!(sections(module).is_err(), "{module:?}");
        }
    }
}
