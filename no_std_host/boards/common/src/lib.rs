//! What the firmwares have in common, whatever the board.
//!
//! ```text
//! firmware   the whole firmware, from a board's parts; bring_up tries these parts, core_alone does without most
//! Heap       the allocator, which knows how full it is and which allocation failed last
//! Stack      the program's stack, which knows how much of it was ever in use
//! Witness    RAM that start-up leaves alone: what was being done, and what a panic said
//! Inbox      bytes on their way from an interrupt to the program
//! sleep      lets the processor wait for an interrupt, and misses none
//! Hook       what such an interrupt calls where Ctrl-C comes
//! Register   one register of a device
//! ```
//!
//! All `unsafe` stands in `heap.rs`, `register.rs`, `stack.rs` and `unvalidated.rs`.

#![no_std]

extern crate alloc;

mod bring_up;
mod firmware;
mod heap;
mod hook;
mod inbox;
mod register;
mod sleep;
mod stack;
mod unvalidated;
mod witness;

pub use bring_up::{Parts, bring_up, core_alone};
pub use firmware::firmware;
pub use heap::{BoardMemory, Heap, OutOfMemory};
pub use hook::Hook;
pub use inbox::Inbox;
pub use register::Register;
pub use sleep::sleep_until;
pub use stack::Stack;
pub use witness::{LastWords, Record};

/// Makes a function the program: `fn() -> !`, entered once the board's start-up is done, on the program's stack.
#[macro_export]
macro_rules! program {
    ($program:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn firmware_program() -> ! {
            let program: fn() -> ! = $program;
            program()
        }
    };
}
