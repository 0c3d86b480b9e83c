//! Entries that are too large for one message: their bytes go into the stream `PARTS` first, and a note of them into the log.
//!
//! They are there before the note is, so whoever reads the note finds them, for as long as the note is there. What is left of
//! notes that were never written is removed with the job.

use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toehold::{FormatError, Uuid};

use super::{
    FleetError,
    connect::Link,
    entry::Entry,
    fetch::Fetched,
    log::{error_code, is_full},
    state::Place,
};

/// First bytes of a note.
const MARK: [u8; 4] = *b"top\x01";

/// How long to wait before parts are sent again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Where the bytes of an entry are.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The last part of their subject.
    part: String,
    bytes: u64,
    sha256: [u8; 32],
    /// The sequences of the first and the last of the parts.
    first: u64,
    last: u64,
}

/// The message for an entry.
pub(super) struct Packed {
    pub(super) bytes: Bytes,
    entry_bytes: usize,
    parts: Option<(u64, u64)>,
}

impl Packed {
    /// The place of the entry, once its message has a sequence.
    pub(super) fn at(&self, sequence: u64) -> Place {
        Place { sequence, bytes: self.entry_bytes, parts: self.parts }
    }
}

/// The message for an entry. Where that is too large, its parts are stored already.
pub(super) async fn pack(link: &Link, job: Uuid, entry: &Entry) -> Result<Packed, FleetError> {
    let bytes = Bytes::from(entry.encode());
    let entry_bytes = bytes.len();
    if entry_bytes <= link.longest {
        return Ok(Packed { bytes, entry_bytes, parts: None });
    }
    let mut wait = FIRST_WAIT;
    for attempt in 0_u64.. {
        // Never one that was begun before: a part whose acknowledgement was lost may be there twice.
        let part = format!("{:x}-{:x}-{attempt:x}", entry.epoch, entry.write);
        let subject = link.names.part(job, &part);
        let what = || format!("writing job {job}");
        match link.unless_refused(what, &subject, send(link, &subject, &bytes)).await? {
            Ok((first, last)) => {
                let sha256 = Sha256::digest(&bytes).into();
                let note = Note { part, bytes: entry_bytes as u64, sha256, first, last };
                let note = postcard::to_extend(&note, MARK.to_vec());
                let note = note.map_err(|error| FleetError::server(format!("writing job {job}"), error))?;
                return Ok(Packed { bytes: note.into(), entry_bytes, parts: Some((first, last)) });
            }
            Err(error) if error_code(&error).is_some_and(is_full) => {
                return Err(FleetError::Full {
                    what: format!("writing job {job}"),
                    reason: error.to_string(),
                });
            }
            Err(error) => log::warn!("writing job {job}: {error}; it is tried again"),
        }
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
    Err(FleetError::server(format!("writing job {job}"), "given up"))
}

async fn send(link: &Link, subject: &str, bytes: &Bytes) -> Result<(u64, u64), PublishError> {
    let (mut first, mut last) = (0, 0);
    for chunk in bytes.chunks(link.longest.max(1)) {
        let sent = link.jetstream.publish(subject.to_owned(), bytes.slice_ref(chunk)).await?;
        last = sent.await?.sequence;
        first = if first == 0 { last } else { first };
    }
    Ok((first, last))
}

/// The bytes of an entry, and its place; `None` where its parts are gone.
pub(super) async fn open(
    link: &Link,
    job: Uuid,
    message: &Fetched,
) -> Result<Option<(Bytes, Place)>, FleetError> {
    let sequence = message.sequence;
    let Some(note) = message.payload.strip_prefix(&MARK) else {
        let place = Place { sequence, bytes: message.payload.len(), parts: None };
        return Ok(Some((message.payload.clone(), place)));
    };
    let source = FormatError::Damaged { what: "note of an entry in parts" };
    let note: Note = postcard::from_bytes(note).map_err(|_| FleetError::Format { job, source })?;
    let (stream, subject) = (link.names.parts_stream(), link.names.part(job, &note.part));
    let (mut bytes, mut after) = (Vec::new(), note.first.saturating_sub(1));
    while (bytes.len() as u64) < note.bytes {
        let chunks = link.fetch(&stream, &subject, after).await?.messages;
        let Some(last) = chunks.last() else { return Ok(None) };
        after = last.sequence;
        bytes.extend(chunks.into_iter().flat_map(|chunk| chunk.payload));
    }
    let is_whole = <[u8; 32]>::from(Sha256::digest(&bytes)) == note.sha256;
    let place = Place { sequence, bytes: bytes.len(), parts: Some((note.first, note.last)) };
    Ok(is_whole.then(|| (bytes.into(), place)))
}

/// Removes all parts of a job that come before this sequence of the stream `PARTS`.
pub(super) async fn remove(link: &Link, job: Uuid, before: u64) {
    let removed = link.parts.purge().filter(link.names.parts(job)).sequence(before).await;
    if let Err(error) = removed {
        log::warn!("parts of job {job} are left behind: {error}");
    }
}
