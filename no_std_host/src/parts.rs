//! What a board gives to the shell.

use toehold::{Millis, UnixMillis, Uuid};

/// The parts of a board that the shell runs on. It owns all of them.
#[derive(Debug)]
pub struct Parts<F, I, C, E, M, W> {
    /// NOR flash for jobs and packages: any `embedded_storage::nor_flash::NorFlash`.
    pub flash: F,
    /// Where people and `toehold board` talk to the board: `embedded_io`'s `Read`, `ReadReady` and
    /// `Write`, a UART for one.
    pub console: I,
    /// Tells the time, and waits.
    pub clock: C,
    /// Where random bytes come from.
    pub entropy: E,
    /// What the allocator knows.
    pub memory: M,
    /// What outlives a reset.
    pub witness: W,
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

/// What the allocator knows of itself.
pub trait Memory {
    /// Bytes of the heap that are free. They need not be in one piece.
    fn free(&self) -> usize;

    /// Bytes of the heap, free or not.
    fn total(&self) -> usize;
}

/// A place that keeps its content through a reset, if not through a power cut: RAM that start-up code leaves alone.
///
/// An allocator that has nothing left can't say so to whoever asked: the firmware panics and resets. The shell notes here
/// what it is about to do for which job, so that after the reset it knows whose fault it was, and does not do it again.
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
