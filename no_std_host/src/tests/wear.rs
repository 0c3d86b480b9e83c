//! A flash that wears out.

use std::sync::Arc;

use toehold::{Change, Commit, Store};

use super::{Serial, after, change, checkpoint, job, load, open};
use crate::{FlashOperation, FlashStore, StoreError, sim::SimFlash};

#[test]
fn blocks_wear_evenly() {
    for (state_bytes, changes) in [(50, 40_000), (2_000, 2_000)] {
        let flash = SimFlash::<4, 1024>::new(32);
        let mut store = FlashStore::<_, 32>::open(flash.clone()).unwrap();
        for number in 0..changes {
            let commit = Commit::new(Vec::new(), Some(checkpoint(number, state_bytes)));
            let change = Change { record: None, commit: Some(Arc::new(commit)) };
            store.change(job(1), &change).unwrap();
        }
        // The first two hold what seldom changes.
        let wear = &flash.wear()[2..];
        let (most, all) = (wear.iter().max().unwrap(), wear.iter().sum::<u32>());
        let mean = all / wear.len() as u32;
        assert!(*most < mean * 3, "{wear:?}");
    }
}

#[test]
fn a_worn_block_is_left_for_another() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let mut expected = None;
    // One block after the other fails, but those where a file system begins.
    for number in 0..400_u64 {
        if number % 20 == 0 {
            flash.wear_out(2 + number as usize / 20);
        }
        let change = change(number, if number % 3 == 0 { 1_500 } else { 60 });
        store.change(job(1), &change).unwrap_or_else(|error| panic!("change {number}: {error}"));
        expected = after(expected, &change);
        assert_eq!(load(&mut store, 1), expected, "change {number}");
    }
    let fault = store.last_fault().unwrap();
    assert_eq!(fault.operation, FlashOperation::Erase);
    drop(store);
    assert_eq!(load(&mut open(&flash), 1), expected);
}

#[test]
fn a_flash_that_is_worn_out_says_so_and_can_be_read() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    store.change(job(1), &change(1, 100)).unwrap();
    store.change(job(2), &change(2, 2_000)).unwrap();
    (0..32).for_each(|block| flash.wear_out(block));
    for number in [1, 2, 3] {
        let error = store.change(job(number), &change(9, 100)).unwrap_err();
        assert!(matches!(error, StoreError::Flash(_)), "{error}");
        assert!(error.to_string().contains("worn out"), "{error}");
        let error = store.remove(job(1)).unwrap_err();
        assert!(matches!(error, StoreError::Flash(_)), "{error}");
    }
    drop(store);
    let mut store = open(&flash);
    assert_eq!(load(&mut store, 1), after(None, &change(1, 100)));
    assert_eq!(load(&mut store, 2), after(None, &change(2, 2_000)));
    assert_eq!(load(&mut store, 3), None);
}
