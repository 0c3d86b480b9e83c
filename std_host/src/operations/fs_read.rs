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

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::{
        super::testing::{Disk, call},
        *,
    };

    fn read(disk: &Disk, input: Value) -> Result<(Vec<u8>, u64), String> {
        let reply = call(&disk.grants(), "query:fs.read", input)?;
        Ok((STANDARD.decode(reply["data"].as_str().unwrap()).unwrap(), reply["size"].as_u64().unwrap()))
    }

    #[test]
    fn a_piece_ends_where_the_file_does() {
        let disk = Disk::new();
        let piece = |offset, length| {
            read(&disk, json!({ "path": "samples/a.txt", "offset": offset, "length": length }))
        };
        assert_eq!(piece(0, 5), Ok((b"alpha".to_vec(), 5)));
        assert_eq!(piece(1, 3), Ok((b"lph".to_vec(), 5)));
        assert_eq!(piece(3, MAX_LENGTH), Ok((b"ha".to_vec(), 5)));
        for (offset, length) in [(5, 1), (6, 1), (u64::MAX, MAX_LENGTH), (0, 0)] {
            assert_eq!(piece(offset, length), Ok((Vec::new(), 5)), "{offset}, {length}");
        }
        assert_eq!(read(&disk, json!({ "path": "samples/a.txt" })), Ok((b"alpha".to_vec(), 5)));
        assert_eq!(
            call(&disk.grants(), "query:fs.read", json!({ "path": "samples/a.txt", "length": 1 })).unwrap()["data"],
            "YQ=="
        );
    }

    #[test]
    fn one_call_reads_a_mebibyte_at_most() {
        let disk = Disk::new();
        let content: Vec<u8> = (0..MAX_LENGTH + 10).map(|n| n as u8).collect();
        fs::write(disk.path("ext/samples/big"), &content).unwrap();
        let whole = content.len() as u64;
        let first = read(&disk, json!({ "path": "samples/big" })).unwrap();
        assert_eq!(first, (content[..MAX_LENGTH as usize].to_vec(), whole));
        let rest = read(&disk, json!({ "path": "samples/big", "offset": MAX_LENGTH, "length": MAX_LENGTH }))
            .unwrap();
        assert_eq!(rest, (content[MAX_LENGTH as usize..].to_vec(), whole));
        let error = read(&disk, json!({ "path": "samples/big", "length": MAX_LENGTH + 1 })).unwrap_err();
        assert_eq!(error, "`length` is 1048577; one call reads at most 1048576 bytes");
    }

    #[test]
    fn a_file_that_can_t_be_read_is_named_with_the_reason() {
        let disk = Disk::new();
        for (path, error) in [
            ("private.txt", FileError::Outside),
            ("../outside/secret.txt", FileError::Outside),
            ("samples/none", FileError::NotFound),
            ("samples", FileError::NotAFile),
            ("", FileError::Path),
        ] {
            let shown = if path.is_empty() { "empty" } else { path };
            assert_eq!(read(&disk, json!({ "path": path })), Err(format!("{shown}: {error}")));
        }
        let error = read(&disk, json!({ "path": "samples/a.txt", "offset": -1 })).unwrap_err();
        assert!(
            error.starts_with("query:fs.read: the input does not fit: invalid value: integer `-1`"),
            "{error}"
        );
    }
}
