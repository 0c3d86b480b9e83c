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

#[cfg(test)]
mod tests {
    use toehold::JobState;

    use crate::{
        manager::{Dispatch, Manager, ManagerConfig},
        store::{Retention, StoreOptions},
    };

    #[test]
    fn a_job_goes_on_by_itself_once_old_ones_have_made_room_for_it() {
        let data = tempfile::tempdir().unwrap();
        let store = StoreOptions { max_bytes: Some(3 << 20), ..StoreOptions::default() };
        let config = ManagerConfig { workers: 1, store, ..ManagerConfig::new(data.path()) };
        let manager = Manager::open(config).unwrap();
        let extension = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension");
        manager.add_extension(&extension).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dispatch = |job: &str, state: serde_json::Value| {
            let state = state.to_string().into_bytes();
            let dispatch = Dispatch { state, attempts: Some(1), ..Dispatch::default() };
            runtime.block_on(manager.dispatch(&format!("test-extension:{job}"), dispatch)).unwrap()
        };
        // It fails at once, and is kept.
        let old = dispatch("crash", serde_json::json!({ "message": "x".repeat(1_000_000) }));
        assert_eq!(runtime.block_on(old.wait()).state, JobState::Failed);
        let job = dispatch("tally", serde_json::json!({ "target": 1_000_000, "prefix": "x".repeat(400) }));
        let stuck = runtime.block_on(job.wait_until_stopped());
        assert_eq!(stuck.state, JobState::Paused, "{stuck:?}");
        assert!(stuck.reason.unwrap().contains("no room"));
        let none = Retention { keep_count: Some(0), keep_ms: None };
        assert_eq!(manager.inner.store.prune(none, 0).unwrap(), 1);
        // As many as nothing else could have left room for.
        while job.status().report.items < stuck.report.items + 100 {
            std::thread::yield_now();
        }
        runtime.block_on(job.cancel()).unwrap();
        assert_eq!(runtime.block_on(job.wait()).state, JobState::Cancelled);
    }
}
