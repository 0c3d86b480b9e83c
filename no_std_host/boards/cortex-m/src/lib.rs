//! An STM32F405, a Cortex-M4F, as QEMU's `netduinoplus2` is one, for the embedded shell.
//!
//! ```text
//! start      from reset to the program: stacks, heap, clock; faults and panics, which end in a reset
//! clock      SysTick
//! console    USART1, received by interrupt
//! flash      a file of the host by semihosting, with the manners of NOR flash
//! entropy    the host's, by semihosting
//! ```
//!
//! Flash and entropy are QEMU's. On a real chip they are a driver for a flash chip and the chip's own generator of random
//! numbers; the rest stays.
//!
//! `unsafe` stands in `start.rs` and `devices.rs`.

#![no_std]

mod clock;
mod console;
mod devices;
mod entropy;
mod flash;
mod start;

pub use clock::SysTickClock;
pub use console::Console;
pub use entropy::HostEntropy;
pub use flash::{BLOCKS, FlashError, HostFlash};
pub use start::{HEAP, WITNESS, reset, stack};

pub use firmware_common::program;
use firmware_common::{BoardMemory, LastWords, Parts};

/// The parts of this board.
pub type Board = Parts<HostFlash, Console, SysTickClock, HostEntropy>;

/// Starts the devices. Call it once.
///
/// # Panics
///
/// Where there is no host that has a file for the flash and a source of random bytes.
#[must_use]
pub fn parts() -> Board {
    Parts {
        flash: HostFlash::open()
            .expect("no file for the flash; QEMU needs -semihosting-config enable=on,target=native"),
        console: Console::open(),
        clock: SysTickClock::start(),
        entropy: HostEntropy::open().expect("the host has no /dev/urandom"),
        memory: BoardMemory { heap: &HEAP, stack: stack() },
        witness: LastWords::of(&WITNESS),
    }
}
