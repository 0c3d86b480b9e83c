//! What an interrupt service routine calls.

use core::cell::Cell;
use core::fmt;

use critical_section::Mutex;

/// A function that a service routine calls, once the program has said which.
pub struct Hook(Mutex<Cell<Option<Function>>>);

type Function = fn();

impl Default for Hook {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Hook {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Cell::new(None)))
    }

    /// Says which.
    pub fn set(&self, function: fn()) {
        critical_section::with(|section| self.0.borrow(section).set(Some(function)));
    }

    /// Calls it; `false` where there is none.
    pub fn call(&self) -> bool {
        let function = critical_section::with(|section| self.0.borrow(section).get());
        function.map(|function| function()).is_some()
    }
}
