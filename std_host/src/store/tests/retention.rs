use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A job, as far as retention goes.
#[derive(Clone, Copy, Debug)]
struct Job {
    ended_at: Option<u64>,
    parent: Option<u128>,
}

fn dispatch_all(store: &SqliteStore, jobs: &BTreeMap<u128, Job>) {
    for (number, job) in jobs {
        let state = if job.ended_at.is_some() { JobState::Failed } else { JobState::Running };
        let record = JobRecord {
            ended_at: job.ended_at,
            parent: job.parent.map(id),
            ..record("example:count", state)
        };
        store.change(id(*number), &first(id(*number), record), |result| result.expect("there is room"));
        store.append_log(id(*number), 0, LogLevel::Info, "x");
    }
    wait(store, |done| store.flush(done)).expect("there is room");
}

fn below(jobs: &BTreeMap<u128, Job>, top: u128) -> BTreeSet<u128> {
    let mut tree = BTreeSet::from([top]);
    loop {
        let is_below = |job: &Job| job.parent.is_some_and(|parent| tree.contains(&parent));
        let more: Vec<_> = jobs.iter().filter(|(_, job)| is_below(job)).map(|(number, _)| *number).collect();
        let before = tree.len();
        tree.extend(more);
        if tree.len() == before {
            return tree;
        }
    }
}

/// Removes one after the other, as plainly as can be.
fn expected(mut jobs: BTreeMap<u128, Job>, retention: Retention, now: u64) -> BTreeSet<u128> {
    let mut order: Vec<_> =
        jobs.iter().filter_map(|(number, job)| job.ended_at.map(|ended| (ended, *number))).collect();
    order.sort_unstable();
    let surplus =
        order.len().saturating_sub(retention.keep_count.unwrap_or(u64::MAX).try_into().unwrap_or(usize::MAX));
    for (index, (ended, number)) in order.into_iter().enumerate() {
        let is_beyond =
            index < surplus || retention.keep_ms.is_some_and(|keep| ended < now.saturating_sub(keep));
        let tree = if jobs.contains_key(&number) { below(&jobs, number) } else { BTreeSet::new() };
        let parent = jobs.get(&number).and_then(|job| job.parent).and_then(|parent| jobs.get(&parent));
        // Its parent may come to the same call again, and must find it.
        let is_wanted = parent.is_some_and(|parent| parent.ended_at.is_none());
        if is_beyond && !is_wanted && tree.iter().all(|number| jobs[number].ended_at.is_some()) {
            jobs.retain(|number, _| !tree.contains(number));
        }
    }
    jobs.into_keys().collect()
}

#[test]
fn what_is_beyond_goes_oldest_first_with_all_that_belongs_to_it() {
    let mut random = Random(99);
    for round in 0..20 {
        let count = 1 + u128::from(random.below(120));
        let jobs: BTreeMap<_, _> = (1..=count)
            .map(|number| {
                let ended_at = (random.below(4) > 0).then(|| random.below(1_000));
                let parent = (random.below(2) == 0 && number > 1)
                    .then(|| 1 + u128::from(random.below(number as u64 - 1)));
                (number, Job { ended_at, parent })
            })
            .collect();
        let retention = Retention {
            keep_count: (random.below(3) > 0).then(|| random.below(80)),
            keep_ms: (random.below(3) > 0).then(|| random.below(1_000)),
        };
        let folder = folder();
        let store = open(&folder);
        dispatch_all(&store, &jobs);
        let removed = store.prune(retention, 1_000).expect("it can be written");
        let left: BTreeSet<_> =
            store.reader().jobs().expect("it can be read").into_iter().map(|job| job.as_u128()).collect();
        assert_eq!(
            left,
            expected(jobs.clone(), retention, 1_000),
            "round {round}: {retention:?} of {jobs:?}"
        );
        assert_eq!(removed as usize, jobs.len() - left.len());
        assert_eq!(rows(&folder), left.len() as i64, "nothing else is left of the others");
        assert_eq!(
            store.prune(retention, 1_000).expect("it can be written"),
            0,
            "a second time there is nothing to do"
        );
    }
}

/// Rows of the tables that belong to jobs, of which each job has one: its checkpoint and its log line.
fn rows(folder: &TempDir) -> i64 {
    let path = folder.path().join(crate::store::STORE_FILE);
    let database = rusqlite::Connection::open(path).expect("a database");
    let count = |table| {
        database
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
            .expect("a count")
    };
    assert_eq!(count("checkpoints"), count("logs"));
    count("logs")
}
