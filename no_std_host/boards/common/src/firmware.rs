//! The whole firmware, from the parts of a board.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt::Display;
use core::marker::PhantomData;

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use no_std_host::{Board, Clock, Config, Entropy, FlashStore, Shell};
use toehold::{PublicKey, Trust};

use crate::{BoardMemory, LastWords, Parts};

/// Whose packages are taken, set when the firmware is built: public keys of 64 hexadecimal digits, with commas in between.
/// Without it, anybody's.
const TRUSTED: Option<&str> = option_env!("TOEHOLD_TRUST");

/// A board with these parts, whose jobs and packages have the first `BLOCKS` blocks of the flash.
struct Machine<F, I, C, E, const BLOCKS: usize>(PhantomData<(F, I, C, E)>);

impl<F, I, C, E, const BLOCKS: usize> Board for Machine<F, I, C, E, BLOCKS>
where
    F: NorFlash + 'static,
    I: Read + ReadReady + Write,
    C: Clock,
    E: Entropy,
{
    type Store = FlashStore<F, BLOCKS>;
    type Console = I;
    type Clock = C;
    type Entropy = E;
    type Memory = BoardMemory;
    type Witness = LastWords;
}

/// Runs the shell. `config` has what is special about the board; whose packages are taken, and how they are loaded, is said here.
///
/// # Panics
///
/// Where flash can't be read any more.
pub fn firmware<F, I, C, E, const BLOCKS: usize>(parts: Parts<F, I, C, E>, config: Config) -> !
where
    F: NorFlash + 'static,
    I: Read + ReadReady + Write,
    C: Clock,
    E: Entropy,
{
    let Parts { flash, mut console, mut clock, entropy, memory, witness } = parts;
    let store = open::<_, BLOCKS>(flash, &mut console, &mut clock);
    let config = Config { trust: trust(), compile: crate::unvalidated::compile(), ..config };
    let parts = no_std_host::Parts { store, console, clock, entropy, memory, witness };
    shell::<Machine<F, I, C, E, BLOCKS>>(parts, config).run()
}

/// On the heap, so that it does not lie on the stack once more for each function that it goes through.
#[inline(never)]
fn shell<B: Board>(parts: no_std_host::Parts<B>, config: Config) -> Box<Shell<B>> {
    match Shell::new(parts, config) {
        Ok(shell) => Box::new(shell),
        Err(_) => panic!("the jobs in flash can't be read"),
    }
}

fn trust() -> Trust {
    match TRUSTED {
        Some(keys) => Trust::Signed(keys.split(',').filter_map(PublicKey::parse).collect()),
        None => Trust::Anyone,
    }
}

/// Opens the store. Flash with something else in it is formatted only once somebody has said so on the console.
#[inline(never)]
fn open<F: NorFlash + 'static, const BLOCKS: usize>(
    flash: F,
    console: &mut (impl Read + ReadReady + Write),
    clock: &mut impl Clock,
) -> FlashStore<F, BLOCKS> {
    let mut opened = FlashStore::open(flash);
    loop {
        match opened {
            Ok(store) => return store,
            Err(refused) => {
                say(console, &format_args!("# {}", refused.error));
                say(console, &"# `format` makes it an empty store, and what it holds is lost");
                while read_line(console, clock) != "format" {
                    say(console, &"err no-store message=\"only `format` can be done here\"");
                }
                opened = FlashStore::format(refused.flash);
            }
        }
    }
}

/// Longer lines are cut, since none that means something is as long.
const LINE_BYTES: usize = 32;

#[inline(never)]
fn read_line(console: &mut (impl Read + ReadReady), clock: &mut impl Clock) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        clock.wait(None);
        while console.read_ready().unwrap_or(false) {
            match (console.read(&mut byte), byte) {
                (Ok(1..), [b'\r' | b'\n']) if !line.is_empty() => {
                    return String::from_utf8(line).unwrap_or_default();
                }
                (Ok(1..), [b'\r' | b'\n']) => {}
                (Ok(1..), [byte]) if line.len() < LINE_BYTES => line.push(byte),
                _ => {}
            }
        }
    }
}

/// Nobody may be listening, so an error is nobody's.
fn say(console: &mut impl Write, text: &dyn Display) {
    let _ = console.write_fmt(format_args!("{text}\r\n"));
}
