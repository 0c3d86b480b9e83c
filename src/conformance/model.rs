//! What must be in a store.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use uuid::Uuid;

use super::plan::Action;
use crate::{Change, Checkpoint, Crc32, JobRecord, Saved};

/// All jobs, as the contract of [`Store`](crate::Store) has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    jobs: BTreeMap<Uuid, Saved>,
}

impl Model {
    /// An action was acknowledged.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::Change(job, change) => change_saved(self.jobs.entry(*job).or_default(), change),
            Action::Remove(job) => drop(self.jobs.remove(job)),
            Action::Reopen => {}
        }
    }

    /// An action was cut off: it is there as a whole or not at all. False if it is neither.
    pub(super) fn settle(&mut self, action: &Action, load: &mut impl FnMut(Uuid) -> Option<Saved>) -> bool {
        let Some(job) = action.job() else { return true };
        let found = load(job);
        if found.as_ref() == self.jobs.get(&job) {
            return true;
        }
        self.apply(action);
        found.as_ref() == self.jobs.get(&job)
    }

    /// What a store has of an action's job, next to what it may have. To be called after [`Model::settle`].
    pub(super) fn describe(&self, action: &Action, load: &mut impl FnMut(Uuid) -> Option<Saved>) -> String {
        let Some(job) = action.job() else { return String::new() };
        format!("{}; after it there would be {}", brief(load(job).as_ref()), brief(self.jobs.get(&job)))
    }

    pub(super) fn jobs(&self) -> Vec<Uuid> {
        self.jobs.keys().copied().collect()
    }

    pub(super) fn compare(&self, job: Uuid, found: Option<&Saved>, context: &dyn Fn() -> String) {
        let expected = self.jobs.get(&job);
        assert!(
            found == expected,
            "{}: of job {job} it has {}, not {}",
            context(),
            brief(found),
            brief(expected)
        );
    }
}

/// Makes a change of what is stored of a job.
pub(super) fn change_saved(saved: &mut Saved, change: &Change) {
    if let Some(record) = &change.record {
        saved.record = record.encode();
    }
    let Some(commit) = &change.commit else { return };
    if commit.new_run {
        saved.base.clone_from(&saved.newest);
        saved.journal.clear();
    }
    saved.journal.extend_from_slice(&commit.journal);
    if let Some(checkpoint) = &commit.checkpoint {
        saved.newest = checkpoint.encode();
        if saved.base.is_empty() {
            saved.base.clone_from(&saved.newest);
        }
    }
}

/// What people need to see of it, without its bytes.
fn brief(saved: Option<&Saved>) -> String {
    let Some(saved) = saved else { return String::from("nothing") };
    let checkpoint = |bytes: &[u8]| match Checkpoint::decode(bytes) {
        Ok(checkpoint) => format!("checkpoint {} of {} bytes", checkpoint.sequence, bytes.len()),
        Err(error) => format!("{} bytes ({error})", bytes.len()),
    };
    let record = match JobRecord::decode(&saved.record) {
        Ok(record) => format!("{} with fuel {}", record.state, record.fuel_used),
        Err(error) => format!("{} bytes ({error})", saved.record.len()),
    };
    let crc = Crc32::of(&saved.journal);
    let (base, newest) = (checkpoint(&saved.base), checkpoint(&saved.newest));
    format!(
        "the record {record}, base {base}, newest {newest}, journal of {} bytes ({crc:08x})",
        saved.journal.len()
    )
}
