use std::io::{self, Read, Seek, SeekFrom};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{CallContext, FileError, payload::shortened};

/// Bytes that one call reads at most. The reply is a third longer, and is below what hosts let a reply have.
const MAX_LENGTH: u64 = 1 << 20;

#[derive(Deserialize)]
pub(super) struct Input {
    path: String,
    /// Bytes to leave out from the file's start.
    #[serde(default)]
    offset: u64,
    /// Bytes to read, fewer where the file ends.
    #[serde(default = "max_length")]
    length: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    /// Standard base64, padded.
    data: String,
    /// Bytes of the whole file.
    size: u64,
}

/// `query:fs.read`: a piece of a file.
pub(super) fn read(context: &CallContext<'_>, input: Input) -> Result<Output, String> {
    let Input { path, offset, length } = input;
    if length > MAX_LENGTH {
        return Err(format!("`length` is {length}; one call reads at most {MAX_LENGTH} bytes"));
    }
    let piece = || {
        let mut file = context.files().open(&path)?;
        let size = file.metadata()?.len();
        // Never past `size`: a file that grows meanwhile must not give more than it says.
        let length = length.min(size.saturating_sub(offset));
        let data = if length == 0 { Vec::new() } else { piece_of(&mut file, offset, length)? };
        Ok(Output { data: STANDARD.encode(data), size })
    };
    piece().map_err(|error: FileError| format!("{}: {error}", shortened(path.as_bytes())))
}

fn piece_of(file: &mut (impl Read + Seek), offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut data)?;
    Ok(data)
}

fn max_length() -> u64 {
    MAX_LENGTH
}
