use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use toehold::JobContext;

/// Where an interrupt service routine asks for a pause: a `static` of the firmware, which [`Config::attention`](crate::Config::attention)
/// names to the shell.
///
/// ```
/// use no_std_host::Attention;
///
/// static ATTENTION: Attention = Attention::new();
///
/// // In the routine of a button, of a falling supply voltage, or of Ctrl-C on the console:
/// ATTENTION.pause();
/// ```
#[derive(Debug)]
pub struct Attention {
    /// The job that has its turn.
    job: Mutex<Option<Arc<JobContext>>>,
    paused: AtomicBool,
}

impl Attention {
    /// Nobody has asked for anything.
    #[must_use]
    pub const fn new() -> Self {
        Self { job: Mutex::new(None), paused: AtomicBool::new(false) }
    }

    /// Pauses all jobs, the one that runs within its slice. They stand still until they are resumed one by one. May be called
    /// anywhere, from interrupt service routines as well.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
        // Whoever was interrupted may hold the lock; then the shell sees the flag at the end of the slice all the same.
        if let Some(job) = self.job.try_lock()
            && let Some(job) = job.as_ref()
        {
            job.control().pause();
        }
    }

    /// Whether somebody asked since this was called last.
    pub(crate) fn take(&self) -> bool {
        self.paused.swap(false, Ordering::AcqRel)
    }

    /// This job has its turn, or none.
    pub(crate) fn runs(&self, job: Option<Arc<JobContext>>) {
        // The old one is dropped after the lock is free again: an interrupt must not find it held for long.
        let old = core::mem::replace(&mut *self.job.lock(), job);
        drop(old);
    }
}

impl Default for Attention {
    fn default() -> Self {
        Self::new()
    }
}
