//! A firmware with an operation of its own, to be copied. What is special about a board is in its parts: those of the crate here
//! are an STM32F405 with QEMU's flash; yours come from your HAL.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use firmware_common::{BoardMemory, LastWords};
use firmware_cortex_m::{BLOCKS, Console, HEAP, HostEntropy, HostFlash, SysTickClock};
use no_std_host::{Attention, Board, Config, FlashStore, Operations, Parts, Shell, open_store};
use toehold::{Called, Limits, Trust};

/// What this board is made of.
struct Mine;

impl Board for Mine {
    type Store = FlashStore<HostFlash, BLOCKS>;
    type Console = Console;
    type Clock = SysTickClock;
    type Entropy = HostEntropy;
    type Memory = BoardMemory;
    type Witness = LastWords;
}

/// Where interrupt service routines pause the jobs.
static ATTENTION: Attention = Attention::new();

firmware_cortex_m::program!(program);

fn program() -> ! {
    let firmware_common::Parts { flash, mut console, mut clock, entropy, memory, witness } =
        firmware_cortex_m::parts();
    console.on_break(|| ATTENTION.pause());
    // Asks on the console, where the flash holds something else.
    let store = open_store(flash, &mut console, &mut clock);
    let parts = Parts { store, console, clock, entropy, memory, witness };
    match Shell::<Mine>::new(parts, config()) {
        Ok(mut shell) => shell.run(),
        // The witness keeps it, and the board starts again.
        Err(_) => panic!("the jobs in flash can't be read"),
    }
}

fn config() -> Config {
    let default = Config::default();
    Config {
        firmware: concat!("minimal ", env!("CARGO_PKG_VERSION")),
        operations: operations(),
        // Whose packages are taken: for a product `Trust::Signed` with the keys of those who make them.
        trust: Trust::Anyone,
        attention: Some(&ATTENTION),
        limits: Limits { memory_bytes: 32 << 10, ..default.limits.clone() },
        ..default
    }
}

/// What jobs can have this board do, if their manifest asks for it.
fn operations() -> Operations {
    let mut operations = Operations::default();
    operations.register("query:board.memory", |_call| {
        Called::Ready(Ok(format!(r#"{{"free":{},"total":{}}}"#, HEAP.free(), HEAP.total()).into_bytes()))
    });
    operations
}
