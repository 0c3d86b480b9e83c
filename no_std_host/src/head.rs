//! What is stored of a job, and in which bytes: docs/flash-format.md has them.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use toehold::Change;

use crate::frame::{self, FRAME_BYTES, Kind, Unreadable};

/// The main part of a job: its fields themselves, or where they are. It is always written as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The how many-th head of the job it is. Additions to an older one have no meaning any more.
    pub(crate) number: u32,
    /// The number that the next piece gets.
    pub(crate) next_piece: u32,
    pub(crate) record: Place,
    /// `None` while it is the newest.
    pub(crate) base: Option<Place>,
    pub(crate) newest: Place,
    /// The pieces that the journal begins with.
    pub(crate) journal: Vec<Piece>,
    /// The rest of the journal.
    pub(crate) tail: Vec<u8>,
}

/// Where a field is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Here.
    Here(Vec<u8>),
    /// In a file of its own.
    Piece(Piece),
}

/// Bytes in a file of their own, which is never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    pub(crate) crc32: u32,
}

/// A change that stands beside the head, because it is small next to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addition {
    /// The head that it changes.
    pub(crate) head: u32,
    pub(crate) record: Option<Vec<u8>>,
    pub(crate) new_run: bool,
    pub(crate) journal: Vec<u8>,
    pub(crate) newest: Option<Vec<u8>>,
}

const HEAD: Kind = Kind { mark: b"toh", version: 1 };
const ADDITION: Kind = Kind { mark: b"toa", version: 1 };

/// Pieces of a journal. With more of them a head might not fit into the smallest blocks.
const JOURNAL_PIECES: usize = 3;

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::seal(HEAD, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        frame::unseal(HEAD, bytes)
    }

    /// The head of a new job, of which nothing is known yet.
    pub(crate) fn new() -> Self {
        let nothing = || Place::Here(Vec::new());
        let (record, newest) = (nothing(), nothing());
        Self { number: 0, next_piece: 0, record, base: None, newest, journal: Vec::new(), tail: Vec::new() }
    }

    /// Makes a change, in the order of the contract.
    pub(crate) fn apply(&mut self, change: Addition) {
        if let Some(record) = change.record {
            self.record = Place::Here(record);
        }
        if change.new_run {
            self.base = None;
            self.journal.clear();
            self.tail.clear();
        }
        self.tail.extend_from_slice(&change.journal);
        if let Some(newest) = change.newest {
            let before = core::mem::replace(&mut self.newest, Place::Here(newest));
            // The first checkpoint is the base too.
            if before != Place::Here(Vec::new()) {
                self.base.get_or_insert(before);
            }
        }
    }

    /// All pieces that it refers to.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let places = [Some(&self.record), self.base.as_ref(), Some(&self.newest)];
        let placed = places.into_iter().flatten().filter_map(Place::piece);
        placed.chain(self.journal.iter().copied())
    }

    /// Has the fields moved to pieces that don't belong here, so that the head has at most `most` bytes.
    ///
    /// A base changes seldom, so it never stands in the head, which is written for each checkpoint. Of the others the largest goes
    /// first.
    pub(crate) fn spill<E>(&mut self, most: usize, mover: &mut impl Mover<E>) -> Result<(), E> {
        if let Some(base @ Place::Here(_)) = &mut self.base {
            base.spill(&mut self.next_piece, mover)?;
        }
        while self.encode().len() > most {
            let largest = [self.record.here(), self.newest.here(), self.tail.len()];
            match largest.iter().enumerate().max_by_key(|(_, bytes)| **bytes) {
                // All of it is in pieces, and that fits everywhere.
                None | Some((_, 0)) => break,
                Some((0, _)) => self.record.spill(&mut self.next_piece, mover)?,
                Some((1, _)) => self.newest.spill(&mut self.next_piece, mover)?,
                Some(_) => self.spill_tail(mover)?,
            }
        }
        Ok(())
    }

    /// Moves the journal's tail to a piece. Pieces before it that are not much longer go with it, so that there are few of them, and
    /// each byte is moved seldom.
    fn spill_tail<E>(&mut self, mover: &mut impl Mover<E>) -> Result<(), E> {
        let mut bytes = core::mem::take(&mut self.tail);
        while let Some(last) = self.journal.last().copied() {
            let is_long = usize::try_from(last.bytes).is_ok_and(|last| last / 2 > bytes.len());
            if is_long && self.journal.len() < JOURNAL_PIECES {
                break;
            }
            let mut longer = mover.read(last)?;
            longer.append(&mut bytes);
            bytes = longer;
            self.journal.pop();
        }
        self.journal.push(new_piece(&bytes, &mut self.next_piece, mover)?);
        Ok(())
    }
}

/// Who writes and reads the pieces of a job.
pub(crate) trait Mover<E> {
    fn read(&mut self, piece: Piece) -> Result<Vec<u8>, E>;
    fn write(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), E>;
}

fn new_piece<E>(bytes: &[u8], next: &mut u32, mover: &mut impl Mover<E>) -> Result<Piece, E> {
    // littlefs has no files that need more than 32 bits; the write fails for one that is longer.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let piece = Piece { number: *next, bytes: length, crc32: toehold::Crc32::of(bytes) };
    mover.write(piece, bytes)?;
    // A flash is worn out long before so many are written.
    *next = next.wrapping_add(1);
    Ok(piece)
}

impl Place {
    fn piece(&self) -> Option<Piece> {
        match self {
            Self::Here(_) => None,
            Self::Piece(piece) => Some(*piece),
        }
    }

    /// Bytes that are here.
    fn here(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Piece(_) => 0,
        }
    }

    fn spill<E>(&mut self, next: &mut u32, mover: &mut impl Mover<E>) -> Result<(), E> {
        if let Self::Here(bytes) = self {
            *self = Self::Piece(new_piece(bytes, next, mover)?);
        }
        Ok(())
    }
}

impl Piece {
    /// Whether these are its bytes.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        u32::try_from(bytes.len()) == Ok(self.bytes) && toehold::Crc32::of(bytes) == self.crc32
    }
}

impl Addition {
    /// A change, of a head that is to be told yet.
    pub(crate) fn new(change: &Change) -> Self {
        let commit = change.commit.as_deref();
        Self {
            head: 0,
            record: change.record.as_ref().map(toehold::JobRecord::encode),
            new_run: commit.is_some_and(|commit| commit.new_run),
            journal: commit.map(|commit| commit.journal.clone()).unwrap_or_default(),
            newest: commit
                .and_then(|commit| commit.checkpoint.as_ref())
                .map(|checkpoint| checkpoint.encode()),
        }
    }

    /// Bytes of [`Addition::encode`], or a few more.
    pub(crate) fn length(&self) -> usize {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        FRAME_BYTES + 5 + 1 + 2 + 15 + optional(&self.record) + self.journal.len() + optional(&self.newest)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::seal(ADDITION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        frame::unseal(ADDITION, bytes)
    }
}
