//! A job's files: its head and additions, which are attributes of one file, and its pieces.

use alloc::vec::Vec;
use core::fmt::Write as _;

use littlefs2::{driver::Storage, io, path::PathBuf};
use toehold::{Saved, Uuid};

use crate::{
    disk::{Disk, JOBS, zeros},
    frame::Unreadable,
    head::{Addition, Head, Mover, Piece, Place},
    store_error::{Item, StoreError, Trouble},
};

/// The attribute that a head is.
pub(crate) const HEAD_ID: u8 = 0;
/// Additions to a head are the attributes 1 up to this.
pub(crate) const ADDITIONS: u8 = 8;
/// A job as it is stored.
pub(crate) struct Stored {
    /// With all additions.
    pub(crate) head: Head,
    /// Bytes of the head without them.
    pub(crate) head_bytes: usize,
    /// How many they are.
    pub(crate) additions: u8,
}

/// What the name of a file in the jobs' folder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Job(Uuid),
    Piece(Uuid, u32),
    /// None of ours.
    Unknown,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Self {
        let (job, piece) = match name.split_once('.') {
            Some((job, piece)) => (job, Some(u32::from_str_radix(piece, 16))),
            None => (name, None),
        };
        match (Uuid::try_parse(job), piece) {
            (Ok(job), None) => Self::Job(job),
            (Ok(job), Some(Ok(piece))) => Self::Piece(job, piece),
            _ => Self::Unknown,
        }
    }
}

#[inline(never)]
pub(crate) fn job_path(job: Uuid) -> PathBuf {
    let mut digits = [0; 32];
    let name = job.simple().encode_lower(&mut digits);
    // Hexadecimal digits are a path.
    JOBS.join(&PathBuf::try_from(&*name).unwrap_or_default())
}

#[inline(never)]
fn piece_path(job: Uuid, piece: u32) -> PathBuf {
    let mut name = alloc::string::String::new();
    // A `String` takes whatever comes, and this is a path.
    let _ = write!(name, "{}.{piece:x}", job.simple());
    JOBS.join(&PathBuf::try_from(name.as_str()).unwrap_or_default())
}

impl<S: Storage> Disk<'_, '_, S> {
    /// Bytes of a head at most: what an attribute holds, and a block with all additions.
    pub(crate) const HEAD_BYTES: usize = smaller(1_022, S::BLOCK_SIZE / 2 - 32);
    /// Bytes of an addition at most.
    pub(crate) const ADDITION_BYTES: usize = smaller(127, S::BLOCK_SIZE / 32);

    /// Head and additions of a job.
    pub(crate) fn stored(&self, job: Uuid) -> Result<Option<Stored>, Trouble> {
        let path = job_path(job);
        let bytes = match self.attribute(&path, HEAD_ID, Self::HEAD_BYTES) {
            Ok(Some(bytes)) => bytes,
            // It was being stored for the first time.
            Ok(None) => return Ok(None),
            Err(Trouble::Disk(io::Error::NO_SUCH_ENTRY)) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let refused = |unreadable| refuse(Item::Job(job), unreadable);
        let mut head = Head::decode(&bytes).map_err(refused)?;
        let head_bytes = bytes.len();
        drop(bytes);
        let mut additions = 0;
        for id in 1..=ADDITIONS {
            let Some(bytes) = self.attribute(&path, id, Self::ADDITION_BYTES)? else { break };
            let addition = Addition::decode(&bytes).map_err(refused)?;
            // What was added to an earlier head is in this one.
            if addition.head != head.number {
                break;
            }
            head.apply(addition);
            additions = id;
        }
        Ok(Some(Stored { head, head_bytes, additions }))
    }

    /// The number of a job's head, and how many additions it has; `None` if there is no such job.
    pub(crate) fn progress(&self, job: Uuid) -> Result<Option<(u32, u8)>, Trouble> {
        Ok(self.stored(job)?.map(|stored| (stored.head.number, stored.additions)))
    }

    /// All that is stored of a job.
    #[inline(never)]
    pub(crate) fn load(&self, job: Uuid) -> Result<Option<Saved>, Trouble> {
        let Some(Stored { head, .. }) = self.stored(job)? else { return Ok(None) };
        let mut pieces = Pieces { disk: self, job };
        let Head { record, base, newest, journal, tail, .. } = head;
        let newest = pieces.place(newest)?;
        let base = match base {
            Some(base) => pieces.place(base)?,
            None => copy(&newest)?,
        };
        let record = pieces.place(record)?;
        let mut all = Vec::new();
        for piece in journal {
            append(&mut all, &pieces.read(piece)?)?;
        }
        append(&mut all, &tail)?;
        Ok(Some(Saved { record, base, newest, journal: all }))
    }

    /// Removes pieces of a job.
    #[inline(never)]
    pub(crate) fn remove_pieces(&self, job: Uuid, pieces: &[u32]) -> Result<(), Trouble> {
        for piece in pieces {
            self.remove(&piece_path(job, *piece))?;
        }
        Ok(())
    }

    /// Removes a job's file, and with it the job. Its pieces mean nothing any more.
    #[inline(never)]
    pub(crate) fn remove_job(&self, job: Uuid) -> Result<(), Trouble> {
        Ok(self.remove(&job_path(job))?)
    }

    /// What the names in the jobs' folder say, those of a job one after the other. They are gathered, so that the stack has room for a
    /// look into the folder or for what is done with a name, not for both at once.
    #[inline(never)]
    fn names(&self) -> Result<Vec<Name>, Trouble> {
        let (mut names, mut is_full) = (Vec::new(), false);
        self.fs.read_dir_and_then(JOBS, |entries| {
            for entry in entries {
                let entry = entry?;
                if entry.file_type().is_file() {
                    is_full |= names.try_reserve(1).is_err();
                    if is_full {
                        break;
                    }
                    names.push(Name::parse(entry.file_name().as_str()));
                }
            }
            Ok(())
        })?;
        if is_full { Err(StoreError::Memory { bytes: size_of::<Name>() }.into()) } else { Ok(names) }
    }

    pub(crate) fn jobs(&self) -> Result<Vec<Uuid>, Trouble> {
        let mut jobs = Vec::new();
        for name in self.names()? {
            if let Name::Job(job) = name
                && self.has_head(job)?
            {
                push(&mut jobs, job)?;
            }
        }
        Ok(jobs)
    }

    /// Whether a job's file has a head. Without one it is no job yet.
    #[inline(never)]
    fn has_head(&self, job: Uuid) -> Result<bool, Trouble> {
        Ok(self.fs.attribute(&job_path(job), HEAD_ID, &mut [])?.is_some())
    }

    /// Removes what changes and removals that were cut off have left.
    pub(crate) fn sweep(&self) -> Result<(), Trouble> {
        let mut last: Option<(Uuid, Option<Vec<u32>>)> = None;
        for name in self.names()? {
            match name {
                Name::Piece(job, piece) => {
                    if last.as_ref().is_none_or(|(last, _)| *last != job) {
                        last = Some((job, self.needed(job)?));
                    }
                    let needed = last.as_ref().and_then(|(_, needed)| needed.as_ref());
                    if needed.is_some_and(|needed| !needed.contains(&piece)) {
                        self.remove_pieces(job, &[piece])?;
                    }
                }
                Name::Job(job) => {
                    if !self.has_head(job)? {
                        self.remove_job(job)?;
                    }
                }
                Name::Unknown => {}
            }
        }
        Ok(())
    }

    /// Numbers of the pieces that a job needs; `None` where that can't be told, so that all must be kept.
    #[inline(never)]
    fn needed(&self, job: Uuid) -> Result<Option<Vec<u32>>, Trouble> {
        match self.stored(job) {
            Ok(None) => Ok(Some(Vec::new())),
            Ok(Some(stored)) => Ok(Some(stored.head.pieces().map(|piece| piece.number).collect())),
            Err(Trouble::Store(StoreError::Damaged(_) | StoreError::Newer { .. })) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

/// Reads and writes the pieces of one job.
pub(crate) struct Pieces<'p, 'd, 'm, S: Storage> {
    pub(crate) disk: &'p Disk<'d, 'm, S>,
    pub(crate) job: Uuid,
}

impl<S: Storage> Pieces<'_, '_, '_, S> {
    fn place(&mut self, place: Place) -> Result<Vec<u8>, Trouble> {
        match place {
            Place::Here(bytes) => Ok(bytes),
            Place::Piece(piece) => self.read(piece),
        }
    }
}

impl<S: Storage> Mover<Trouble> for Pieces<'_, '_, '_, S> {
    fn read(&mut self, piece: Piece) -> Result<Vec<u8>, Trouble> {
        let bytes = self.disk.read(&piece_path(self.job, piece.number))?;
        let damaged = StoreError::Damaged(Item::Piece { job: self.job, piece: piece.number });
        bytes.filter(|bytes| piece.fits(bytes)).ok_or(Trouble::Store(damaged))
    }

    fn write(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), Trouble> {
        Ok(self.disk.write(&piece_path(self.job, piece.number), bytes)?)
    }
}

const fn smaller(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

fn refuse(what: Item, unreadable: Unreadable) -> Trouble {
    Trouble::Store(match unreadable {
        Unreadable::Damaged => StoreError::Damaged(what),
        Unreadable::Newer(found) => StoreError::Newer { what, found, newest: 1 },
    })
}

fn copy(bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut copy = zeros(bytes.len())?;
    copy.copy_from_slice(bytes);
    Ok(copy)
}

fn append(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Trouble> {
    to.try_reserve(bytes.len()).map_err(|_| StoreError::Memory { bytes: bytes.len() })?;
    to.extend_from_slice(bytes);
    Ok(())
}

fn push<T>(to: &mut Vec<T>, item: T) -> Result<(), Trouble> {
    to.try_reserve(1).map_err(|_| StoreError::Memory { bytes: size_of::<T>() })?;
    to.push(item);
    Ok(())
}
