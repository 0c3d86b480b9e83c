//! A flash that fails for a moment: what was told is true.

use toehold::{Change, Store};

use super::{Serial, after, change, entry, job, load, open};

/// Has each read of a change fail once, and then makes it again.
fn each_read(first: &[Change], change: &Change) {
    let before = Serial::new(32);
    let mut store = open(&before);
    let mut saved = None;
    for change in first {
        store.change(job(1), change).unwrap();
        saved = after(saved, change);
    }
    store.change(job(2), &super::change(1, 500)).unwrap();
    drop(store);
    let changed = after(saved.clone(), change);
    let mut failures = 0;
    for reads in 0.. {
        let flash = before.copy();
        let mut store = open(&flash);
        // It is mounted.
        store.jobs().unwrap();
        flash.fail_read_after(reads);
        let done = store.change(job(1), change);
        let was_late = flash.has_failing_read();
        flash.fail_no_read();
        let found = load(&mut store, 1);
        match &done {
            Ok(()) => assert_eq!(found, changed, "read {reads}"),
            Err(error) => {
                failures += 1;
                assert_eq!(found, saved, "read {reads}: {error}");
                store.change(job(1), change).unwrap();
                assert_eq!(load(&mut store, 1), changed, "read {reads}, again");
            }
        }
        drop(store);
        let mut store = open(&flash);
        assert_eq!(load(&mut store, 1), changed, "read {reads}, opened again");
        assert_eq!(load(&mut store, 2), after(None, &super::change(1, 500)));
        if was_late {
            break;
        }
    }
    assert!(failures > 0);
}

#[test]
fn after_an_error_a_change_can_be_made_again() {
    // As an addition, in a head, with pieces, and where the log is compacted.
    each_read(&[change(1, 300)], &entry(2, 40));
    each_read(&[change(1, 300)], &change(2, 300));
    each_read(&[change(1, 2_000), change(2, 2_000)], &change(3, 2_000));
    each_read(&[], &change(1, 2_000));
    let many: Vec<_> = (0..5).map(|number| change(number, 300)).collect();
    each_read(&many, &change(9, 300));
}

#[test]
fn after_an_error_a_job_can_be_removed_again() {
    let before = Serial::new(32);
    let mut store = open(&before);
    store.change(job(1), &change(1, 2_000)).unwrap();
    store.change(job(1), &change(2, 2_000)).unwrap();
    drop(store);
    let saved = load(&mut open(&before), 1);
    for reads in 0.. {
        let flash = before.copy();
        let mut store = open(&flash);
        store.jobs().unwrap();
        flash.fail_read_after(reads);
        let done = store.remove(job(1));
        let was_late = flash.has_failing_read();
        flash.fail_no_read();
        let found = load(&mut store, 1);
        if done.is_ok() {
            assert_eq!(found, None, "read {reads}");
        } else {
            assert_eq!(found, saved, "read {reads}");
            store.remove(job(1)).unwrap();
        }
        // Nothing is left of it, at the latest after the next change.
        store.change(job(2), &change(1, 10)).unwrap();
        drop(store);
        let fresh = Serial::new(32);
        open(&fresh).change(job(2), &change(1, 10)).unwrap();
        let used = |flash: &Serial| crate::Depot::room(&mut open(flash)).unwrap().used;
        assert_eq!(used(&flash), used(&fresh), "read {reads}");
        if was_late {
            break;
        }
    }
}
