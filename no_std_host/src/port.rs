use alloc::{string::String, vec::Vec};

use embedded_io::{Read, ReadReady, Write};
use toehold::console::{CommandError, LINE_BYTES};

/// The console, line by line.
pub(crate) struct Port<I> {
    io: I,
    line: Vec<u8>,
    /// The line is too long: the rest of it is left out.
    overflowed: bool,
}

/// Bytes that are looked at between two slices.
const BYTES_AT_ONCE: usize = 2 * LINE_BYTES;

/// A line that came in.
pub(crate) type Received = Result<String, CommandError<'static>>;

impl<I: Read + ReadReady + Write> Port<I> {
    pub(crate) fn new(io: I) -> Self {
        Self { io, line: Vec::new(), overflowed: false }
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Whether bytes have come in that were not read yet.
    pub(crate) fn is_ready(&mut self) -> bool {
        // Where the port can't tell, reading could wait for ever.
        self.io.read_ready().unwrap_or(false)
    }

    /// The next line, if all of it has come in. Looks at so many bytes at most that jobs have their turns, whatever comes in.
    pub(crate) fn read_line(&mut self) -> Option<Received> {
        for _ in 0..BYTES_AT_ONCE {
            if !self.is_ready() {
                return None;
            }
            let mut byte = [0];
            match self.io.read(&mut byte) {
                Ok(1..) => {}
                Ok(_) | Err(_) => return None,
            }
            match byte {
                [b'\n'] => return Some(self.take_line()),
                // A terminal sends CR, a script CR LF or LF; a line without content is no command.
                [b'\r'] if !self.line.is_empty() || self.overflowed => return Some(self.take_line()),
                [b'\r'] => {}
                // Backspace, for people at a terminal: takes back a character.
                [0x08 | 0x7f] => while self.line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
                [byte] if self.line.len() < LINE_BYTES => self.line.push(byte),
                [_] => self.overflowed = true,
            }
        }
        None
    }

    fn take_line(&mut self) -> Received {
        let line = core::mem::take(&mut self.line);
        if core::mem::take(&mut self.overflowed) {
            return Err(CommandError::TooLong);
        }
        String::from_utf8(line).map_err(|_| CommandError::NotText)
    }

    /// Writes a line. Nobody may be listening, so an error is nobody's.
    pub(crate) fn write_line(&mut self, line: &str) {
        let _ = self.io.write_all(line.as_bytes());
        let _ = self.io.write_all(b"\r\n");
        let _ = self.io.flush();
    }
}
