//! All hostile guests of the core's gallery at once, beside jobs that do no harm.

#[path = "../../../tests/core/hostile/gallery.rs"]
pub(crate) mod gallery;

use std::fs;

use serde_json::json;
use std_host::{
    manager::{Dispatch, JobHandle},
    store::{JobFilter, ListOrder},
};
use toehold::JobState;

use self::gallery::{Ends, Hostile, MEMORY_MB, gallery};
use crate::jobs::{Data, block_on, dispatch, kv};

const GOOD: usize = 10;
const TARGET: u64 = 60;

/// Puts the guest into a folder, as an extension.
fn folder(data: &Data, id: &str, hostile: &Hostile) -> std::path::PathBuf {
    let folder = data.path().join("hostile").join(id);
    fs::create_dir_all(&folder).unwrap();
    let manifest = json!({
        "id": id, "name": hostile.name, "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": { "methods": ["query:"], "max_memory_mb": MEMORY_MB },
    });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(folder.join("module.wasm"), &hostile.module).unwrap();
    folder
}

#[test]
fn all_hostile_guests_at_once_keep_no_other_job_from_its_end() {
    let data = Data::new();
    let manager = data.open();
    let mut running: Vec<(Hostile, JobHandle)> = Vec::new();
    for (number, hostile) in gallery().into_iter().enumerate() {
        let id = format!("hostile-{number}");
        let added = manager.add_extension(&folder(&data, &id, &hostile));
        match (added, hostile.ends) {
            (Err(error), Ends::Refused(reason)) => {
                let error = format!("{:#}", ErrorChain(&error));
                // A file that is too large is not even read to its end.
                let is_large = reason.starts_with("the limit") && error.contains("has more than");
                assert!(
                    is_large || error.contains(reason),
                    "{}: {reason:?} is not in {error:?}",
                    hostile.name
                );
            }
            (Ok(_), Ends::Refused(_)) => panic!("{} was installed", hostile.name),
            (Err(error), _) => panic!("{} was not installed: {error}", hostile.name),
            (Ok(_), _) => {
                let job = block_on(manager.dispatch(&format!("{id}:go"), Dispatch::default())).unwrap();
                running.push((hostile, job));
            }
        }
    }
    let good: Vec<JobHandle> = (0..GOOD)
        .map(|number| {
            let prefix = format!("good-{number}/");
            dispatch(&manager, "tally", &json!({ "target": TARGET, "prefix": prefix }))
        })
        .collect();
    for job in &good {
        let status = block_on(job.wait());
        assert_eq!((status.state, status.report.items), (JobState::Completed, TARGET), "{status:?}");
    }
    let puts = kv(&manager, "good-");
    assert_eq!(puts.len() as u64, GOOD as u64 * TARGET);
    assert!(puts.iter().all(|(_, version, _)| *version == 1), "each effect once");
    // Those that never end are still there, and the manager answers.
    let states = vec![JobState::Running];
    let (listed, _) =
        manager.list(&JobFilter { states, ..JobFilter::default() }, ListOrder::default(), None, 100).unwrap();
    assert!(!listed.is_empty(), "none runs any more");
    for (hostile, job) in &running {
        if hostile.ends == Ends::Cancelled {
            block_on(job.cancel()).unwrap();
        }
    }
    for (hostile, job) in running {
        let status = block_on(job.wait());
        let cause = status.last_words.map(|words| words.cause).unwrap_or_default();
        let (state, reason) = match hostile.ends {
            Ends::Completes => (JobState::Completed, ""),
            Ends::Cancelled => (JobState::Cancelled, ""),
            Ends::Fails(reason) | Ends::Refused(reason) => (JobState::Failed, reason),
        };
        assert_eq!(status.state, state, "{}: {cause}", hostile.name);
        assert!(cause.contains(reason), "{}: {reason:?} is not in {cause:?}", hostile.name);
        assert!(status.report.warnings.len() <= 100, "{}", hostile.name);
    }
}

/// An error with all that is behind it.
struct ErrorChain<'e>(&'e dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}
