use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Wakes one thread that waits for something to change.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

/// How long a wait lasts at most. It is a safety net: a job's `Control` can be reached without its handle, and then
/// nobody raises the signal.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

impl Signal {
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until the signal is raised, and lowers it; or for a while.
    pub(crate) fn wait(&self) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(raised, LONGEST_WAIT, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
