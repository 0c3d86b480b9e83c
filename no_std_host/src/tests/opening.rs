//! What a store makes of what a flash holds.

use littlefs2::path;
use toehold::Store;

use super::{Serial, SerialStore, bytes, change, job, load, open};
use crate::{Depot, FlashStore, Found, Item, StoreError, disk::Label, sim::Tear, volume::Volume};

/// Why a flash is refused. It is not touched.
fn refused(flash: &Serial) -> StoreError {
    let before = flash.bytes();
    let refused = SerialStore::open(flash.clone()).unwrap_err();
    assert_eq!(flash.bytes(), before);
    refused.error
}

#[test]
fn a_blank_flash_becomes_a_store() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    assert!(store.jobs().unwrap().is_empty());
    assert_eq!(store.packages().unwrap(), []);
    let operations = |flash: &Serial| (flash.counts().programs, flash.counts().erases);
    let before = operations(&flash);
    drop(store);
    drop(open(&flash));
    assert_eq!(operations(&flash), before, "opening it again writes nothing");
}

#[test]
fn what_is_foreign_is_told_of_and_kept() {
    for at in [0, 5_000, 32 * 4096 - 1] {
        let flash = Serial::new(32);
        flash.edit(|bytes| bytes[at] = 0x50);
        let first = flash.bytes()[..8].try_into().unwrap();
        assert_eq!(refused(&flash), StoreError::Foreign(Found::Unknown(first)));
    }
    let zeros = Serial::new(32);
    zeros.edit(|bytes| bytes.fill(0));
    assert_eq!(refused(&zeros), StoreError::Foreign(Found::Unknown([0; 8])));
}

#[test]
fn a_littlefs_that_is_no_store_is_kept() {
    let flash = Serial::new(32);
    let mut volume = Volume::<_, 32>::new(flash.clone());
    volume.make().unwrap();
    volume.with(|disk| Ok(disk.write(path!("/photo"), b"of a cat")?)).unwrap();
    assert_eq!(refused(&flash), StoreError::Foreign(Found::Littlefs));

    let flash = Serial::new(32);
    drop(FlashStore::<_, 16>::open(flash.clone()).unwrap());
    assert_eq!(refused(&flash), StoreError::Foreign(Found::OtherBlocks { block_bytes: 4096, blocks: 16 }));
}

#[test]
fn a_flash_that_is_too_small_is_refused() {
    assert_eq!(refused(&Serial::new(31)), StoreError::TooSmall { bytes: 32 * 4096, capacity: 31 * 4096 });
}

#[test]
fn a_flash_that_can_not_be_read_is_not_formatted() {
    let flash = Serial::new(32);
    open(&flash).change(job(1), &change(1, 100)).unwrap();
    flash.set_unreadable(true);
    assert!(matches!(refused(&flash), StoreError::Flash(_)));
    flash.set_unreadable(false);
    assert!(load(&mut open(&flash), 1).is_some());
}

#[test]
fn a_newer_store_is_kept() {
    let flash = Serial::new(32);
    drop(open(&flash));
    Volume::<_, 32>::new(flash.clone()).with(|disk| Ok(disk.set_label(&Label::Version(2))?)).unwrap();
    assert_eq!(refused(&flash), StoreError::Newer { what: Item::Store, found: 2, newest: 1 });
}

#[test]
fn formatting_drops_whatever_there_was() {
    let flash = Serial::new(32);
    flash.edit(|content| content.copy_from_slice(&bytes(32 * 4096, 5)));
    let foreign = refused(&flash);
    assert!(matches!(foreign, StoreError::Foreign(_)), "{foreign}");
    let mut store = SerialStore::format(flash.clone()).unwrap();
    store.change(job(1), &change(1, 100)).unwrap();
    drop(store);
    assert!(load(&mut open(&flash), 1).is_some());
    drop(SerialStore::format(flash.clone()).unwrap());
    assert!(open(&flash).jobs().unwrap().is_empty());
}

/// Formatting is cut off anywhere: the store is empty, or formatting again makes it so.
#[test]
fn formatting_that_is_cut_off_can_be_done_again() {
    let before = Serial::new(32);
    open(&before).change(job(1), &change(1, 100)).unwrap();
    for tear in Tear::ALL {
        for cut in 0.. {
            let flash = before.copy();
            flash.cut_after(cut, tear);
            let done = SerialStore::format(flash.clone()).is_ok();
            flash.power_on();
            if let Ok(mut store) = SerialStore::open(flash.clone()) {
                store.jobs().unwrap();
            }
            assert!(SerialStore::format(flash.clone()).unwrap().jobs().unwrap().is_empty());
            assert!(open(&flash).jobs().unwrap().is_empty());
            if done && cut > 0 {
                break;
            }
        }
    }
}
