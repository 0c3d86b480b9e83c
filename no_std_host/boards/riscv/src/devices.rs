//! Where the devices of QEMU's `virt` are (`hw/riscv/virt.c`).

use firmware_common::Register;

// SAFETY of all of them: the machine has these registers at these places and of this width, and none starts a DMA transfer.

/// The UART's data: what came, and what is to go.
pub(crate) const UART_DATA: Register<u8> = unsafe { Register::at(0x1000_0000) };
/// Which interrupts it makes.
pub(crate) const UART_INTERRUPTS: Register<u8> = unsafe { Register::at(0x1000_0001) };
/// Its queues: writes only.
pub(crate) const UART_QUEUES: Register<u8> = unsafe { Register::at(0x1000_0002) };
/// The form of its frames.
pub(crate) const UART_LINE: Register<u8> = unsafe { Register::at(0x1000_0003) };
/// Its status.
pub(crate) const UART_STATUS: Register<u8> = unsafe { Register::at(0x1000_0005) };

/// The number of the UART's interrupt.
pub(crate) const UART_INTERRUPT: u32 = 10;

/// The interrupt controller (PLIC): how urgent the UART is, which interrupts hart 0 takes, from what urgency on, and the one
/// that is to be served.
pub(crate) const PLIC_UART_PRIORITY: Register<u32> =
    unsafe { Register::at(0x0c00_0000 + 4 * UART_INTERRUPT as usize) };
pub(crate) const PLIC_ENABLED: Register<u32> = unsafe { Register::at(0x0c00_2000) };
pub(crate) const PLIC_THRESHOLD: Register<u32> = unsafe { Register::at(0x0c20_0000) };
pub(crate) const PLIC_CLAIM: Register<u32> = unsafe { Register::at(0x0c20_0004) };

/// The timer (CLINT): now, and when it is to make an interrupt, in two halves each.
pub(crate) const MTIME_LOW: Register<u32> = unsafe { Register::at(0x0200_bff8) };
pub(crate) const MTIME_HIGH: Register<u32> = unsafe { Register::at(0x0200_bffc) };
pub(crate) const MTIMECMP_LOW: Register<u32> = unsafe { Register::at(0x0200_4000) };
pub(crate) const MTIMECMP_HIGH: Register<u32> = unsafe { Register::at(0x0200_4004) };

/// The calendar clock (goldfish): nanoseconds since 1970. Reading the low half holds the high half.
pub(crate) const RTC_LOW: Register<u32> = unsafe { Register::at(0x0010_1000) };
pub(crate) const RTC_HIGH: Register<u32> = unsafe { Register::at(0x0010_1004) };

/// Ends or resets the machine.
pub(crate) const FINISHER: Register<u32> = unsafe { Register::at(0x0010_0000) };
pub(crate) const FINISHER_RESET: u32 = 0x7777;

/// The second pair of flash chips, as 32-bit words: 16 bits of each chip. The first is for code that starts there.
pub(crate) const FLASH: usize = 0x2200_0000;
/// Bytes of both chips.
pub(crate) const FLASH_BYTES: usize = 32 << 20;

/// A word of the flash.
///
/// # Panics
///
/// Outside of it.
pub(crate) fn flash_word(offset: usize) -> Register<u32> {
    assert!(offset < FLASH_BYTES && offset.is_multiple_of(4), "no word of the flash starts at {offset:#x}");
    // SAFETY: the chips are there, and are no memory that Rust knows of.
    unsafe { Register::at(FLASH + offset) }
}
