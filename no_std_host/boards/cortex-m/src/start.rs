//! From reset to the program, and from what goes wrong back to reset.

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;
use core::ptr;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use firmware_common::{Heap, Record};

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

/// What the program's stack is filled with at the start.
const UNUSED: u32 = 0x7057_ac4e;

/// Bytes of the program's stack that were never in use, and that there are.
#[must_use]
pub fn stack_never_used() -> (usize, usize) {
    let end = &raw const _program_stack_end as usize;
    let start = &raw const _program_stack_start as usize;
    // SAFETY: all of it is RAM, and a word that changes while it is looked at is as good before as after.
    let is_unused =
        |address: &usize| unsafe { ptr::with_exposed_provenance::<u32>(*address).read_volatile() } == UNUSED;
    let lowest = (end..start).step_by(4).find(|address| !is_unused(address)).unwrap_or(start);
    (lowest - end, start - end)
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
    let stack = (&raw const _program_stack_end as usize..&raw const _program_stack_start as usize).step_by(4);
    for address in stack {
        // SAFETY: it is RAM that nobody uses yet: this runs on the stack of interrupts.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(UNUSED) };
    }
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

/// Keeps last words and resets the board.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match HEAP.failure() {
        Some(failure) => WITNESS.last_words(format_args!(
            "{}; the last allocation that failed asked for {} bytes, {} were free",
            info.message(),
            failure.asked,
            failure.free
        )),
        None => WITNESS.last_words(format_args!("{info}")),
    }
    reset()
}

/// What the program did that the processor can't: an invalid address, an undefined instruction, a stack that is full.
#[exception]
unsafe fn HardFault(_frame: &ExceptionFrame) -> ! {
    // Not from the frame: where the stack is full, there is none.
    let stack: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mrs {}, psp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    let fault = cortex_m::peripheral::SCB::PTR;
    // SAFETY: the processor's own registers, read once.
    let (status, address) = unsafe {
        (
            ptr::addr_of!((*fault).cfsr).cast::<u32>().read_volatile(),
            ptr::addr_of!((*fault).bfar).cast::<u32>().read_volatile(),
        )
    };
    WITNESS.last_words(format_args!("fault: status {status:#x}, address {address:#x}, stack at {stack:#x}"));
    reset()
}

/// Starts the board anew. RAM keeps its content.
pub fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
