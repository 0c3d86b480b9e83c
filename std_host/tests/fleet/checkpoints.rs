//! That no checkpoint goes backwards, as others see it.

use std::collections::HashMap;

use std_host::fleet::{FleetConfig, FleetStore};
use toehold::{Checkpoint, Uuid};

use crate::servers::patiently;

/// The newest checkpoint of each job, by the revision at which it was seen.
pub(crate) struct Checkpoints {
    store: FleetStore,
    seen: HashMap<Uuid, (u64, u64)>,
}

impl Checkpoints {
    pub(crate) fn of(fleet: &FleetConfig) -> Self {
        Self { store: patiently(|| FleetStore::open(fleet)), seen: HashMap::new() }
    }

    pub(crate) fn check(&mut self, jobs: &[Uuid]) {
        for job in jobs {
            // While there is no leader, nobody answers.
            let Ok(Some((revision, saved))) = self.store.load_at(*job) else { continue };
            let newest = Checkpoint::decode(&saved.newest).unwrap().sequence;
            let (before, sequence) = self.seen.get(job).copied().unwrap_or_default();
            if revision >= before {
                assert!(newest >= sequence, "job {job} had checkpoint {sequence}, and has {newest}");
                self.seen.insert(*job, (revision, newest));
            } else {
                assert!(newest <= sequence, "job {job} had checkpoint {newest}, and had {sequence} later");
            }
        }
    }
}
