//! A NOR flash in memory that keeps a chip's rules, counts, wears out, and loses power when it is told to.
//!
//! ```
//! use embedded_storage::nor_flash::NorFlash;
//! use no_std_host::{FlashStore, sim::{SimFlash, Tear}};
//!
//! let flash = SimFlash::<4, 4096>::new(32);
//! let store = FlashStore::<_, 32>::open(flash.clone())?;
//! println!("made with {} erases", flash.counts().erases);
//! flash.cut_after(3, Tear::Back);
//! # drop(store);
//! # Ok::<(), no_std_host::StoreError>(())
//! ```

use alloc::{rc::Rc, vec, vec::Vec};
use core::{cell::RefCell, fmt};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// A NOR flash of words of `WRITE` bytes, which are programmed at once, and blocks of `ERASE` bytes. It is read by 4 bytes, or
/// by 1 where its words are shorter.
///
/// All clones are one chip; [`SimFlash::copy`] makes another one.
///
/// # Panics
/// Where whoever uses it breaks a rule: reads or writes outside of it or unaligned, or programs a word that is not erased. In a block
/// where a power cut has torn something since it was erased, that may happen to who keeps the rules: what looks erased may not be.
/// A chip clears more bits then, or reports an error, if it [checks words](SimFlash::check_words).
#[derive(Clone, Debug)]
pub struct SimFlash<const WRITE: usize, const ERASE: usize> {
    chip: Rc<RefCell<Chip>>,
}

/// What becomes of the bytes that are being programmed or erased when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// They stay as they were.
    Nothing,
    /// The first half is done.
    Front,
    /// The second half is done.
    Back,
    /// All bits are cleared.
    Zeros,
    /// Any bits are cleared; or set, where they were being erased.
    Random,
}

/// What was done to a flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads.
    pub reads: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Times that bytes were programmed.
    pub programs: u64,
    /// Bytes that were programmed.
    pub programmed_bytes: u64,
    /// Blocks that were erased.
    pub erases: u64,
}

/// What the flash reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// The power is off.
    PowerOff,
    /// The block is worn out.
    Worn,
    /// The words are not erased, which the chip checks.
    NotErased,
    /// It can't be read.
    Unreadable,
}

#[derive(Clone, Debug)]
struct Chip {
    bytes: Vec<u8>,
    /// Words that a power cut has torn since their block was erased.
    torn: Vec<bool>,
    /// Times that each block was erased.
    wear: Vec<u32>,
    worn: Vec<bool>,
    unreadable: bool,
    /// Reads until one fails.
    failing_read: Option<u64>,
    check_words: bool,
    counts: Counts,
    /// Programs and erases that the power lasts for.
    left: Option<(u64, Tear)>,
    off: bool,
    random: u64,
}

impl Tear {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Nothing, Self::Front, Self::Back, Self::Zeros, Self::Random];
}

impl<const WRITE: usize, const ERASE: usize> SimFlash<WRITE, ERASE> {
    /// A blank flash of so many blocks.
    #[must_use]
    pub fn new(blocks: usize) -> Self {
        let bytes = blocks * ERASE;
        let chip = Chip {
            bytes: vec![0xff; bytes],
            torn: vec![false; bytes / WRITE],
            wear: vec![0; blocks],
            worn: vec![false; blocks],
            unreadable: false,
            failing_read: None,
            check_words: false,
            counts: Counts::default(),
            left: None,
            off: false,
            random: 0x9e37_79b9_7f4a_7c15,
        };
        Self { chip: Rc::new(RefCell::new(chip)) }
    }

    /// Another chip with the same content and wear.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { chip: Rc::new(RefCell::new(self.chip.borrow().clone())) }
    }

    /// Cuts the power at the program or erase after the next `operations`, and gives power until then.
    pub fn cut_after(&self, operations: u64, tear: Tear) {
        let mut chip = self.chip.borrow_mut();
        chip.off = false;
        chip.left = Some((operations, tear));
    }

    /// Gives power, for good.
    pub fn power_on(&self) {
        let mut chip = self.chip.borrow_mut();
        chip.off = false;
        chip.left = None;
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.chip.borrow().off
    }

    /// From now on the chip reports an error where words are programmed that are not erased, or that a power cut has torn, as one
    /// with a code for each word to correct errors by does.
    pub fn check_words(&self) {
        self.chip.borrow_mut().check_words = true;
    }

    /// Wears a block out: it can't be programmed or erased any more.
    pub fn wear_out(&self, block: usize) {
        if let Some(worn) = self.chip.borrow_mut().worn.get_mut(block) {
            *worn = true;
        }
    }

    /// Whether reading fails.
    pub fn set_unreadable(&self, is_unreadable: bool) {
        self.chip.borrow_mut().unreadable = is_unreadable;
    }

    /// The read after the next `reads` fails, and only this one.
    pub fn fail_read_after(&self, reads: u64) {
        self.chip.borrow_mut().failing_read = Some(reads);
    }

    /// Whether the read that is to fail is still to come.
    #[must_use]
    pub fn has_failing_read(&self) -> bool {
        self.chip.borrow().failing_read.is_some()
    }

    /// No read is to fail.
    pub fn fail_no_read(&self) {
        self.chip.borrow_mut().failing_read = None;
    }

    /// What was done to the flash so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.chip.borrow().counts
    }

    /// Times that each block was erased.
    #[must_use]
    pub fn wear(&self) -> Vec<u32> {
        self.chip.borrow().wear.clone()
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.chip.borrow().bytes.clone()
    }

    /// Changes what the flash holds, as no program could: what somebody else has left there, or what radiation does.
    pub fn edit(&self, edit: impl FnOnce(&mut [u8])) {
        edit(&mut self.chip.borrow_mut().bytes);
    }
}

impl Chip {
    /// Counts an operation. How it is torn, if the power goes at it.
    fn power(&mut self) -> Result<Option<Tear>, SimError> {
        if self.off {
            return Err(SimError::PowerOff);
        }
        match &mut self.left {
            Some((0, tear)) => {
                self.off = true;
                Ok(Some(*tear))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn random(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 24) as u8
    }

    /// What a byte becomes that should become `to`; `half` is whether it is in the first half of what is done.
    fn torn_byte(&mut self, tear: Tear, is_front: bool, from: u8, to: u8) -> u8 {
        match tear {
            Tear::Nothing => from,
            Tear::Front => {
                if is_front {
                    to
                } else {
                    from
                }
            }
            Tear::Back => {
                if is_front {
                    from
                } else {
                    to
                }
            }
            Tear::Zeros => 0,
            // Programming only clears bits. Erasing clears them all before it sets them.
            Tear::Random => {
                if to == 0xff {
                    self.random()
                } else {
                    from & self.random()
                }
            }
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for SimFlash<WRITE, ERASE> {
    type Error = SimError;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for SimFlash<WRITE, ERASE> {
    const READ_SIZE: usize = if WRITE < 4 { 1 } else { 4 };

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        assert_eq!(
            check_read(self, offset, bytes.len()),
            Ok(()),
            "read of {} bytes at {offset}",
            bytes.len()
        );
        let mut chip = self.chip.borrow_mut();
        if chip.off {
            return Err(SimError::PowerOff);
        }
        if chip.unreadable {
            return Err(SimError::Unreadable);
        }
        match chip.failing_read {
            Some(0) => {
                chip.failing_read = None;
                return Err(SimError::Unreadable);
            }
            Some(left) => chip.failing_read = Some(left - 1),
            None => {}
        }
        chip.counts.reads += 1;
        chip.counts.read_bytes += bytes.len() as u64;
        let at = offset as usize;
        bytes.copy_from_slice(&chip.bytes[at..at + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for SimFlash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        assert_eq!(
            check_write(self, offset, bytes.len()),
            Ok(()),
            "program of {} bytes at {offset}",
            bytes.len()
        );
        let mut chip = self.chip.borrow_mut();
        let at = offset as usize;
        let tear = chip.power()?;
        chip.counts.programs += 1;
        chip.counts.programmed_bytes += bytes.len() as u64;
        if chip.worn[at / ERASE] {
            return Err(SimError::Worn);
        }
        let words = at / WRITE..(at + bytes.len()) / WRITE;
        let block = at / ERASE;
        let is_doubtful = chip.torn[block * ERASE / WRITE..(block + 1) * ERASE / WRITE].contains(&true);
        for word in words.clone() {
            let is_erased = chip.bytes[word * WRITE..(word + 1) * WRITE].iter().all(|byte| *byte == 0xff);
            assert!(
                is_erased || is_doubtful,
                "the word at {:#x} is programmed, but it is not erased",
                word * WRITE
            );
            if (chip.torn[word] || !is_erased) && chip.check_words {
                return Err(SimError::NotErased);
            }
        }
        let Some(tear) = tear else {
            let cells = &mut chip.bytes[at..at + bytes.len()];
            cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte);
            return Ok(());
        };
        for (index, byte) in bytes.iter().enumerate() {
            let (from, is_front) = (chip.bytes[at + index], index < bytes.len() / 2);
            chip.bytes[at + index] = chip.torn_byte(tear, is_front, from, from & byte);
        }
        chip.torn[words].fill(true);
        Err(SimError::PowerOff)
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        assert_eq!(check_erase(self, from, to), Ok(()), "erase from {from} to {to}");
        let mut chip = self.chip.borrow_mut();
        for block in from as usize / ERASE..to as usize / ERASE {
            let tear = chip.power()?;
            chip.counts.erases += 1;
            chip.wear[block] += 1;
            if chip.worn[block] {
                return Err(SimError::Worn);
            }
            let cells = block * ERASE..(block + 1) * ERASE;
            chip.torn[cells.start / WRITE..cells.end / WRITE].fill(tear.is_some());
            let Some(tear) = tear else {
                chip.bytes[cells].fill(0xff);
                continue;
            };
            for (index, at) in cells.enumerate() {
                let from = chip.bytes[at];
                chip.bytes[at] = chip.torn_byte(tear, index < ERASE / 2, from, 0xff);
            }
            return Err(SimError::PowerOff);
        }
        Ok(())
    }
}

impl NorFlashError for SimError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOff => "the power is off",
            Self::Worn => "the block is worn out",
            Self::NotErased => "the words are not erased",
            Self::Unreadable => "it can't be read",
        })
    }
}

impl core::error::Error for SimError {}
