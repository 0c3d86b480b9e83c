//! RAM that start-up leaves alone: what was being done, and what a panic said.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use no_std_host::{Doing, Witness};
use toehold::Uuid;

use crate::{Heap, OutOfMemory};

/// Words of text that there is room for.
const TEXT_WORDS: usize = 40;
/// Bytes of text that there is room for.
const TEXT_BYTES: usize = TEXT_WORDS * 4;

/// What outlives a reset. It belongs into a section that start-up code does not clear:
///
/// ```ignore
/// #[unsafe(link_section = ".uninit.witness")]
/// static RECORD: Record = Record::new();
/// ```
///
/// After a power cut it holds whatever the RAM woke up with, so each half has a checksum of its own.
#[derive(Debug)]
pub struct Record {
    /// What is being done: the kind, and a job's id.
    doing: [AtomicU32; 5],
    doing_check: AtomicU32,
    /// What a panic said: its bytes, and how many.
    text: [AtomicU32; TEXT_WORDS],
    text_bytes: AtomicU32,
    text_check: AtomicU32,
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    /// One that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            doing: [const { AtomicU32::new(0) }; 5],
            doing_check: AtomicU32::new(0),
            text: [const { AtomicU32::new(0) }; TEXT_WORDS],
            text_bytes: AtomicU32::new(0),
            text_check: AtomicU32::new(0),
        }
    }

    /// Keeps last words, for a panic or fault handler that is about to reset the board, and what `heap` could not give, if
    /// anything: out of memory is the most frequent reason. Cut to what there is room for.
    pub fn last_words(&self, words: fmt::Arguments<'_>, heap: &Heap) {
        let mut text = Text { record: self, bytes: 0, word: 0 };
        // It takes all that it is given and cuts what is too long, so there is no error.
        let _ = fmt::Write::write_fmt(&mut text, words);
        if let Some(OutOfMemory { asked, free }) = heap.failure() {
            let _ = fmt::Write::write_fmt(
                &mut text,
                format_args!("; the last allocation that failed asked for {asked} bytes, {free} were free"),
            );
        }
        text.end();
    }

    fn text_sum(&self) -> u32 {
        sum(self.text.iter().chain([&self.text_bytes]), 0x7e87)
    }

    fn doing_sum(&self) -> u32 {
        sum(&self.doing, 0xd019)
    }

    fn set_doing(&self, doing: Doing) {
        let (kind, id) = match doing {
            Doing::Idle => (0, Uuid::nil()),
            Doing::Job(id) => (1, id),
            Doing::Install => (2, Uuid::nil()),
        };
        let words = id
            .as_bytes()
            .chunks_exact(4)
            .map(|four| four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)));
        for (slot, word) in self.doing.iter().zip([kind].into_iter().chain(words)) {
            slot.store(word, Ordering::Relaxed);
        }
        self.doing_check.store(self.doing_sum(), Ordering::Relaxed);
    }

    fn doing(&self) -> Doing {
        if self.doing_check.load(Ordering::Relaxed) != self.doing_sum() {
            return Doing::Idle;
        }
        let [kind, a, b, c, d] = self.doing.each_ref().map(|word| word.load(Ordering::Relaxed));
        match kind {
            1 => Doing::Job(Uuid::from_u128(
                [a, b, c, d].iter().fold(0, |id, word| id << 32 | u128::from(*word)),
            )),
            2 => Doing::Install,
            _ => Doing::Idle,
        }
    }

    /// The last words, once, into `bytes`.
    fn take_text<'t>(&self, bytes: &'t mut [u8; TEXT_BYTES]) -> Option<&'t str> {
        let is_there = self.text_check.load(Ordering::Relaxed) == self.text_sum();
        self.text_check.store(!self.text_sum(), Ordering::Relaxed);
        if !is_there {
            return None;
        }
        for (four, word) in bytes.chunks_exact_mut(4).zip(&self.text) {
            four.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let length = usize::try_from(self.text_bytes.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let text = bytes.get(..length)?;
        // The last character may have been cut.
        Some(text.utf8_chunks().next().map_or("", |chunk| chunk.valid()))
    }
}

/// So that a record that RAM woke up with is no record: half of all bits would have to fall right.
fn sum<'w>(words: impl IntoIterator<Item = &'w AtomicU32>, seed: u32) -> u32 {
    words.into_iter().fold(0x811c_9dc5 ^ seed, |sum, word| {
        (sum ^ word.load(Ordering::Relaxed)).wrapping_mul(0x0100_0193).rotate_left(5)
    })
}

/// Writes text into a record, four bytes at a time.
struct Text<'r> {
    record: &'r Record,
    bytes: usize,
    word: u32,
}

impl Text<'_> {
    fn store(&mut self) {
        if let Some(slot) = self.record.text.get(self.bytes / 4) {
            slot.store(self.word, Ordering::Relaxed);
        }
    }

    fn end(mut self) {
        self.store();
        self.record.text_bytes.store(u32::try_from(self.bytes).unwrap_or(0), Ordering::Relaxed);
        self.record.text_check.store(self.record.text_sum(), Ordering::Relaxed);
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes().take(TEXT_BYTES.saturating_sub(self.bytes)) {
            self.word |= u32::from(byte) << (self.bytes % 4 * 8);
            if self.bytes % 4 == 3 {
                self.store();
                self.word = 0;
            }
            self.bytes += 1;
        }
        Ok(())
    }
}

/// The shell's end of a [`Record`].
#[derive(Debug)]
pub struct LastWords {
    record: &'static Record,
    text: [u8; TEXT_BYTES],
}

impl LastWords {
    /// Of this record.
    #[must_use]
    pub const fn of(record: &'static Record) -> Self {
        Self { record, text: [0; TEXT_BYTES] }
    }
}

impl Witness for LastWords {
    fn note(&mut self, doing: Doing) {
        self.record.set_doing(doing);
    }

    fn take(&mut self) -> Option<(Doing, &str)> {
        let doing = self.record.doing();
        self.record.set_doing(Doing::Idle);
        let text = self.record.take_text(&mut self.text)?;
        Some((doing, text))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::alloc::{GlobalAlloc, Layout};
    use std::boxed::Box;
    use std::format;

    use super::*;

    static HEAP: Heap = Heap::empty();

    fn record() -> &'static Record {
        Box::leak(Box::new(Record::new()))
    }

    #[test]
    fn what_a_panic_said_is_there_once() {
        let record = record();
        let id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let mut before = LastWords::of(record);
        assert_eq!(before.take(), None);
        before.note(Doing::Job(id));
        assert_eq!(record.doing(), Doing::Job(id));
        record.last_words(format_args!("it was {}", "the heap"), &HEAP);
        let mut after = LastWords::of(record);
        assert_eq!(after.take(), Some((Doing::Job(id), "it was the heap")));
        assert_eq!(after.take(), None);
        record.last_words(format_args!("again"), &HEAP);
        assert_eq!(after.take(), Some((Doing::Idle, "again")));
    }

    #[test]
    fn an_allocation_that_failed_is_told_of() {
        let record = record();
        let heap = Heap::empty();
        // SAFETY: the layout has a size.
        let pointer = unsafe { heap.alloc(Layout::new::<[u8; 40]>()) };
        assert!(pointer.is_null());
        record.last_words(format_args!("fault"), &heap);
        let words = "fault; the last allocation that failed asked for 40 bytes, 0 were free";
        assert_eq!(LastWords::of(record).take(), Some((Doing::Idle, words)));
    }

    #[test]
    fn words_are_cut_between_characters() {
        let record = record();
        for (length, kept) in
            [(TEXT_BYTES - 1, TEXT_BYTES - 1), (TEXT_BYTES, TEXT_BYTES), (TEXT_BYTES + 9, TEXT_BYTES)]
        {
            let words = "x".repeat(length);
            record.last_words(format_args!("{words}"), &HEAP);
            assert_eq!(LastWords::of(record).take(), Some((Doing::Idle, &words[..kept])));
            // A character of two bytes that is cut in the middle is left out.
            record.last_words(format_args!("{}äöü", &words[..TEXT_BYTES - 3]), &HEAP);
            let expected = format!("{}ä", &words[..TEXT_BYTES - 3]);
            assert_eq!(LastWords::of(record).take(), Some((Doing::Idle, &*expected)));
        }
    }

    #[test]
    fn any_bit_that_is_wrong_is_seen() {
        let record = record();
        let said = |record: &'static Record| LastWords::of(record).take().is_some();
        for bit in 0..32 {
            for word in record.text.iter().chain([&record.text_bytes, &record.text_check]) {
                record.last_words(format_args!("words"), &HEAP);
                word.fetch_xor(1 << bit, Ordering::Relaxed);
                assert!(!said(record));
            }
            for word in record.doing.iter().chain([&record.doing_check]) {
                record.set_doing(Doing::Install);
                word.fetch_xor(1 << bit, Ordering::Relaxed);
                assert_eq!(record.doing(), Doing::Idle);
            }
        }
    }
}
