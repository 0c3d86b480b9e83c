//! What a board gives to the shell.

use embedded_io::{Read, ReadReady, Write};
use toehold::{Millis, UnixMillis, Uuid};

use crate::Depot;

/// The kinds of a board's parts. A firmware implements it once, for a type that has no content.
pub trait Board {
    /// Where jobs and packages lie: [`FlashStore`](crate::FlashStore), on whatever NOR flash the board has.
    type Store: Depot;
    /// Where people and `toehold board` talk to the board: a UART for one.
    type Console: Read + ReadReady + Write;
    /// Tells the time, and waits.
    type Clock: Clock;
    /// Where random bytes come from.
    type Entropy: Entropy;
    /// What the firmware knows of its memory.
    type Memory: Memory;
    /// What outlives a reset.
    type Witness: Witness;
}

/// The parts of a board that the shell runs on. It owns all of them.
#[expect(missing_debug_implementations, reason = "parts of boards seldom have one")]
pub struct Parts<B: Board> {
    /// See [`Board::Store`].
    pub store: B::Store,
    /// See [`Board::Console`].
    pub console: B::Console,
    /// See [`Board::Clock`].
    pub clock: B::Clock,
    /// See [`Board::Entropy`].
    pub entropy: B::Entropy,
    /// See [`Board::Memory`].
    pub memory: B::Memory,
    /// See [`Board::Witness`].
    pub witness: B::Witness,
}

/// A clock, and the way to sleep on it.
pub trait Clock {
    /// Milliseconds of a clock that only goes forward, from any origin.
    fn now(&mut self) -> Millis;

    /// Milliseconds since 1970, UTC, if the board knows them.
    fn unix(&mut self) -> Option<UnixMillis> {
        None
    }

    /// Sleeps until something may have happened: an interrupt, a byte for the console, or that it is `until`. May come back
    /// at once.
    fn wait(&mut self, until: Option<Millis>);
}

/// A source of random bytes that nobody can guess, for ids and for guests.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Bytes of an allocation up to which a [guarded](Memory::guard) allocator serves it as ever: a state or a reply, which the host has to
/// hold while it hands them on.
pub const GUARDED_BYTES: usize = 4 << 10;

/// What the firmware knows of its memory.
pub trait Memory {
    /// Bytes of the heap that are free. They need not be in one piece.
    fn free(&self) -> usize;

    /// Bytes of the heap, free or not.
    fn total(&self) -> usize;

    /// Whether the heap has free pieces of these many bytes, all at the same time. It takes them, and gives them back.
    fn has(&self, pieces: &mut dyn Iterator<Item = usize>) -> bool;

    /// From now on, until it is called with 0, an allocation of more than [`GUARDED_BYTES`] fails where it would leave no piece of
    /// `reserve` bytes. The shell calls it while a guest runs, whose memory, tables and stack are the large ones: a guest
    /// that can't have them fails by itself, and what the shell needs to say so is still there.
    ///
    /// Without it a job can take so much that the next small allocation, whose ever it is, panics.
    fn guard(&self, reserve: usize);

    /// Bytes of the heap that were never used so far, if the allocator knows.
    fn never_used(&self) -> Option<usize> {
        None
    }

    /// Bytes of the stack that were never used so far, if start-up code fills it so that one can see.
    fn stack_never_used(&self) -> Option<usize> {
        None
    }
}

/// A place that keeps its content through a reset, if not through a power cut: RAM that start-up code leaves alone.
///
/// An allocator that has nothing left can't say so to whoever asked: the firmware panics and resets. The shell notes here
/// what it is about to do for which job, so that after the reset it knows whose fault it was, and does not do it for ever.
pub trait Witness {
    /// Notes what is being done. Called before each turn of a job, so it must be quick.
    fn note(&mut self, doing: Doing);

    /// What was being done when the board was reset by a panic, and what the panic said, cut to what there was room for.
    /// `None` after a power cut, and the second time.
    fn take(&mut self) -> Option<(Doing, &str)>;
}

/// What the shell does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Nothing for any job.
    #[default]
    Idle,
    /// It runs this job, or brings it into memory.
    Job(Uuid),
    /// It tries a package that is being installed.
    Install,
}
