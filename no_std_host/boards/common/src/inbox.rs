//! Bytes on their way from an interrupt to the program.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A queue of at most `N` bytes, a power of two: an interrupt service routine pushes, the program pops. No lock, and nothing
/// is ever overwritten: where it is full, the routine leaves the byte in the device.
#[derive(Debug)]
pub struct Inbox<const N: usize> {
    bytes: [AtomicU8; N],
    /// How many bytes were ever pushed and popped, wrapping.
    pushed: AtomicUsize,
    popped: AtomicUsize,
}

impl<const N: usize> Default for Inbox<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Inbox<N> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        assert!(N.is_power_of_two(), "counts wrap at a power of two, so the queue must as well");
        Self {
            bytes: [const { AtomicU8::new(0) }; N],
            pushed: AtomicUsize::new(0),
            popped: AtomicUsize::new(0),
        }
    }

    /// Whether there is nothing to pop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing more can be pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= N
    }

    /// Adds a byte, for the one interrupt service routine; `false` where there is no room.
    pub fn push(&self, byte: u8) -> bool {
        let pushed = self.pushed.load(Ordering::Relaxed);
        let (false, Some(slot)) = (self.is_full(), self.bytes.get(pushed % N)) else { return false };
        slot.store(byte, Ordering::Relaxed);
        // Whoever sees the count sees the byte.
        self.pushed.store(pushed.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes the oldest byte, for the program.
    pub fn pop(&self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let popped = self.popped.load(Ordering::Relaxed);
        let byte = self.bytes.get(popped % N)?.load(Ordering::Relaxed);
        // The slot is free only once it was read.
        self.popped.store(popped.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    /// Waits for the first byte, and takes what is there, as much as `bytes` has room for. Gives how many, 0 only where there is
    /// no room at all.
    pub fn read(&self, bytes: &mut [u8]) -> usize {
        while self.is_empty() && !bytes.is_empty() {
            core::hint::spin_loop();
        }
        let mut count = 0;
        for (place, byte) in bytes.iter_mut().zip(core::iter::from_fn(|| self.pop())) {
            *place = byte;
            count += 1;
        }
        count
    }

    fn len(&self) -> usize {
        let popped = self.popped.load(Ordering::Acquire);
        self.pushed.load(Ordering::Acquire).wrapping_sub(popped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_none_is_lost_where_it_is_full() {
        let inbox = Inbox::<4>::new();
        assert_eq!(inbox.pop(), None);
        let mut expected = 0;
        // More rounds than slots, so that it wraps.
        for round in 0..10_u8 {
            for byte in 0..4 {
                assert!(inbox.push(round * 4 + byte));
            }
            assert!(inbox.is_full() && !inbox.push(99));
            for _ in 0..4 {
                assert_eq!(inbox.pop(), Some(expected));
                expected += 1;
            }
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn a_read_takes_what_is_there_and_waits_for_the_first() {
        extern crate std;
        let inbox = Inbox::<8>::new();
        let mut bytes = [0; 3];
        assert_eq!(inbox.read(&mut []), 0);
        (1..=4).for_each(|byte| assert!(inbox.push(byte)));
        assert_eq!((inbox.read(&mut bytes), bytes), (3, [1, 2, 3]));
        assert_eq!((inbox.read(&mut bytes), bytes[0]), (1, 4));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| inbox.read(&mut [0; 3]));
            assert!(inbox.push(5));
            assert_eq!(reader.join().unwrap(), 1);
        });
    }

    #[test]
    fn a_thread_that_pushes_and_one_that_pops_agree() {
        extern crate std;
        let inbox = Inbox::<8>::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..=255).for_each(|byte| while !inbox.push(byte) {}));
            for expected in 0..=255 {
                let byte = loop {
                    if let Some(byte) = inbox.pop() {
                        break byte;
                    }
                };
                assert_eq!(byte, expected);
            }
        });
    }
}
