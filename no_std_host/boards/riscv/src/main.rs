//! The embedded shell on QEMU's virt.

#![no_std]
#![no_main]

use firmware_riscv::{BLOCKS, parts};
use no_std_host::{Attention, Config};

firmware_riscv::program!(program);

/// Where Ctrl-C on the console pauses the jobs.
static ATTENTION: Attention = Attention::new();

fn program() -> ! {
    let parts = parts();
    parts.console.on_break(|| ATTENTION.pause());
    let config = Config {
        firmware: concat!("toehold ", env!("CARGO_PKG_VERSION"), " on riscv"),
        attention: Some(&ATTENTION),
        ..Config::default()
    };
    firmware_common::firmware::<_, _, _, _, BLOCKS>(parts, config)
}
