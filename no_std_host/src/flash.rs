//! Any NOR flash as littlefs wants it: blocks of one size, and codes for what went wrong.

use alloc::rc::Rc;
use core::{cell::Cell, fmt};

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use littlefs2::{consts, driver::Storage, io};

/// Bytes of each of littlefs's caches. It has two, and one more for a file that is open.
pub(crate) const CACHE_BYTES: usize = 256;

/// The first `BLOCKS` blocks of a flash.
pub(crate) struct Region<F, const BLOCKS: usize> {
    pub(crate) flash: F,
    /// The last thing that the flash could not do.
    pub(crate) fault: Rc<Cell<Option<FlashFault>>>,
}

/// Something that a flash could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashFault {
    /// What it was to do.
    pub operation: FlashOperation,
    /// Where: bytes from the start of the flash.
    pub at: u32,
    /// What the flash says of it.
    pub kind: NorFlashErrorKind,
}

/// What is done to a flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashOperation {
    /// Reading.
    Read,
    /// Programming, which clears bits.
    Program,
    /// Erasing, which sets all bits of a block.
    Erase,
}

/// Bytes of a block: as many erasable units as it takes for at least 512 that the caches divide.
pub(crate) const fn block_bytes(erase_bytes: usize) -> usize {
    let mut bytes = erase_bytes;
    while bytes < 512 || !bytes.is_multiple_of(CACHE_BYTES) {
        bytes += erase_bytes;
    }
    bytes
}

impl<F: NorFlash, const BLOCKS: usize> Region<F, BLOCKS> {
    /// Bytes of a block.
    pub(crate) const BLOCK_BYTES: usize = block_bytes(F::ERASE_SIZE);
    /// Bytes of all blocks.
    pub(crate) const BYTES: usize = BLOCKS * Self::BLOCK_BYTES;

    /// What littlefs asks of a geometry, checked where the firmware is built.
    const FITS: () = {
        assert!(F::READ_SIZE > 0 && CACHE_BYTES.is_multiple_of(F::READ_SIZE), "READ_SIZE must divide 256");
        assert!(F::WRITE_SIZE > 0 && CACHE_BYTES.is_multiple_of(F::WRITE_SIZE), "WRITE_SIZE must divide 256");
        assert!(BLOCKS >= 16, "a store needs 16 blocks or more");
        assert!(Self::BYTES <= 1 << 30, "a store has 1 GiB or less");
    };

    pub(crate) fn new(flash: F) -> Self {
        let () = Self::FITS;
        Self { flash, fault: Rc::default() }
    }

    /// Reads `bytes` from `at` on, for those who look at the flash without littlefs. Both must be multiples of 256.
    pub(crate) fn read_at(&mut self, at: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.read(at, bytes).map(drop)
    }

    /// Notes what the flash said. Reading again may help, so a read that failed is an error of its own. To littlefs a block
    /// that can't be programmed or erased is a bad one, which it leaves for another; arguments that the flash
    /// refuses would be refused anywhere.
    fn told(&mut self, operation: FlashOperation, at: usize, kind: NorFlashErrorKind) -> io::Error {
        self.fault.set(Some(FlashFault { operation, at: u32::try_from(at).unwrap_or(u32::MAX), kind }));
        match (operation, kind) {
            (FlashOperation::Read, _)
            | (_, NorFlashErrorKind::NotAligned | NorFlashErrorKind::OutOfBounds) => io::Error::IO,
            _ => io::Error::CORRUPTION,
        }
    }

    fn outside(&mut self, operation: FlashOperation, at: usize) -> io::Error {
        self.told(operation, at, NorFlashErrorKind::OutOfBounds)
    }
}

impl<F: NorFlash, const BLOCKS: usize> Storage for Region<F, BLOCKS> {
    const READ_SIZE: usize = <F as ReadNorFlash>::READ_SIZE;
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const BLOCK_SIZE: usize = Self::BLOCK_BYTES;
    const BLOCK_COUNT: usize = BLOCKS;
    /// Times that a block of a folder's log is erased before the log moves on. Docs/flash-format.md has what was measured.
    const BLOCK_CYCLES: isize = 100;
    type CACHE_SIZE = consts::U256;
    /// In units of 64 blocks.
    type LOOKAHEAD_SIZE = consts::U2;

    fn read(&mut self, at: usize, bytes: &mut [u8]) -> io::Result<usize> {
        let Ok(from) = u32::try_from(at) else { return Err(self.outside(FlashOperation::Read, at)) };
        match self.flash.read(from, bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(self.told(FlashOperation::Read, at, error.kind())),
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> io::Result<usize> {
        let Ok(from) = u32::try_from(at) else { return Err(self.outside(FlashOperation::Program, at)) };
        match self.flash.write(from, bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(self.told(FlashOperation::Program, at, error.kind())),
        }
    }

    fn erase(&mut self, at: usize, bytes: usize) -> io::Result<usize> {
        let range = at.checked_add(bytes).map(|end| (u32::try_from(at), u32::try_from(end)));
        let Some((Ok(from), Ok(to))) = range else { return Err(self.outside(FlashOperation::Erase, at)) };
        match self.flash.erase(from, to) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(self.told(FlashOperation::Erase, at, error.kind())),
        }
    }
}

impl fmt::Display for FlashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, at, .. } = self;
        let kind = match self.kind {
            NorFlashErrorKind::NotAligned => "its driver says that it is not aligned",
            NorFlashErrorKind::OutOfBounds => "its driver says that it is out of bounds",
            _ if *operation == FlashOperation::Read => "its driver reports an error",
            _ => "its driver reports an error, it may be worn out",
        };
        write!(f, "the flash can't {operation} at {at:#x}: {kind}")
    }
}

impl fmt::Display for FlashOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Program => "program",
            Self::Erase => "erase",
        })
    }
}
