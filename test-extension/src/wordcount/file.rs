use alloc::format;
use alloc::string::String;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toehold_sdk::{Error, JobContext, Result};

/// Bytes that one call asks for. A reply is a third longer, and stands in memory twice.
pub(super) const CHUNK: u64 = 32 * 1024;

/// What there is to know of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedFile {
    /// Its name in the folder.
    pub name: String,
    /// Its words: the longest runs of bytes that are not ASCII white space.
    pub words: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl fmt::Display for CountedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, words, bytes, sha256 } = self;
        write!(f, "{name}: {words} words, {bytes} bytes, sha256 {sha256}")
    }
}

/// Reads a file from its start to its end, as long as nobody interrupts the job.
pub(super) fn count(ctx: &JobContext, folder: &str, name: &str) -> Result<CountedFile> {
    #[derive(Serialize)]
    struct Input<'a> {
        path: &'a str,
        offset: u64,
        length: u64,
    }
    #[derive(Deserialize)]
    struct Reply {
        data: String,
        size: u64,
    }

    let path = format!("{folder}/{name}");
    let mut words = Words::default();
    let mut hash = Sha256::new();
    let mut offset = 0;
    loop {
        ctx.check_interrupt()?;
        let input = Input { path: &path, offset, length: CHUNK };
        let reply: Reply = ctx.call("query:fs.read", None, &input)?;
        let data = STANDARD
            .decode(reply.data)
            .map_err(|error| Error::failed(format!("the data is not base64: {error}")))?;
        words.add(&data);
        hash.update(&data);
        offset += data.len() as u64;
        // No data before the end: the file has become shorter while it was read.
        if data.is_empty() || offset >= reply.size {
            break;
        }
    }
    Ok(CountedFile {
        name: name.into(),
        words: words.count,
        bytes: offset,
        sha256: hexadecimal(&hash.finalize()),
    })
}

/// Counts words in a text that comes in pieces, cut anywhere.
#[derive(Default)]
struct Words {
    count: u64,
    inside: bool,
}

impl Words {
    fn add(&mut self, piece: &[u8]) {
        for byte in piece {
            let inside = !byte.is_ascii_whitespace();
            if inside && !self.inside {
                self.count += 1;
            }
            self.inside = inside;
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_however_the_text_is_cut() {
        let text = " one two\tthree\n\nvi\u{fc}r  f\u{1f980}nf ".as_bytes();
        for cut in 0..=text.len() {
            for next in cut..=text.len() {
                let mut words = Words::default();
                words.add(&text[..cut]);
                words.add(&text[cut..next]);
                words.add(&text[next..]);
                assert_eq!(words.count, 5, "cut at {cut} and {next}");
            }
        }
    }

    #[test]
    fn digits_keep_their_zeros() {
        assert_eq!(hexadecimal(&[0, 0x0f, 0xf0, 0xa5]), "000ff0a5");
    }
}
