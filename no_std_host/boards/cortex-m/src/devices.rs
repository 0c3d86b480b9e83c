//! Where the devices of an STM32F405 are (its reference manual, RM0090), and its table of service routines.

use firmware_common::Register;

// SAFETY of all of them: RM0090 has these registers at these places, 32 bits wide, and none starts a DMA transfer.

/// Which devices on AHB1 have a clock: bit 0 is port A.
pub(crate) const RCC_AHB1ENR: Register<u32> = unsafe { Register::at(0x4002_3830) };
/// Which devices on APB2 have a clock: bit 4 is USART1.
pub(crate) const RCC_APB2ENR: Register<u32> = unsafe { Register::at(0x4002_3844) };
/// What each pin of port A is for, two bits each: 2 is a device's.
pub(crate) const GPIOA_MODER: Register<u32> = unsafe { Register::at(0x4002_0000) };
/// Which device's pins 8 to 15 of port A are, four bits each: 7 is USART1's.
pub(crate) const GPIOA_AFRH: Register<u32> = unsafe { Register::at(0x4002_0024) };
/// Status.
pub(crate) const USART1_SR: Register<u32> = unsafe { Register::at(0x4001_1000) };
/// What came, and what is to go.
pub(crate) const USART1_DR: Register<u32> = unsafe { Register::at(0x4001_1004) };
/// Clocks for each bit.
pub(crate) const USART1_BRR: Register<u32> = unsafe { Register::at(0x4001_1008) };
/// What it does.
pub(crate) const USART1_CR1: Register<u32> = unsafe { Register::at(0x4001_100c) };
/// Enables interrupts 32 to 63.
pub(crate) const NVIC_ISER1: Register<u32> = unsafe { Register::at(0xe000_e104) };

/// Disables interrupts 32 to 63. Each bit that is written counts, here and above, and the others stay as they are.
pub(crate) const NVIC_ICER1: Register<u32> = unsafe { Register::at(0xe000_e184) };

/// The number of USART1's interrupt.
pub(crate) const USART1_INTERRUPT: usize = 37;

/// As many interrupts as the chip has.
const INTERRUPTS: usize = 82;

type ServiceRoutine = unsafe extern "C" fn();

unsafe extern "C" {
    /// cortex-m-rt's name for what is called where there is no other routine.
    fn DefaultHandler();
}

/// The service routines of the chip's interrupts, in the place where the processor looks for them.
// SAFETY: cortex-m-rt wants a table under this name and in this section, and each entry is a function.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
#[used]
static __INTERRUPTS: [ServiceRoutine; INTERRUPTS] = {
    let mut table = [DefaultHandler as ServiceRoutine; INTERRUPTS];
    table[USART1_INTERRUPT] = crate::console::received;
    table
};
