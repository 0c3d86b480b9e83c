//! What a flash holds, and how a store begins on it.
//!
//! A store is made in steps, each of which a power cut may end:
//!
//! 1. A mark in the last block says that a store is being made here, so that nothing of value can be. There is room for several, for
//!    where one is torn, it can't be erased without the risk that the block is not blank any more.
//! 2. littlefs makes its superblock.
//! 3. The root's label says that the store is being formed.
//! 4. The mark is erased, for good: from here on the block may hold data.
//! 5. The folders are made, and the label says the version.

use embedded_storage::nor_flash::NorFlash;
use littlefs2::{driver::Storage, io};

use crate::{
    disk::Label,
    flash::{CACHE_BYTES, Region},
    store_error::{Found, Item, StoreError, Trouble},
    volume::Volume,
};

/// No block of littlefs's begins with it: it is no pointer, which is what other blocks begin with, and no frame's mark.
const MARK: &[u8; 16] = b"toehold begins\0\x01";
/// Bytes at the start of the last block where marks may be.
const MARKS_BYTES: usize = 512;
/// The version of a store's layout.
const VERSION: u8 = 1;
/// Where littlefs notes what it is, in either of the first two blocks, and how it goes on: version, bytes of a block, blocks.
const MAGIC: &[u8; 8] = b"littlefs";
const MAGIC_AT: usize = 8;
const SIZES_AT: usize = 24;

/// What a flash holds that is no store.
enum Content {
    /// Nothing, or marks that are torn.
    Blank {
        /// Where there is room for another one.
        mark_at: usize,
    },
    /// A store was being made.
    Begun,
    Other(StoreError),
}

impl<F: NorFlash, const BLOCKS: usize> Volume<F, BLOCKS> {
    const LAST_BLOCK: usize = Region::<F, BLOCKS>::BYTES - Region::<F, BLOCKS>::BLOCK_BYTES;
    /// Bytes that programming a mark touches: they divide [`CACHE_BYTES`].
    const MARK_ROOM: usize = if F::WRITE_SIZE > MARK.len() { F::WRITE_SIZE } else { MARK.len() };

    /// Finds the store. Makes one if the flash is blank.
    pub(crate) fn open(&mut self) -> Result<(), StoreError> {
        self.check_size()?;
        match self.with(|disk| Ok(disk.label()?)) {
            Ok(Label::Version(VERSION)) => return Ok(()),
            Ok(Label::Version(found)) => {
                return Err(StoreError::Newer { what: Item::Store, found, newest: VERSION });
            }
            Ok(Label::Forming) => return self.finish(),
            Ok(Label::None | Label::Unknown) => {}
            Err(error @ StoreError::Flash(_)) => return Err(error),
            Err(_) => {}
        }
        match self.look()? {
            Content::Blank { mark_at } => self.begin(mark_at),
            Content::Begun => self.form(),
            Content::Other(error) => Err(error),
        }
    }

    /// Makes an empty store, whatever there is.
    pub(crate) fn format(&mut self) -> Result<(), StoreError> {
        self.check_size()?;
        // Without these there is no file system, whenever the power goes.
        self.erase(0)?;
        self.erase(Region::<F, BLOCKS>::BLOCK_BYTES)?;
        self.erase(Self::LAST_BLOCK)?;
        self.begin(Self::LAST_BLOCK)
    }

    fn check_size(&self) -> Result<(), StoreError> {
        let (bytes, capacity) = (Region::<F, BLOCKS>::BYTES, self.region.flash.capacity());
        if capacity < bytes { Err(StoreError::TooSmall { bytes, capacity }) } else { Ok(()) }
    }

    #[inline(never)]
    fn begin(&mut self, mark_at: usize) -> Result<(), StoreError> {
        let mut bytes = [0xff; CACHE_BYTES];
        for (to, from) in bytes.iter_mut().zip(MARK) {
            *to = *from;
        }
        let bytes = bytes.get(..Self::MARK_ROOM).unwrap_or_default();
        // A word may look erased that a power cut has torn; some chips refuse to program it.
        let mut done = Err(io::Error::IO);
        for at in (mark_at..Self::LAST_BLOCK + MARKS_BYTES).step_by(Self::MARK_ROOM) {
            done = self.region.write(at, bytes);
            if done != Err(io::Error::CORRUPTION) {
                break;
            }
        }
        self.told(done)?;
        self.form()
    }

    #[inline(never)]
    fn form(&mut self) -> Result<(), StoreError> {
        self.make()?;
        self.with(|disk| Ok(disk.set_label(&Label::Forming)?))?;
        self.finish()
    }

    #[inline(never)]
    fn finish(&mut self) -> Result<(), StoreError> {
        if self.is_marked()? {
            self.erase(Self::LAST_BLOCK)?;
        }
        self.with(|disk| {
            disk.make_folders()?;
            Ok(disk.set_label(&Label::Version(VERSION))?)
        })
    }

    fn erase(&mut self, at: usize) -> Result<(), StoreError> {
        let done = self.region.erase(at, Region::<F, BLOCKS>::BLOCK_BYTES);
        self.told(done)
    }

    fn read(&mut self, at: usize) -> Result<[u8; CACHE_BYTES], StoreError> {
        let mut bytes = [0; CACHE_BYTES];
        let done = self.region.read_at(at, &mut bytes);
        self.told(done)?;
        Ok(bytes)
    }

    #[inline(never)]
    fn is_marked(&mut self) -> Result<bool, StoreError> {
        for at in (0..MARKS_BYTES).step_by(CACHE_BYTES) {
            if self.read(Self::LAST_BLOCK + at)?.chunks(Self::MARK_ROOM).any(|room| room.starts_with(MARK)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn told<T>(&self, done: io::Result<T>) -> Result<(), StoreError> {
        done.map(drop).map_err(|error| Trouble::Disk(error).told(self.region.fault.get()))
    }

    /// What there is where no store is.
    #[inline(never)]
    fn look(&mut self) -> Result<Content, StoreError> {
        if self.is_marked()? {
            return Ok(Content::Begun);
        }
        let first = self.read(0)?;
        let second = self.read(Region::<F, BLOCKS>::BLOCK_BYTES)?;
        if let Some(error) = [&first, &second].into_iter().find_map(|block| superblock::<F, BLOCKS>(block)) {
            return Ok(Content::Other(error));
        }
        let marks = Self::LAST_BLOCK..Self::LAST_BLOCK + MARKS_BYTES;
        let mut mark_at = None;
        for at in (0..Region::<F, BLOCKS>::BYTES).step_by(CACHE_BYTES) {
            let bytes = self.read(at)?;
            if marks.contains(&at) {
                let mut rooms = bytes.chunks(Self::MARK_ROOM);
                let free = rooms.position(is_blank).map(|room| at + room * Self::MARK_ROOM);
                mark_at = mark_at.or(free);
            } else if !is_blank(&bytes) {
                mark_at = None;
                break;
            }
        }
        if let Some(mark_at) = mark_at {
            return Ok(Content::Blank { mark_at });
        }
        let begins = first.first_chunk().copied().unwrap_or_default();
        Ok(Content::Other(StoreError::Foreign(Found::Unknown(begins))))
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0xff)
}

/// What is wrong with a littlefs that is there and is no store.
fn superblock<F: NorFlash, const BLOCKS: usize>(block: &[u8]) -> Option<StoreError> {
    block.get(MAGIC_AT..)?.strip_prefix(MAGIC)?;
    let number = |at: usize| block.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (block_bytes, blocks) = (number(SIZES_AT)?, number(SIZES_AT + 4)?);
    let ours = usize::try_from(block_bytes) == Ok(Region::<F, BLOCKS>::BLOCK_BYTES)
        && usize::try_from(blocks) == Ok(BLOCKS);
    let found = if ours { Found::Littlefs } else { Found::OtherBlocks { block_bytes, blocks } };
    Some(StoreError::Foreign(found))
}
