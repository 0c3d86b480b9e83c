//! Tries the parts of QEMU's virt.

#![no_std]
#![no_main]

firmware_riscv::program!(program);

fn program() -> ! {
    firmware_common::bring_up(firmware_riscv::parts())
}
