//! Flash that outlives the emulator: a file of the host.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use semihosting::fs::{File, OpenOptions};
use semihosting::io::{self, Read, Seek, SeekFrom, Write};
use semihosting::sys::arm_compat::sys_get_cmdline_uninit;

/// Bytes of the flash, and of a block that is erased at once: those of a small chip on a board's SPI.
const BYTES: usize = 256 << 10;
const BLOCK: usize = 4 << 10;
/// Blocks of the flash.
pub const BLOCKS: usize = BYTES / BLOCK;
/// Bytes of the smallest program.
const WORD: usize = 4;

/// A file of the host with the manners of NOR flash: a program only clears bits, and only an erased block has all of them
/// set. The whole command line that the host gives is the file's name; without one it is `flash.img`.
///
/// Killing the emulator is a power cut. What was under way then may have happened in part.
#[derive(Debug)]
pub struct HostFlash(File);

/// Why the flash did not do as asked.
#[derive(Debug)]
pub enum FlashError {
    /// It was asked for what it does not have or can't do.
    Asked(NorFlashErrorKind),
    /// The host did not do it.
    Host(io::Error),
}

impl HostFlash {
    /// Opens the file, or makes one that is blank.
    ///
    /// # Errors
    ///
    /// Where the host can't.
    pub fn open() -> Result<Self, FlashError> {
        let mut line = [0; LONGEST_NAME];
        let name = name(&mut line).unwrap_or(c"flash.img");
        let file = match OpenOptions::new().read(true).write(true).open(name) {
            Ok(file) => file,
            Err(_) => OpenOptions::new().read(true).write(true).create(true).truncate(true).open(name)?,
        };
        let mut flash = Self(file);
        // A file that is too short: a new one, or one that was cut off while it was new.
        let there = usize::try_from(flash.0.metadata()?.len()).unwrap_or(usize::MAX);
        for block in (there / BLOCK..BYTES / BLOCK).map(|block| block * BLOCK) {
            flash.blank(block)?;
        }
        Ok(flash)
    }

    fn blank(&mut self, block: usize) -> Result<(), FlashError> {
        self.seek(block)?;
        for _ in 0..BLOCK / BLANK.len() {
            self.0.write_all(&BLANK)?;
        }
        Ok(())
    }

    fn seek(&mut self, offset: usize) -> Result<(), FlashError> {
        self.0.seek(SeekFrom::Start(offset as u64))?;
        Ok(())
    }
}

/// The name of the file, from the host's command line.
fn name(line: &mut [u8; LONGEST_NAME]) -> Option<&CStr> {
    let mut buffer = [MaybeUninit::uninit(); LONGEST_NAME];
    // Without the zero at its end.
    let given = sys_get_cmdline_uninit(&mut buffer).ok()?;
    line.get_mut(..given.len())?.copy_from_slice(given);
    CStr::from_bytes_until_nul(line).ok().filter(|name| !name.is_empty())
}

/// Bytes of a path on Linux at most would be 4,096, but that is half of the stack.
const LONGEST_NAME: usize = 256;

/// A piece of a blank block.
static BLANK: [u8; 512] = [0xff; 512];

impl From<io::Error> for FlashError {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self::Asked(kind)
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Asked(kind) => *kind,
            Self::Host(_) => NorFlashErrorKind::Other,
        }
    }
}

impl ErrorType for HostFlash {
    type Error = FlashError;
}

impl ReadNorFlash for HostFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        self.seek(offset as usize)?;
        self.0.read_exact(bytes)?;
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for HostFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = BLOCK;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        for block in (from as usize..to as usize).step_by(BLOCK) {
            self.blank(block)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        let mut buffer = [0; 64];
        let mut at = offset as usize;
        for piece in bytes.chunks(buffer.len()) {
            let after = &mut buffer[..piece.len()];
            self.seek(at)?;
            self.0.read_exact(after)?;
            for (bits, wanted) in after.iter_mut().zip(piece) {
                *bits &= wanted;
            }
            self.seek(at)?;
            self.0.write_all(after)?;
            at += piece.len();
        }
        Ok(())
    }
}
