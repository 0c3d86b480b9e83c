use core::fmt;

use toehold_abi::Interrupt;

use crate::{Uuid, border};

/// The job was asked to stop: [`Interrupt::Pause`] for now, [`Interrupt::Cancel`] for good.
///
/// Passed on with `?` it makes the SDK checkpoint the state and end the run as interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interrupted(pub Interrupt);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Interrupt::Cancel => "interrupted: the job was asked to stop for good",
            _ => "interrupted: the job was asked to stop for now",
        })
    }
}

/// As for people: what quotes text takes tables of Unicode along, into each guest.
impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Interrupted {}

pub(crate) fn check(job_id: &Uuid) -> Interrupt {
    // A code of a newer ABI must mean some way to stop, and pausing is the one that loses nothing.
    Interrupt::from_code(border::check_interrupt(job_id)).unwrap_or(Interrupt::Pause)
}
