use alloc::string::String;
use core::fmt;

use littlefs2::io;
use toehold::Uuid;

use crate::flash::FlashFault;

/// Why a store on flash could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The flash itself failed. Where it can't program or erase, other blocks were tried before.
    Flash(FlashFault),
    /// There is no room.
    Full {
        /// Blocks that it takes, with those that are kept free so that jobs can end and be removed. 0: not known.
        blocks: usize,
        /// Blocks that are free.
        free: usize,
    },
    /// The flash is smaller than the store was built for.
    TooSmall {
        /// Bytes that the store needs.
        bytes: usize,
        /// Bytes that the flash has.
        capacity: usize,
    },
    /// The flash holds something, but no store of Toehold.
    Foreign(Found),
    /// A newer version of Toehold wrote it.
    Newer {
        /// What it is.
        what: Item,
        /// The version of its format.
        found: u8,
        /// The newest that this build reads.
        newest: u8,
    },
    /// It is damaged. It is kept as it is.
    Damaged(Item),
    /// There is no memory to hold so many bytes.
    Memory {
        /// The bytes.
        bytes: usize,
    },
    /// No package has such an id: it is not 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, or it starts with a dot.
    PackageId(String),
    /// No package is being installed.
    NotInstalling,
    /// littlefs reports an error that it should not have.
    FileSystem {
        /// Its number, as in `lfs.h`.
        code: i32,
    },
}

/// Something that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// The store as a whole: its file system.
    Store,
    /// The main part of a job.
    Job(Uuid),
    /// A piece of a job that has a file of its own.
    Piece {
        /// The job.
        job: Uuid,
        /// The piece's number, which its file's name ends with.
        piece: u32,
    },
}

/// What a flash holds that is no store of Toehold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// A littlefs with other blocks.
    OtherBlocks {
        /// Bytes of a block.
        block_bytes: u32,
        /// How many there are.
        blocks: u32,
    },
    /// A littlefs with other content, or one that is damaged.
    Littlefs,
    /// Something else, which begins with these bytes.
    Unknown([u8; 8]),
}

/// What went wrong while littlefs was at work: its own error, which the flash may know more of, or ours.
#[derive(Debug)]
pub(crate) enum Trouble {
    Disk(io::Error),
    Store(StoreError),
}

impl Trouble {
    /// What to tell of it.
    pub(crate) fn told(self, fault: Option<FlashFault>) -> StoreError {
        match (self, fault) {
            (Self::Store(error), _) => error,
            (Self::Disk(_), Some(fault)) => StoreError::Flash(fault),
            (Self::Disk(io::Error::NO_SPACE), None) => StoreError::Full { blocks: 0, free: 0 },
            (Self::Disk(io::Error::CORRUPTION), None) => StoreError::Damaged(Item::Store),
            (Self::Disk(error), None) => StoreError::FileSystem { code: error.code() },
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(fault) => write!(f, "{fault}"),
            Self::Full { blocks: 0, .. } => f.write_str("the flash is full: remove jobs or packages"),
            Self::Full { blocks, free } => {
                write!(
                    f,
                    "the flash is full: this needs {blocks} free blocks, there are {free}; remove jobs or packages"
                )
            }
            Self::TooSmall { bytes, capacity } => {
                write!(f, "the store is built for {bytes} bytes of flash, this one has {capacity}")
            }
            Self::Foreign(found) => {
                write!(f, "the flash holds no store of Toehold but {found}: format it, if nobody needs that")
            }
            Self::Newer { what, found, newest } => {
                write!(f, "{what} has format {found}, this build reads up to {newest}: use a newer Toehold")
            }
            Self::Damaged(Item::Store) => {
                f.write_str("the store's file system is damaged; read the flash out before you format it")
            }
            Self::Damaged(what) => {
                write!(f, "{what} is damaged; it is kept as it is until somebody removes it")
            }
            Self::Memory { bytes } => write!(f, "there is no memory for {bytes} bytes of it"),
            Self::PackageId(id) => {
                write!(f, "{id:?} is no package's id: that is 1 to 64 of a-z, 0-9, '-', '_' and '.'")
            }
            Self::NotInstalling => f.write_str("no package is being installed: begin with the first piece"),
            Self::FileSystem { code } => write!(f, "the file system reports error {code}"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("the store"),
            Self::Job(job) => write!(f, "job {job}"),
            Self::Piece { job, piece } => write!(f, "piece {piece} of job {job}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherBlocks { block_bytes, blocks } => {
                write!(f, "a littlefs of {blocks} blocks with {block_bytes} bytes each")
            }
            Self::Littlefs => f.write_str("a littlefs that is damaged or has other content"),
            Self::Unknown(bytes) => {
                f.write_str("something that begins with")?;
                bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

impl core::error::Error for StoreError {}
