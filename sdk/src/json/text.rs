//! Texts and whole numbers between JSON and Rust.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::{Error, Result};
use crate::uuid::hexadecimal;

/// The text that `json` begins with, after its opening quote; and how many bytes it takes with the closing one.
#[inline(never)]
pub(super) fn read(json: &[u8]) -> Result<(Cow<'_, str>, usize)> {
    let mut owned: Option<String> = None;
    // Where what was not yet taken begins.
    let mut start = 0;
    let mut at = 0;
    loop {
        match json.get(at) {
            Some(b'"') => {
                let part = part(json, start, at)?;
                let text = match owned {
                    None => Cow::Borrowed(part),
                    Some(mut text) => {
                        text.push_str(part);
                        Cow::Owned(text)
                    }
                };
                return Ok((text, at + 1));
            }
            Some(b'\\') => {
                let text = owned.get_or_insert_default();
                text.push_str(part(json, start, at)?);
                let (character, length) = escape(json.get(at + 1..).unwrap_or_default())?;
                text.push(character);
                at += 1 + length;
                start = at;
            }
            Some(0x20..) => at += 1,
            _ => return Err(Error::new("the text does not end, or has a control character")),
        }
    }
}

fn part(json: &[u8], start: usize, end: usize) -> Result<&str> {
    let part = json.get(start..end).unwrap_or_default();
    str::from_utf8(part).map_err(|_| Error::new("the text is not UTF-8"))
}

/// The character that an escape means, and how many bytes it takes after its backslash.
fn escape(json: &[u8]) -> Result<(char, usize)> {
    let character = match json.first() {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'u') => return unicode(json),
        _ => return Err(wrong_escape()),
    };
    Ok((character, 1))
}

/// `uXXXX`, or two of them where the character needs it.
fn unicode(json: &[u8]) -> Result<(char, usize)> {
    let first = code_unit(json)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 5)).ok_or_else(wrong_escape);
    }
    let second = match json.get(5) {
        Some(b'\\') if json.get(6) == Some(&b'u') => code_unit(json.get(6..).unwrap_or_default())?,
        _ => 0,
    };
    if !(0xdc00..0xe000).contains(&second) {
        return Err(wrong_escape());
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10 | (second - 0xdc00));
    char::from_u32(code).map(|character| (character, 11)).ok_or_else(wrong_escape)
}

/// The number that the four digits after `u` are.
fn code_unit(json: &[u8]) -> Result<u32> {
    let mut code = 0;
    for &digit in json.get(1..5).ok_or_else(wrong_escape)? {
        code = code << 4 | u32::from(hexadecimal(digit).ok_or_else(wrong_escape)?);
    }
    Ok(code)
}

#[cold]
#[inline(never)]
fn wrong_escape() -> Error {
    Error::new("the text has a wrong escape")
}

/// A whole number that is not negative; `None` for another text and for one that is too large.
#[inline(never)]
pub(super) fn unsigned(text: &str) -> Option<u64> {
    let mut number = 0_u64;
    for digit in text.bytes() {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // `checked_mul` would bring a multiplication of 128 bits along.
        if number > (u64::MAX - u64::from(digit)) / 10 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    // Zeros in front are no number for JSON.
    (!text.is_empty() && (text.len() == 1 || !text.starts_with('0'))).then_some(number)
}

/// A whole number; `None` for another text, for one that is too large or too small, and for -0, which is no integer.
#[inline(never)]
pub(super) fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        None => unsigned(text)?.try_into().ok(),
        Some("0") => None,
        Some(digits) => 0_i64.checked_sub_unsigned(unsigned(digits)?),
    }
}

/// Adds a whole number.
#[inline(never)]
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Adds a text in quotes.
#[inline(never)]
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x8 => b'b',
            0xc => b'f',
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.push(digit + if digit < 10 { b'0' } else { b'a' - 10 });
                }
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}
