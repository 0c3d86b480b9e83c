//! Time.

use firmware_common::sleep_until;
use no_std_host::Clock;
use toehold::{Millis, UnixMillis};

use crate::devices::{MTIME_HIGH, MTIME_LOW, MTIMECMP_HIGH, MTIMECMP_LOW, RTC_HIGH, RTC_LOW};

/// Ticks of the timer in a millisecond.
const TICKS: u64 = 10_000;

/// The machine's timer, and its calendar clock.
#[derive(Debug)]
pub struct MachineClock(());

impl MachineClock {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        wake_at(u64::MAX);
        crate::start::enable_interrupts();
        Self(())
    }
}

fn ticks() -> u64 {
    loop {
        let high = MTIME_HIGH.read();
        let low = MTIME_LOW.read();
        // Else the low half ran over in between.
        if MTIME_HIGH.read() == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// Sets when the timer makes an interrupt.
fn wake_at(ticks: u64) {
    // No moment in between is earlier than both the old time and the new.
    MTIMECMP_HIGH.write(u32::MAX);
    MTIMECMP_LOW.write(ticks as u32);
    MTIMECMP_HIGH.write((ticks >> 32) as u32);
}

/// The service routine of the timer: once is enough.
pub(crate) fn ticked() {
    wake_at(u64::MAX);
}

impl Clock for MachineClock {
    fn now(&mut self) -> Millis {
        ticks() / TICKS
    }

    fn unix(&mut self) -> Option<UnixMillis> {
        let low = RTC_LOW.read();
        let nanoseconds = u64::from(RTC_HIGH.read()) << 32 | u64::from(low);
        Some(nanoseconds / 1_000_000)
    }

    fn wait(&mut self, until: Option<Millis>) {
        let is_over = || crate::console::has_input() || until.is_some_and(|until| self.now() >= until);
        sleep_until(is_over, || {
            wake_at(until.map_or(u64::MAX, |until| until.saturating_mul(TICKS)));
            riscv::asm::wfi();
        });
    }
}
