//! What a board has refused: for a while it is not tried again, so that other workers have it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use toehold::{JobRecord, Uuid};

/// For how long something is not tried again. There may be more room by then.
const AGAIN: Duration = Duration::from_secs(60);

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// A job, as large as it is now.
    Job(Uuid),
    /// All jobs of this module.
    Module([u8; 32]),
    /// All jobs of this module and name.
    Kind([u8; 32], String),
}

/// All that was refused, and when.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Refused, Instant>>);

impl Refusals {
    pub(super) fn note(&self, refused: Refused) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| at.elapsed() < AGAIN);
        known.insert(refused, Instant::now());
    }

    pub(super) fn has(&self, job: Uuid, record: &JobRecord) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return false;
        }
        let (hash, name) = (record.module_hash, record.name().to_owned());
        [Refused::Job(job), Refused::Module(hash), Refused::Kind(hash, name)]
            .iter()
            .any(|refused| known.get(refused).is_some_and(|at| at.elapsed() < AGAIN))
    }
}
