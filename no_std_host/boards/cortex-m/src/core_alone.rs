//! The core alone on an STM32F405, for its size.

#![no_std]
#![no_main]

use firmware_cortex_m::{Console, SysTickClock};

firmware_cortex_m::program!(program);

fn program() -> ! {
    firmware_common::core_alone(&mut Console::open(), &mut SysTickClock::start());
    loop {
        core::hint::spin_loop();
    }
}
