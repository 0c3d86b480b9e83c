//! Jobs that are over, and that nobody keeps any longer.

use std::sync::Arc;

use super::{Inner, entry::unix_now};
use crate::store::StoreError;

/// Ended jobs until old ones are removed.
const ENDED: u64 = 256;
/// Milliseconds until old ones are removed though fewer have ended: they get older all the same.
const EVERY_MS: u64 = 15 * 60_000;

impl Inner {
    /// Removes old jobs now, and then from time to time, for as long as the manager is there.
    pub(super) fn keep_removing_old(self: &Arc<Self>) {
        self.remove_old();
        let manager = Arc::downgrade(self);
        self.after(EVERY_MS, move || {
            if let Some(manager) = manager.upgrade() {
                manager.keep_removing_old();
            }
        });
    }

    /// Counts a job that has ended, and removes old ones if it is time for that.
    pub(super) fn count_ended(&self) {
        let is_time = {
            let mut jobs = self.lock();
            jobs.ended += 1;
            jobs.ended.is_multiple_of(ENDED)
        };
        if is_time {
            self.remove_old();
        }
    }

    /// Removes old jobs, on a thread of its own: there may be many.
    fn remove_old(&self) {
        let (store, retention) = (self.store.clone(), self.config.retention);
        self.spawn_blocking(move || match store.prune(retention, unix_now()) {
            // The next manager of the folder goes on with it.
            Ok(_) | Err(StoreError::Closed { .. }) => {}
            Err(error) => log::warn!("old jobs could not be removed: {error}"),
        });
    }
}
