//! Time, from the processor's own timer.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use firmware_common::sleep_until;
use no_std_host::Clock;
use toehold::Millis;

/// Ticks of the processor's clock in a second. QEMU's runs at this speed from reset on; on a real chip the PLL has to be set
/// to it first.
const HERTZ: u32 = 168_000_000;

/// Milliseconds since the start, in two halves since the processor has no atomic 64 bits.
static LOW: AtomicU32 = AtomicU32::new(0);
static HIGH: AtomicU32 = AtomicU32::new(0);

/// A clock of milliseconds since the start. What time of day it is, the board does not know.
#[derive(Debug)]
pub struct SysTickClock(());

impl SysTickClock {
    /// Starts the timer.
    #[must_use]
    pub fn start() -> Self {
        if let Some(peripherals) = cortex_m::Peripherals::take() {
            start(peripherals.SYST);
        }
        Self(())
    }
}

fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(HERTZ / 1_000 - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

#[exception]
fn SysTick() {
    // Nobody else writes, and it can't be interrupted by itself.
    let low = LOW.load(Ordering::Relaxed).wrapping_add(1);
    if low == 0 {
        HIGH.store(HIGH.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    LOW.store(low, Ordering::Relaxed);
}

impl Clock for SysTickClock {
    fn now(&mut self) -> Millis {
        critical_section::with(|_| {
            u64::from(HIGH.load(Ordering::Relaxed)) << 32 | u64::from(LOW.load(Ordering::Relaxed))
        })
    }

    fn wait(&mut self, until: Option<Millis>) {
        let is_over = || crate::console::has_input() || until.is_some_and(|until| self.now() >= until);
        sleep_until(is_over, cortex_m::asm::wfi);
    }
}
