//! The embedded shell on an STM32F405.

#![no_std]
#![no_main]

use firmware_cortex_m::{BLOCKS, parts};
use no_std_host::{Attention, Config};

firmware_cortex_m::program!(program);

/// Where Ctrl-C on the console pauses the jobs.
static ATTENTION: Attention = Attention::new();

fn program() -> ! {
    let parts = parts();
    parts.console.on_break(|| ATTENTION.pause());
    let config = Config {
        firmware: concat!("toehold ", env!("CARGO_PKG_VERSION"), " on cortex-m"),
        attention: Some(&ATTENTION),
        ..Config::default()
    };
    firmware_common::firmware::<_, _, _, _, BLOCKS>(parts, config)
}
