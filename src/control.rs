use core::sync::atomic::{AtomicU8, Ordering};

use toehold_abi::Interrupt;

/// Where one asks a job to stop, from any thread or from an interrupt service routine: one atomic byte, no lock.
#[derive(Debug, Default)]
pub struct Control(AtomicU8);

const PAUSE: u8 = 1;
const CANCEL: u8 = 2;
const REENTER: u8 = 4;

impl Control {
    /// Asks the job to stop for now. It stops within one slice, or within its grace fuel if it asks for interrupts.
    pub fn pause(&self) {
        self.0.fetch_or(PAUSE, Ordering::Release);
    }

    /// Takes a pause back. A cancel stays.
    pub fn resume(&self) {
        self.0.fetch_and(!PAUSE, Ordering::Release);
    }

    /// Asks the job to stop for good. Nothing takes this back.
    pub fn cancel(&self) {
        self.0.fetch_or(CANCEL, Ordering::Release);
    }

    /// Asks the job to checkpoint and return, to be entered again at once: on another module, say. A job that does not
    /// ask for interrupts never hears of it.
    pub fn reenter(&self) {
        self.0.fetch_or(REENTER, Ordering::Release);
    }

    /// Whether the job is to be entered again.
    #[must_use]
    pub fn is_to_reenter(&self) -> bool {
        self.0.load(Ordering::Acquire) & REENTER != 0
    }

    /// The job is entered again.
    pub(crate) fn reentered(&self) {
        self.0.fetch_and(!REENTER, Ordering::Release);
    }

    /// What the job is asked for; a cancel outranks a pause.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        match self.0.load(Ordering::Acquire) & (PAUSE | CANCEL) {
            0 => Interrupt::None,
            PAUSE => Interrupt::Pause,
            _ => Interrupt::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_outlives_a_resume() {
        let control = Control::default();
        control.pause();
        assert_eq!(control.interrupt(), Interrupt::Pause);
        control.resume();
        assert_eq!(control.interrupt(), Interrupt::None);
        control.cancel();
        control.pause();
        control.resume();
        assert_eq!(control.interrupt(), Interrupt::Cancel);
    }
}
