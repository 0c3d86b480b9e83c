//! Two flash chips side by side, with Intel's command set (CFI 0001). QEMU keeps what is in them in a file.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::devices::{FLASH_BYTES, flash_word};

/// Bytes of a block that is erased at once: 128 KiB of each chip.
const BLOCK: usize = 256 << 10;
/// Blocks of the flash.
pub const BLOCKS: usize = FLASH_BYTES / BLOCK;
/// Bytes of the smallest program: 16 bits of each chip.
const WORD: usize = 4;
/// Bytes that are programmed at once: the chips' buffers of 32 words. They may not cross a boundary of as many.
const BUFFER: usize = 128;

/// Commands, for both chips at once.
const READ: u32 = both(0xff);
const CLEAR_STATUS: u32 = both(0x50);
const UNLOCK: u32 = both(0x60);
const ERASE: u32 = both(0x20);
const FILL_BUFFER: u32 = both(0xe8);
const CONFIRM: u32 = both(0xd0);

/// In the status: ready, and what went wrong: erase, program, low voltage, a locked block.
const READY: u32 = both(0x80);
const FAILED: u32 = both(0x20 | 0x10 | 0x08 | 0x02);

const fn both(chip: u16) -> u32 {
    (chip as u32) << 16 | chip as u32
}

/// The flash chips. Killing the emulator is a power cut. What was under way then may have happened in part.
#[derive(Debug)]
pub struct CfiFlash(());

/// Why the flash did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// It was asked for what it does not have or can't do.
    Asked(NorFlashErrorKind),
    /// The chips say in this status, 16 bits each, that they could not.
    Chips(u32),
    /// The word at this offset is not what was programmed.
    Differs(u32),
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
            Self::Chips(_) | Self::Differs(_) => NorFlashErrorKind::Other,
        }
    }
}

impl CfiFlash {
    /// Makes the chips ready.
    #[must_use]
    pub fn open() -> Self {
        command(0, CLEAR_STATUS);
        command(0, READ);
        Self(())
    }
}

/// A command for the block that `offset` is in.
fn command(offset: usize, command: u32) {
    flash_word(offset).write(command);
}

/// Waits until the chips have done what they were told, and goes back to reading.
fn finish(offset: usize) -> Result<(), FlashError> {
    let status = loop {
        let status = flash_word(offset).read();
        if status & READY == READY {
            break status;
        }
    };
    command(offset, CLEAR_STATUS);
    command(offset, READ);
    if status & FAILED == 0 { Ok(()) } else { Err(FlashError::Chips(status)) }
}

/// Programs words that are in one buffer.
fn program(offset: usize, words: &[u8]) -> Result<(), FlashError> {
    let words = || {
        words.chunks_exact(WORD).enumerate().map(|(index, word)| {
            let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            (offset + index * WORD, word)
        })
    };
    command(offset, UNLOCK);
    command(offset, CONFIRM);
    finish(offset)?;
    // Real chips only clear bits; QEMU's would set them too.
    let mut after = [0; BUFFER / WORD];
    for (after, (at, word)) in after.iter_mut().zip(words()) {
        *after = flash_word(at).read() & word;
    }
    let count = words().count();
    command(offset, FILL_BUFFER);
    // One less than the words, and each chip counts its own half.
    command(offset, both(u16::try_from(count.saturating_sub(1)).unwrap_or(0)));
    for (after, (at, _)) in after.iter().zip(words()) {
        flash_word(at).write(*after);
    }
    command(offset, CONFIRM);
    finish(offset)?;
    for (after, (at, _)) in after.iter().zip(words()) {
        if flash_word(at).read() != *after {
            return Err(FlashError::Differs(at as u32));
        }
    }
    Ok(())
}

impl ErrorType for CfiFlash {
    type Error = FlashError;
}

impl ReadNorFlash for CfiFlash {
    const READ_SIZE: usize = WORD;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        for (at, word) in (offset as usize..).step_by(WORD).zip(bytes.chunks_exact_mut(WORD)) {
            word.copy_from_slice(&flash_word(at).read().to_le_bytes());
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        FLASH_BYTES
    }
}

impl NorFlash for CfiFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = BLOCK;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        for block in (from as usize..to as usize).step_by(BLOCK) {
            command(block, UNLOCK);
            command(block, CONFIRM);
            finish(block)?;
            command(block, ERASE);
            command(block, CONFIRM);
            finish(block)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        let mut at = offset as usize;
        let mut left = bytes;
        while !left.is_empty() {
            let room = BUFFER - at % BUFFER;
            let (now, later) = left.split_at(room.min(left.len()));
            program(at, now)?;
            at += now.len();
            left = later;
        }
        Ok(())
    }
}
