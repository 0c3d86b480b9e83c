//! From reset to the program, and from what goes wrong back to reset.

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;
use core::ptr;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use firmware_common::{Heap, Record, Stack};

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
}

/// The program's stack.
#[must_use]
pub fn stack() -> Stack {
    // SAFETY: the linker script keeps all of it for this stack.
    unsafe {
        Stack::between(&raw const _program_stack_end as usize, &raw const _program_stack_start as usize)
    }
}

unsafe extern "Rust" {
    /// From `program!`.
    safe fn firmware_program() -> !;
}

#[entry]
fn start() -> ! {
    let heap = &raw const __sheap;
    let bytes = (&raw const _heap_end as usize).saturating_sub(heap as usize);
    // SAFETY: the linker puts nothing behind `__sheap`, and the stacks are below all data. It happens once.
    unsafe { HEAP.give(heap as usize, bytes) };
    // SAFETY: nobody uses it yet: this runs on the stack of interrupts.
    unsafe { stack().fill_below(usize::MAX) };
    // SAFETY: the stack is free, and `on_program_stack` is entered once.
    unsafe { on_program_stack(&raw const _program_stack_start) }
}

/// Goes on to the program on a stack of its own, and leaves the one from reset to interrupts.
///
/// # Safety
///
/// `stack` is where a stack starts that nobody uses.
#[unsafe(naked)]
unsafe extern "C" fn on_program_stack(stack: *const u8) -> ! {
    naked_asm!(
        "msr psp, r0",
        // Bit 1 of CONTROL: PSP is the stack, until an exception. Bit 2, whether the floating point unit is used, stays.
        "mrs r0, control",
        "orr r0, r0, #2",
        "msr control, r0",
        "isb",
        "b {program}",
        program = sym program,
    )
}

extern "C" fn program() -> ! {
    firmware_program()
}

/// Keeps last words and resets the board. Where panics are built to abort at once, which saves a fifth of the flash, none comes
/// here, but each is an instruction that is not allowed: the fault's address says which panic it was.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    WITNESS.last_words(format_args!("{info}"), &HEAP);
    reset()
}

/// What the program did that the processor can't: an invalid address, an undefined instruction, a stack that is full.
#[exception]
unsafe fn HardFault(_frame: &ExceptionFrame) -> ! {
    // The compiler may read what it has a reference to at any time. But where the stack is full, there is no frame.
    let stack: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mrs {}, psp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    let is_there = stack >= &raw const _program_stack_end as usize;
    // SAFETY: the processor has put the frame there, whose seventh word is the address of the instruction.
    let at =
        if is_there { unsafe { ptr::with_exposed_provenance::<u32>(stack + 24).read_volatile() } } else { 0 };
    let fault = cortex_m::peripheral::SCB::PTR;
    // SAFETY: the processor's own registers, read once.
    let (status, address) = unsafe { ((*fault).cfsr.read(), (*fault).bfar.read()) };
    WITNESS.last_words(
        format_args!("fault at {at:#x}: status {status:#x}, address {address:#x}, stack at {stack:#x}"),
        &HEAP,
    );
    reset()
}

/// Starts the board anew. RAM keeps its content.
pub fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
