//! What is stored and carried: bytes that are read and written again.

use std::ops::Range;

use toehold::{
    Bundle, Checkpoint, Crc32, JobRecord, JournalEntry, Package, PackageError, Recovery, Saved, Trust,
    console::{Command, Line},
};

/// Records, checkpoints, journals, bundles, packages and lines of a console: what is read is written as what is read the same.
///
/// The first byte says what it is, and whether the frame with its checksum is put around the rest, with version 1 or 2, so that one
/// gets behind it.
pub fn checkpoint(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let version = if kind & 0x40 != 0 { 2 } else { 1 };
    let sealed = |mark: &[u8; 3]| {
        if kind & 0x80 != 0 { bytes.to_vec() } else { seal(mark, version, bytes) }
    };
    match kind % 8 {
        0 => same(&sealed(b"toe"), Checkpoint::decode, Checkpoint::encode),
        1 => same(&sealed(b"tor"), JobRecord::decode, JobRecord::encode),
        2 => same(&sealed(b"tob"), Bundle::decode, Bundle::encode),
        3 => {
            let chained = if kind & 0x80 != 0 { bytes.to_vec() } else { chain(bytes) };
            let _ = JournalEntry::memory(&chained);
            same(&chained, JournalEntry::decode_all, |entries| JournalEntry::encode_all(entries));
        }
        4 => package(sealed(b"top")),
        5 => bundle(bytes),
        _ => lines(bytes),
    }
}

/// What can be read is written, and that is read as the same. Compared as bytes: what is no number is not the same as itself.
fn same<T, E>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>, encode: impl Fn(&T) -> Vec<u8>) {
    let Ok(read) = decode(bytes) else { return };
    let written = encode(&read);
    let Ok(again) = decode(&written) else { panic!("what was written can't be read") };
    assert_eq!(encode(&again), written, "it is read as something else");
}

/// The mark, the version, the fields, the checksum.
fn seal(mark: &[u8; 3], version: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = [mark.as_slice(), &[version], fields].concat();
    bytes.extend_from_slice(&Crc32::of(&bytes).to_le_bytes());
    bytes
}

/// A journal of entries, each of which has its length in front, in one byte.
fn chain(mut bytes: &[u8]) -> Vec<u8> {
    let (mut journal, mut chain) = (b"toj\x01".to_vec(), 0_u32);
    while let Some((length, rest)) = bytes.split_first() {
        let (fields, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let length = (fields.len() as u32).to_le_bytes();
        let mut hasher = Crc32::new();
        hasher.update(&chain.to_le_bytes());
        hasher.update(&length);
        hasher.update(fields);
        chain = hasher.finish();
        journal.extend_from_slice(&length);
        journal.extend_from_slice(fields);
        journal.extend_from_slice(&chain.to_le_bytes());
        bytes = rest;
    }
    journal
}

fn package(bytes: Vec<u8>) {
    let opened = Package::open(&bytes, &Trust::Anyone);
    // As a board reads it, piece by piece: with the same end, and in pieces that are there.
    let mut piece = |range: Range<usize>| -> Result<Vec<u8>, PackageError> {
        let Some(piece) = bytes.get(range.clone()) else { panic!("{range:?} is asked for") };
        Ok(piece.to_vec())
    };
    let pieces = Package::read(bytes.len(), &Trust::Anyone, &mut piece);
    assert_eq!(opened.as_ref().err(), pieces.as_ref().err());
    let (Ok(read), Ok(pieces)) = (opened, pieces) else { return };
    let parts = |package: &Package| (package.manifest().clone(), package.module().to_vec());
    assert_eq!(parts(&pieces), parts(&read));
    assert!(pieces.schemas().is_empty(), "a board does not hold them");
    let written = Package::pack(read.manifest(), read.schemas(), read.module());
    let again = Package::open(&written, &Trust::Anyone);
    let Ok(again) = again else { panic!("what was packed can't be opened: {again:?}") };
    assert_eq!((parts(&again), again.schemas()), (parts(&read), read.schemas()));
    let refused = Package::open(&written, &Trust::Signed(Vec::new()));
    assert!(refused.is_err(), "a package that nobody has signed was taken");
}

/// A bundle of parts that are whole, and what a job comes back from.
fn bundle(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == b'|');
    let mut part = |mark| seal(mark, 1, parts.next().unwrap_or_default());
    let (record, base, newest) = (part(b"tor"), part(b"toe"), part(b"toe"));
    let journal = chain(parts.next().unwrap_or_default());
    let saved = Saved { record, base, newest, journal };
    if let Ok(recovery) = Recovery::new(&saved) {
        let _ = (recovery.is_replay(), recovery.clone().without_needless_journal().entries().len());
    }
    let Ok(checkpoint) = Checkpoint::decode(&saved.newest) else { return };
    let bundle = Bundle::new(checkpoint.job_id, saved, None).encode();
    same(&bundle, Bundle::decode, Bundle::encode);
}

fn lines(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        let _ = Line::parse(line);
        let Ok(command) = Command::parse(line) else { continue };
        let written = command.to_line();
        let Ok(again) = Command::parse(&written) else { panic!("{written:?} can't be read") };
        assert_eq!(again.to_line(), written);
    }
}
