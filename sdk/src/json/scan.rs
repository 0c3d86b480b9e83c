//! Reads JSON piece by piece. Nothing here depends on the type that is read, so that a guest has it once.

use alloc::borrow::Cow;

use super::error::{Error, Result};
use super::text;

/// How deeply arrays and objects may be nested: as in serde_json.
const DEPTH: u8 = 127;

/// JSON, and how much of it was read.
pub(crate) struct Scanner<'de> {
    json: &'de [u8],
    at: usize,
    /// How many more arrays and objects may be open.
    depth: u8,
}

/// A number as it stands there.
pub(crate) struct Number<'de> {
    pub(crate) text: &'de str,
    /// Neither a fraction nor an exponent.
    pub(crate) is_whole: bool,
}

impl<'de> Scanner<'de> {
    /// Reads the value that `json` holds, by `read`, and that nothing follows it. Errors get their place.
    pub(crate) fn whole<T>(json: &'de [u8], read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut scanner = Self { json, at: 0, depth: DEPTH };
        let value = read(&mut scanner).and_then(|value| scanner.end().map(|()| value));
        value.map_err(|error| error.at(scanner.at))
    }

    /// The next byte that is not white space. The end of the JSON is a 0, which is nothing that JSON can have there.
    #[inline(never)]
    pub(crate) fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or(0)
    }

    pub(crate) fn is_next(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        if is_next {
            self.at += 1;
        }
        is_next
    }

    #[inline(never)]
    pub(crate) fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        if self.is_next(byte) { Ok(()) } else { Err(Error::new(reason)) }
    }

    fn end(&mut self) -> Result<()> {
        self.peek();
        if self.at < self.json.len() { Err(Error::new("more follows")) } else { Ok(()) }
    }

    /// Opens an array or object.
    #[inline(never)]
    pub(crate) fn open(&mut self, bracket: u8, reason: &'static str) -> Result<()> {
        self.expect(bracket, reason)?;
        self.depth = self.depth.checked_sub(1).ok_or_else(|| Error::new("nested too deeply"))?;
        Ok(())
    }

    /// Whether another element or entry follows; reads the comma before it.
    #[inline(never)]
    pub(crate) fn more(&mut self, is_first: &mut bool, bracket: u8) -> Result<bool> {
        if self.peek() == bracket {
            return Ok(false);
        }
        if !core::mem::take(is_first) {
            self.expect(b',', "expected a comma or the end of the list")?;
        }
        Ok(true)
    }

    #[inline(never)]
    pub(crate) fn close(&mut self, bracket: u8) -> Result<()> {
        self.depth += 1;
        self.expect(bracket, "more elements than expected")
    }

    #[inline(never)]
    pub(crate) fn string(&mut self) -> Result<Cow<'de, str>> {
        self.expect(b'"', "expected text")?;
        let (text, length) = text::read(self.json.get(self.at..).unwrap_or_default())?;
        self.at += length;
        Ok(text)
    }

    #[inline(never)]
    pub(crate) fn word(&mut self, word: &'static str) -> Result<()> {
        self.peek();
        let rest = self.json.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Error::new("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    pub(crate) fn boolean(&mut self) -> Result<bool> {
        let is_true = self.peek() == b't';
        self.word(if is_true { "true" } else { "false" })?;
        Ok(is_true)
    }

    /// A number as JSON spells it: no plus, no zero in front, digits around the point.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> Result<Number<'de>> {
        self.peek();
        let start = self.at;
        if self.byte() == b'-' {
            self.at += 1;
        }
        let has_zero = self.byte() == b'0';
        let whole = self.digits();
        let mut is_sound = whole == 1 || whole > 1 && !has_zero;
        let mut is_whole = true;
        if self.byte() == b'.' {
            self.at += 1;
            is_whole = false;
            is_sound &= self.digits() > 0;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            is_whole = false;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            is_sound &= self.digits() > 0;
        }
        let text = self.json.get(start..self.at).and_then(|text| str::from_utf8(text).ok());
        match text {
            Some(text) if is_sound => Ok(Number { text, is_whole }),
            _ => Err(Error::new("expected a number")),
        }
    }

    /// Reads digits, and says how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        self.at - start
    }

    #[inline(never)]
    pub(crate) fn whole_number(&mut self) -> Result<&'de str> {
        match self.number()? {
            Number { text, is_whole: true } => Ok(text),
            _ => Err(Error::new("expected a whole number")),
        }
    }

    #[inline(never)]
    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        text::unsigned(self.whole_number()?).ok_or_else(out_of_range)
    }

    #[inline(never)]
    pub(crate) fn signed(&mut self) -> Result<i64> {
        text::signed(self.whole_number()?).ok_or_else(out_of_range)
    }

    /// Reads a value of any type for nobody. Without recursion, since a guest's stack may be small.
    #[inline(never)]
    pub(crate) fn skip(&mut self) -> Result<()> {
        // Which of the arrays and objects that are open are objects: the innermost in the lowest bit.
        let mut objects = 0_u128;
        let outside = self.depth;
        loop {
            let start = self.peek();
            let mut is_first = matches!(start, b'{' | b'[');
            match start {
                b'{' | b'[' => {
                    self.open(start, "")?;
                    objects = objects << 1 | u128::from(start == b'{');
                }
                b'"' => drop(self.string()?),
                b't' | b'f' => drop(self.boolean()?),
                b'n' => self.word("null")?,
                _ => {
                    self.number()?;
                }
            }
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                let bracket = if is_object { b'}' } else { b']' };
                if self.more(&mut is_first, bracket)? {
                    if is_object {
                        self.string()?;
                        self.colon()?;
                    }
                    break;
                }
                self.close(bracket)?;
                objects >>= 1;
                is_first = false;
            }
        }
    }

    pub(crate) fn colon(&mut self) -> Result<()> {
        self.expect(b':', "expected a colon")
    }
}

#[cold]
#[inline(never)]
pub(crate) fn out_of_range() -> Error {
    Error::new("the number is out of range")
}
