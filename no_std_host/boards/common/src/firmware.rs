//! The whole firmware, from the parts of a board.

use alloc::boxed::Box;
use core::marker::PhantomData;

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use no_std_host::{Board, Clock, Config, Entropy, FlashStore, Shell, open_store};
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
    // Here and not beside `TRUSTED`: programs that take no packages need no keys.
    const {
        assert!(
            cfg!(feature = "validate") || TRUSTED.is_some(),
            "without the feature `validate` this firmware takes signed packages only: build it with TOEHOLD_TRUST=KEY,KEY in the \
             environment, the public keys that `toehold key show` prints, or with the feature `validate`",
        );
        assert!(
            cfg!(feature = "signatures") || TRUSTED.is_none(),
            "TOEHOLD_TRUST is set, and without the feature `signatures` this firmware could check no package: build it with \
             the feature `signatures`, or without TOEHOLD_TRUST",
        );
    }
    let Parts { flash, mut console, mut clock, entropy, memory, witness } = parts;
    let store = open_store::<_, BLOCKS>(flash, &mut console, &mut clock);
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
