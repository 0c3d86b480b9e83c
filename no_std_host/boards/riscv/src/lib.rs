//! A 32-bit RISC-V, riscv32imac, as QEMU's `virt` has one, for the embedded shell.
//!
//! ```text
//! start      from reset to the program: stacks, heap, traps; faults and panics, which end in a reset
//! clock      the timer of the CLINT, and the calendar clock of the machine
//! console    a 16550 UART, received by interrupt
//! flash      two CFI flash chips side by side, which outlive the emulator
//! entropy    virtio's source of random bytes
//! frames     where functions save registers, in builds for size
//! ```
//!
//! `unsafe` stands in `start.rs`, `devices.rs` and `entropy.rs`.

#![no_std]

mod clock;
mod console;
mod devices;
mod entropy;
mod flash;
mod frames;
mod start;

pub use clock::MachineClock;
pub use console::Console;
pub use entropy::VirtioEntropy;
pub use flash::{BLOCKS, CfiFlash, FlashError};
pub use start::{HEAP, WITNESS, reset, stack};

pub use firmware_common::program;
use firmware_common::{BoardMemory, LastWords, Parts};

/// The parts of this board.
pub type Board = Parts<CfiFlash, Console, MachineClock, VirtioEntropy>;

/// Starts the devices. Call it once.
///
/// # Panics
///
/// Where the machine has no source of random bytes.
#[must_use]
pub fn parts() -> Board {
    Parts {
        flash: CfiFlash::open(),
        console: Console::open(),
        clock: MachineClock::start(),
        entropy: VirtioEntropy::open().expect(
            "no source of random bytes; QEMU needs -device virtio-rng-device -global virtio-mmio.force-legacy=off",
        ),
        memory: BoardMemory { heap: &HEAP, stack: stack() },
        witness: LastWords::of(&WITNESS),
    }
}
