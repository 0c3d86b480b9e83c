use std::collections::BTreeMap;

use super::*;
use crate::store::{JobFilter, ListOrder};

fn fill(store: &SqliteStore, count: u128) -> BTreeMap<Uuid, JobRecord> {
    let mut random = Random(7);
    let mut pick = |end: u64| random.below(end) as usize;
    let all = (1..=count)
        .map(|number| {
            let job = ["one:count", "one:copy", "two:count", "two:c%", "oné:x"][pick(5)];
            let parent = [None, None, Some(id(1)), Some(id(2))][pick(4)];
            let record =
                JobRecord { parent, created_at: number as u64, ..record(job, JobState::ALL[pick(6)]) };
            store.change(id(number), &first(id(number), record.clone()), |result| {
                result.expect("there is room")
            });
            (id(number), record)
        })
        .collect();
    wait(store, |done| store.flush(done)).expect("there is room");
    all
}

#[test]
fn lists_are_what_a_filter_of_all_gives() {
    let folder = folder();
    let store = open(&folder);
    let all = fill(&store, 60);
    let mut filters = vec![JobFilter::default()];
    for states in [vec![JobState::Queued], vec![JobState::Failed, JobState::Running], JobState::ALL.to_vec()]
    {
        filters.push(JobFilter { states, ..JobFilter::default() });
    }
    for text in ["one", "two", "on", "two:c", "two:c%", "oné", "x", "one:count"] {
        filters.push(JobFilter { extension: Some(text.to_owned()), ..JobFilter::default() });
        filters.push(JobFilter { job_prefix: Some(text.to_owned()), ..JobFilter::default() });
        filters.push(JobFilter {
            states: vec![JobState::Paused, JobState::Completed],
            job_prefix: Some(text.to_owned()),
            parent: Some(id(1)),
            ..JobFilter::default()
        });
    }
    let mut matches = 0;
    for filter in filters {
        let fits = |record: &JobRecord| {
            (filter.states.is_empty() || filter.states.contains(&record.state))
                && filter.extension.as_ref().is_none_or(|extension| extension == record.extension())
                && filter.job_prefix.as_ref().is_none_or(|prefix| record.job.starts_with(prefix))
                && filter.parent.is_none_or(|parent| record.parent == Some(parent))
        };
        let mut expected: Vec<_> = all.iter().filter(|(_, record)| fits(record)).collect();
        matches += expected.len();
        for order in [ListOrder::OldestFirst, ListOrder::NewestFirst] {
            for limit in [1, 7, 1_000] {
                let mut found = Vec::new();
                let mut after = None;
                loop {
                    let page = store.reader().list(&filter, order, after, limit).expect("it can be read");
                    let Some(last) = page.last() else { break };
                    assert!(page.len() <= limit);
                    after = Some(last.cursor);
                    found.extend(page);
                }
                let found: Vec<_> = found
                    .iter()
                    .map(|listed| (&listed.id, listed.record.as_ref().expect("a record")))
                    .collect();
                assert_eq!(found, expected, "{filter:?} {order:?}");
            }
            expected.reverse();
        }
    }
    assert!(matches > 200, "{matches} matches are too few to tell anything");
}

#[test]
fn counts_children_and_what_goes_on() {
    let folder = folder();
    let store = open(&folder);
    let mut all = fill(&store, 60);
    // A cursor holds though the newest job goes and another comes.
    let newest =
        store.reader().list(&JobFilter::default(), ListOrder::NewestFirst, None, 1).expect("it can be read");
    wait(&store, |done| store.remove(newest[0].id, done)).expect("it is removed");
    all.remove(&newest[0].id);
    let later = dispatch(&store, 100, JobState::Queued);
    let after = |order| store.reader().list(&JobFilter::default(), order, Some(newest[0].cursor), 9);
    assert_eq!(after(ListOrder::OldestFirst).expect("it can be read")[0].id, later);
    assert_ne!(after(ListOrder::NewestFirst).expect("it can be read")[0].id, later);
    all.insert(later, record("example:count", JobState::Queued));

    let ids = |listed: Vec<Listed>| listed.into_iter().map(|listed| listed.id).collect::<Vec<_>>();
    let expect = |fits: &dyn Fn(&JobRecord) -> bool| {
        all.iter().filter(|(_, record)| fits(record)).map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let counts = store.reader().counts().expect("it can be read");
    for state in JobState::ALL {
        let count = counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
        assert_eq!(count as usize, expect(&|record| record.state == state).len(), "{state}");
    }
    let children = store.reader().children(id(1)).expect("it can be read");
    assert_eq!(ids(children), expect(&|record| record.parent == Some(id(1))));
    let resumable = store.reader().resumable().expect("it can be read");
    assert_eq!(ids(resumable), expect(&|record| !record.state.is_final()));
    let found = store.reader().record(later).expect("it can be read").expect("it is there");
    assert_eq!(found, Ok(all[&later].clone()));
    assert!(store.reader().record(id(999)).expect("it can be read").is_none());
}

#[test]
fn lists_go_by_the_newest_record() {
    let folder = folder();
    let store = open(&folder);
    let job = dispatch(&store, 1, JobState::Queued);
    let mut record = record("example:count", JobState::Queued);
    // One thing after the other, so that each is seen by itself.
    let steps: [fn(&mut JobRecord); 6] = [
        |record| record.state = JobState::Running,
        |record| record.job = "example:copy".to_owned(),
        |record| record.job = "other:copy".to_owned(),
        |record| record.parent = Some(id(7)),
        |record| record.parent = Some(id(8)),
        |record| record.state = JobState::Failed,
    ];
    for step in steps {
        step(&mut record);
        let asked = Change { record: Some(record.clone()), commit: None };
        change(&store, job, &asked).expect("there is room");
        let filter = JobFilter {
            states: vec![record.state],
            extension: Some(record.extension().to_owned()),
            job_prefix: Some(record.job.clone()),
            parent: record.parent,
        };
        let listed = store.reader().list(&filter, ListOrder::NewestFirst, None, 9).expect("it can be read");
        assert_eq!(listed.len(), 1, "{filter:?}");
        assert_eq!(listed[0].record, Ok(record.clone()));
        assert_eq!(
            store.reader().children(id(7)).expect("it can be read").len(),
            usize::from(record.parent == Some(id(7)))
        );
    }
}

#[test]
fn a_record_that_cant_be_read_is_listed_all_the_same() {
    let folder = folder();
    let store = open(&folder);
    dispatch(&store, 1, JobState::Queued);
    dispatch(&store, 2, JobState::Queued);
    wait(&store, |done| {
        store.ask(0, done, |writing| {
            let newer = b"tor\xff".as_slice();
            writing.execute(
                "UPDATE jobs SET record = ?1 WHERE uuid = ?2",
                (newer, id(1).as_bytes().as_slice()),
            )?;
            Ok(Ok::<_, StoreError>(()))
        });
    })
    .expect("it is written");
    let listed = store.reader().resumable().expect("it can be read");
    assert!(matches!(listed[0].record, Err(toehold::FormatError::Newer { found: 255, .. })));
    assert!(listed[1].record.is_ok());
    assert_eq!(load(&store, id(1)).record, b"tor\xff", "it is kept");
}
