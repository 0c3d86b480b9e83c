//! The core alone on QEMU's virt, for its size.

#![no_std]
#![no_main]

use firmware_riscv::{Console, MachineClock};

firmware_riscv::program!(program);

fn program() -> ! {
    firmware_common::core_alone(&mut Console::open(), &mut MachineClock::start());
    loop {
        core::hint::spin_loop();
    }
}
