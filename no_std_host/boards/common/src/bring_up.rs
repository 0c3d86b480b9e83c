//! A program that shows that each part of a board works, and one that is nothing but the core.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt::{Debug, Display};
use core::task::Poll;

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use no_std_host::{Clock, Doing, Entropy, Witness};
use toehold::{
    Call, Called, Commit, JobContext, JobStart, Limits, Manifest, Millis, NotDurable, Platform, Registry,
    Stopped,
};

use crate::{BoardMemory, LastWords, unvalidated};

const MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/core_alone.wasm"));

/// Fuel of a slice.
const SLICE: u64 = 10_000;

/// The parts of a board, as its own crate has them.
#[derive(Debug)]
pub struct Parts<F, I, C, E> {
    /// Flash for jobs and packages.
    pub flash: F,
    /// A UART.
    pub console: I,
    /// A timer.
    pub clock: C,
    /// Random bytes.
    pub entropy: E,
    /// Heap and stack.
    pub memory: BoardMemory,
    /// What outlives a reset.
    pub witness: LastWords,
}

/// Shows that each part works, and then echoes what is typed: `!` panics, `s` overflows the stack, `m` asks for more memory
/// than there is. Each resets the board, and after the start it tells the last words.
///
/// # Panics
///
/// Where flash does not work, and where one types `!`.
pub fn bring_up<F, I, C, E>(parts: Parts<F, I, C, E>) -> !
where
    F: NorFlash<Error: Debug>,
    I: Read<Error: Debug> + ReadReady + Write,
    C: Clock,
    E: Entropy,
{
    let Parts { mut flash, mut console, mut clock, mut entropy, memory, mut witness } = parts;
    let say = |console: &mut I, text: &dyn Display| {
        let _ = console.write_fmt(format_args!("{text}\r\n"));
    };
    say(&mut console, &"toehold: bring-up");
    if let Some((doing, words)) = witness.take() {
        say(&mut console, &format_args!("last words while {doing:?}: {words}"));
    }
    witness.note(Doing::Install);
    let mut random = [0_u8; 16];
    entropy.fill(&mut random);
    say(&mut console, &format_args!("random {:032x}", u128::from_le_bytes(random)));
    say(&mut console, &format_args!("unix {:?}", clock.unix()));
    let starts = count_starts(&mut flash);
    say(&mut console, &format_args!("start number {starts}; flash has {} bytes", flash.capacity()));
    let before = clock.now();
    clock.wait(Some(before.saturating_add(50)));
    say(&mut console, &format_args!("slept {} ms", clock.now().saturating_sub(before)));
    let items = count(&mut clock);
    say(&mut console, &format_args!("core counted {items:?}"));
    let stack = memory.stack;
    let (bytes, unused) = (stack.bytes(), stack.never_used());
    say(&mut console, &format_args!("stack of {bytes} bytes, {unused} never used"));
    let heap = memory.heap;
    say(
        &mut console,
        &format_args!("heap peak {} of {} bytes, now {} free", heap.peak(), heap.total(), heap.free()),
    );
    say(&mut console, &"ready: what you type comes back; ! s m reset the board");
    let mut byte = [0];
    loop {
        while !console.read_ready().unwrap_or(true) {
            clock.wait(None);
        }
        match console.read(&mut byte) {
            Ok(1) if byte == *b"!" => panic!("somebody typed an exclamation mark"),
            Ok(1) if byte == *b"m" => drop(core::hint::black_box(Vec::<u8>::with_capacity(heap.total() + 1))),
            Ok(1) if byte == *b"s" => say(&mut console, &overflow(u64::from(byte[0]))),
            _ => drop(console.write_all(&byte)),
        }
    }
}

/// Overflows the stack.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: u64) -> u64 {
    core::hint::black_box([depth; 16])[0] + overflow(depth + 1)
}

/// Adds one to the number of starts, which stands at the end of flash: in the block's first word that is not blank.
#[inline(never)]
fn count_starts<F: NorFlash<Error: Debug>>(flash: &mut F) -> u32 {
    let bytes = u32::try_from(flash.capacity()).unwrap();
    let block = bytes - u32::try_from(F::ERASE_SIZE).unwrap();
    let mut word = [0; 4];
    let mut starts = 0;
    let mut at = block;
    loop {
        flash.read(at, &mut word).unwrap();
        if word == [0xff; 4] {
            break;
        }
        starts = u32::from_le_bytes(word);
        at += 4;
        if at == block + 16 {
            flash.erase(block, bytes).unwrap();
            at = block;
            break;
        }
    }
    flash.write(at, &(starts + 1).to_le_bytes()).unwrap();
    flash.read(at, &mut word).unwrap();
    u32::from_le_bytes(word)
}

/// Nothing but the core: runs a job that is part of the firmware, and says how it ended. What this takes of flash and RAM, no
/// board can do without.
pub fn core_alone(console: &mut impl Write, clock: &mut impl Clock) {
    let text = match count(clock) {
        Some(1_000_000) => "the core counted a million items\r\n",
        _ => "the core did not count a million items\r\n",
    };
    let _ = console.write_all(text.as_bytes());
}

/// Runs the job that counts.
#[inline(never)]
fn count(clock: &mut impl Clock) -> Option<u64> {
    let manifest = Manifest::new("core").ok()?;
    let limits = Limits { stack_bytes: 4 << 10, ..Limits::default() };
    let extension = unvalidated::load_own(manifest, MODULE, &limits).ok()?;
    let mut job = extension.start(&Registry::default(), "count", JobStart::default()).ok()?;
    let stopped = toehold::run(&mut job, &mut Alone(clock), SLICE);
    matches!(stopped, Stopped::Finished(_)).then(|| job.context().report().items)
}

/// A platform that can do nothing but tell the time.
struct Alone<'c, C>(&'c mut C);

impl<C: Clock> Platform for Alone<'_, C> {
    fn now(&mut self) -> Millis {
        self.0.now()
    }

    fn call(&mut self, _call: &Arc<Call>) -> Called {
        Called::Ready(Err(String::new()))
    }

    fn commit(&mut self, _job: &JobContext, _commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        Poll::Ready(Err(NotDurable::Refused))
    }

    fn idle(&mut self, until: Option<Millis>) {
        self.0.wait(until);
    }
}
