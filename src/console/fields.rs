use alloc::{
    borrow::Cow,
    string::{String, ToString},
};
use core::fmt::{self, Display, Write};

use super::LINE_BYTES;

/// Writes one line, `WORD KEY=VALUE KEY="VALUE WITH SPACES"`, of at most [`LINE_BYTES`]: a field that does not fit as a
/// whole is cut, and those after it are left out.
#[derive(Debug)]
pub struct LineWriter {
    text: String,
    full: bool,
}

impl LineWriter {
    /// A line that starts with these words.
    #[must_use]
    pub fn new(words: &str) -> Self {
        Self { text: words.to_string(), full: false }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, key: &str, value: impl Display) -> Self {
        let mut text = String::new();
        // A `String` takes whatever comes.
        let _ = write!(text, "{value}");
        self.push(key, &text);
        self
    }

    /// Adds a field, if there is something in it.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// The line, without its end.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn push(&mut self, key: &str, value: &str) {
        let room = LINE_BYTES.saturating_sub(self.text.len() + key.len() + 2);
        if self.full || room < 3 {
            self.full = true;
            return;
        }
        self.text.push(' ');
        self.text.push_str(key);
        self.text.push('=');
        if is_plain(value) && value.len() <= room {
            self.text.push_str(value);
            return;
        }
        let before = self.text.len();
        self.text.push('"');
        for character in value.chars() {
            let mut escaped = [0; 10];
            let escaped = escape(character, &mut escaped);
            // The closing quote needs its place.
            if self.text.len() - before + escaped.len() + 1 > room {
                self.full = true;
                break;
            }
            self.text.push_str(escaped);
        }
        self.text.push('"');
    }
}

/// Whether a value needs no quotes.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='))
}

/// How a character stands within quotes. Control characters would end the line or steer the terminal that shows it.
fn escape(character: char, buffer: &mut [u8; 10]) -> &str {
    match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        control if control.is_control() => {
            // At most \u{9f}: no control character is longer.
            let code = u32::from(control);
            let digit = |nibble: u32| char::from_digit(nibble & 15, 16).unwrap_or('0') as u8;
            let [a, b, c, d, e, f, ..] = buffer;
            (*a, *b, *c, *d, *e, *f) = (b'\\', b'u', b'{', digit(code >> 4), digit(code), b'}');
            buffer.get(..6).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("?")
        }
        other => other.encode_utf8(buffer),
    }
}

/// The fields of a line, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// The value of the first field with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.clone().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// The same as a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Cow<'a, str>);

    /// Text that is no field ends them: nothing after it can be trusted.
    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.rest.trim_start_matches(' ').split_once('=')?;
        if key.is_empty() || key.contains(' ') {
            self.rest = "";
            return None;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, rest) = unquote(quoted)?;
            self.rest = rest;
            return Some((key, Cow::Owned(value)));
        }
        let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.rest = rest;
        Some((key, Cow::Borrowed(value)))
    }
}

/// The text up to the closing quote, and what comes after that.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                'u' => {
                    let (code, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    value.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                    rest = after.chars();
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

impl Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_reads_as_people_write() {
        let line = LineWriter::new("- job").field("id", 7).field("text", "a b\n\"c\"").maybe("x", None::<u8>);
        assert_eq!(line.finish(), r#"- job id=7 text="a b\n\"c\"""#);
    }

    #[test]
    fn what_is_no_field_ends_them() {
        let mut fields = Fields::new("a=1 b c=2");
        assert_eq!(fields.next(), Some(("a", Cow::Borrowed("1"))));
        assert_eq!(fields.next(), None);
        assert_eq!(Fields::new("a=\"never closed").next(), None);
    }

    proptest! {
        #[test]
        fn every_value_is_read_as_it_was_written(values in proptest::collection::vec(any::<String>(), 0..4)) {
            prop_assume!(values.iter().map(|value| value.len() * 6 + 6).sum::<usize>() < LINE_BYTES);
            let line = values.iter().fold(LineWriter::new("x"), |line, value| line.field("key", value)).finish();
            prop_assert!(!line.contains(|character: char| character.is_control()));
            let read: Vec<_> = Fields::new(&line[1..]).map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn no_line_is_too_long(values in proptest::collection::vec(".{0,400}", 0..6)) {
            let line = values.iter().fold(LineWriter::new("x"), |line, value| line.field("key", value)).finish();
            prop_assert!(line.len() <= LINE_BYTES, "{} bytes", line.len());
            // What is left out is at the end; what is there can be read.
            let whole = Fields::new(&line[1..]).take_while(|(key, _)| *key == "key").count();
            prop_assert!(whole <= values.len());
        }
    }
}
