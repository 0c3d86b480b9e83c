//! From reset to the program, and from what goes wrong back to reset.

use core::arch::global_asm;
use core::panic::PanicInfo;

use firmware_common::{Heap, Record, Stack};
use riscv::register::{mcause, mepc, mie, mstatus, mtval};
use riscv_rt::entry;

use crate::devices::{FINISHER, FINISHER_RESET};

/// All memory that is neither static nor stack.
#[global_allocator]
pub static HEAP: Heap = Heap::empty();

/// What outlives a reset.
// SAFETY: start-up does not clear this section, and a record copes with whatever stands there.
#[unsafe(link_section = ".uninit.witness")]
pub static WITNESS: Record = Record::new();

unsafe extern "C" {
    // From the linker scripts; only their addresses mean something.
    static __sheap: u8;
    static _heap_end: u8;
    static _program_stack_start: u8;
    static _program_stack_end: u8;
    static _trap_stack_start: u8;
}

unsafe extern "Rust" {
    /// From `program!`.
    safe fn firmware_program() -> !;
}

/// The program's stack.
#[must_use]
pub fn stack() -> Stack {
    // SAFETY: the linker script keeps all of it for this stack.
    unsafe {
        Stack::between(&raw const _program_stack_end as usize, &raw const _program_stack_start as usize)
    }
}

#[entry]
fn start() -> ! {
    lock_code();
    let heap = &raw const __sheap;
    let bytes = (&raw const _heap_end as usize).saturating_sub(heap as usize);
    // SAFETY: the linker puts nothing between `__sheap` and `_heap_end`. It happens once.
    unsafe { HEAP.give(heap as usize, bytes) };
    let here = 0_u32;
    // SAFETY: `fill_below` has a frame of far less than 256 bytes. Interrupts are off.
    unsafe { stack().fill_below((&raw const here as usize).saturating_sub(256)) };
    // SAFETY: the trap handler expects its stack there, and no trap comes before.
    unsafe { riscv::register::mscratch::write(&raw const _trap_stack_start as usize) };
    firmware_program()
}

/// Nothing but code may be where the code is, so that a stack that overflows faults.
fn lock_code() {
    // SAFETY: nothing ever writes to the megabyte from 0x8000_0000 on. Its address with the lowest zero after 17 ones, as
    // the processor wants it for a region of 2^20 bytes; locked, readable and executable.
    unsafe {
        core::arch::asm!("csrw pmpaddr0, {}", in(reg) (0x8000_0000_u32 >> 2) | 0x1_ffff, options(nomem, nostack));
        core::arch::asm!("csrw pmpcfg0, {}", in(reg) 0b1001_1101, options(nomem, nostack));
    }
}

/// Lets the timer and the interrupt controller interrupt the program.
pub(crate) fn enable_interrupts() {
    // SAFETY: `_start_trap` serves both.
    unsafe {
        mie::set_mtimer();
        mie::set_mext();
        mstatus::set_mie();
    }
}

// A trap runs on a stack of its own, for the program's may be full. `mscratch` has that stack while the program runs, and 0
// while a trap is served: a trap in a trap can only be a mistake of this firmware, and resets it at once.
global_asm!(
    ".balign 4",
    ".global _start_trap",
    "_start_trap:",
    "csrrw sp, mscratch, sp",
    "beqz sp, 1f",
    "addi sp, sp, -80",
    "sw ra, 0(sp)",
    "sw t0, 4(sp)",
    "sw t1, 8(sp)",
    "sw t2, 12(sp)",
    "sw t3, 16(sp)",
    "sw t4, 20(sp)",
    "sw t5, 24(sp)",
    "sw t6, 28(sp)",
    "sw a0, 32(sp)",
    "sw a1, 36(sp)",
    "sw a2, 40(sp)",
    "sw a3, 44(sp)",
    "sw a4, 48(sp)",
    "sw a5, 52(sp)",
    "sw a6, 56(sp)",
    "sw a7, 60(sp)",
    "csrrw a0, mscratch, zero",
    "sw a0, 64(sp)",
    "call {trapped}",
    "lw a0, 64(sp)",
    "csrw mscratch, a0",
    "lw ra, 0(sp)",
    "lw t0, 4(sp)",
    "lw t1, 8(sp)",
    "lw t2, 12(sp)",
    "lw t3, 16(sp)",
    "lw t4, 20(sp)",
    "lw t5, 24(sp)",
    "lw t6, 28(sp)",
    "lw a0, 32(sp)",
    "lw a1, 36(sp)",
    "lw a2, 40(sp)",
    "lw a3, 44(sp)",
    "lw a4, 48(sp)",
    "lw a5, 52(sp)",
    "lw a6, 56(sp)",
    "lw a7, 60(sp)",
    "addi sp, sp, 80",
    "csrrw sp, mscratch, sp",
    "mret",
    "1:",
    "li t0, {finisher}",
    "li t1, {reset}",
    "sw t1, 0(t0)",
    "j 1b",
    trapped = sym trapped,
    finisher = const 0x10_0000,
    reset = const FINISHER_RESET,
);

/// Codes of interrupts.
const TIMER: usize = 7;
const EXTERNAL: usize = 11;

/// Serves an interrupt. Anything else is what the program did that the processor can't: an invalid address, an illegal
/// instruction, a stack that is full.
extern "C" fn trapped(stack: usize) {
    let cause = mcause::read();
    match (cause.is_interrupt(), cause.code()) {
        (true, TIMER) => crate::clock::ticked(),
        (true, EXTERNAL) => crate::console::interrupted(),
        (_, code) => {
            let (at, value) = (mepc::read(), mtval::read());
            WITNESS.last_words(
                format_args!("fault {code} at {at:#x}, value {value:#x}, stack at {stack:#x}"),
                &HEAP,
            );
            reset()
        }
    }
}

/// Keeps last words and resets the board. Where panics are built to abort at once, which saves a fifth of the flash, none comes
/// here, but each is an instruction that is not allowed: the fault's address says which panic it was.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    WITNESS.last_words(format_args!("{info}"), &HEAP);
    reset()
}

/// Starts the board anew. RAM keeps its content.
pub fn reset() -> ! {
    FINISHER.write(FINISHER_RESET);
    loop {
        core::hint::spin_loop();
    }
}
