//! A flash that is full.

use std::sync::Arc;

use toehold::{Change, Commit, JobState, Store};

use super::{Serial, after, bytes, change, entry, job, load, open, packages::install, record};
use crate::{Depot, StoreError};

#[test]
fn a_full_flash_holds_all_and_jobs_can_end_and_go() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let mut jobs = 0;
    let error = loop {
        match store.change(job(jobs), &change(jobs as u64, 3_000)) {
            Ok(()) => jobs += 1,
            Err(error) => break error,
        }
    };
    let StoreError::Full { blocks, free } = error else { panic!("{error}") };
    assert!(free < blocks && jobs > 4, "{error}, {jobs} jobs");
    let expect = |number| after(None, &change(number as u64, 3_000));
    for number in 0..jobs {
        assert_eq!(load(&mut store, number), expect(number));
    }
    assert_eq!(load(&mut store, jobs), None);
    // A job that goes on is told the same, as often as it tries, and is as it was.
    for _ in 0..50 {
        let error = store.change(job(0), &change(9, 3_000)).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(load(&mut store, 0), expect(0));
    }
    // All of them can end, with a last checkpoint as well.
    for number in 0..jobs {
        let ended = Change { record: Some(record(7, JobState::Completed)), commit: None };
        store.change(job(number), &ended).unwrap_or_else(|error| panic!("job {number}: {error}"));
        assert_eq!(load(&mut store, number), after(expect(number), &ended));
    }
    let commit = Some(Arc::new(Commit::new(Vec::new(), Some(super::checkpoint(5, 100)))));
    let ended = Change { record: Some(record(8, JobState::Failed)), commit };
    store.change(job(1), &ended).unwrap();
    // There is room again once some are removed.
    for number in 2..6 {
        store.remove(job(number)).unwrap();
        assert_eq!(load(&mut store, number), None);
    }
    store.change(job(0), &change(9, 3_000)).unwrap();
    drop(store);
    assert_eq!(open(&flash).jobs().unwrap().len() as u128, jobs - 4);
}

#[test]
fn small_changes_of_many_jobs_fill_it_without_harm() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let mut expected = Vec::new();
    loop {
        let first = change(expected.len() as u64, 20);
        match store.change(job(expected.len() as u128), &first) {
            Ok(()) => expected.push(after(None, &first)),
            Err(StoreError::Full { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    // Journals grow until there is no room for them either.
    let mut refusals = 0;
    for number in 0..1_200_u64 {
        let index = number as usize % expected.len();
        let entry = entry(number, 90);
        match store.change(job(index as u128), &entry) {
            Ok(()) => expected[index] = after(expected[index].take(), &entry),
            Err(StoreError::Full { .. }) => refusals += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(load(&mut store, index as u128), expected[index], "entry {number}");
    }
    assert!(refusals > 0);
    drop(store);
    let mut store = open(&flash);
    for (number, expected) in expected.iter().enumerate() {
        assert_eq!(load(&mut store, number as u128), *expected);
        store.remove(job(number as u128)).unwrap();
    }
    assert!(store.jobs().unwrap().is_empty());
    store.change(job(1), &change(1, 3_000)).unwrap();
}

#[test]
fn a_package_that_does_not_fit_changes_nothing() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let old = bytes(30_000, 1);
    install(&mut store, "counter", &old).unwrap();
    store.change(job(1), &change(1, 2_000)).unwrap();
    let room = store.room().unwrap();
    for _ in 0..3 {
        let error = install(&mut store, "counter", &bytes(80_000, 2)).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(store.room().unwrap(), room);
        assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap().unwrap(), old);
    }
    store.remove_package("counter").unwrap();
    install(&mut store, "counter", &bytes(60_000, 2)).unwrap();
    assert_eq!(load(&mut store, 1), after(None, &change(1, 2_000)));
}
