//! Tries the parts of an STM32F405.

#![no_std]
#![no_main]

firmware_cortex_m::program!(program);

fn program() -> ! {
    firmware_common::bring_up(firmware_cortex_m::parts())
}
