//! Packages come whole or not at all.

use toehold::Store;

use super::{Serial, bytes, change, job, load, open};
use crate::{Depot, FlashStore, PackageFile, StoreError, sim::SimFlash, sim::Tear};

/// Installs in pieces as a console does.
pub(super) fn install<D: Depot<Error = StoreError>>(
    store: &mut D,
    id: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    store.begin_package()?;
    for piece in bytes.chunks(240) {
        store.write_package(piece)?;
    }
    assert_eq!(store.read_begun_package(0..usize::MAX)?, bytes);
    store.finish_package(id)
}

#[test]
fn a_package_is_listed_read_replaced_and_removed() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let (old, new) = (bytes(20_000, 1), bytes(9_000, 2));
    install(&mut store, "counter", &old).unwrap();
    install(&mut store, "empty", &[]).unwrap();
    drop(store);
    let mut store = open(&flash);
    let file = |id: &str, bytes| PackageFile { id: id.into(), bytes };
    assert_eq!(store.packages().unwrap(), [file("counter", 20_000), file("empty", 0)]);
    assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap(), Some(old.clone()));
    assert_eq!(store.read_package("empty", 0..usize::MAX).unwrap(), Some(vec![]));
    for (range, found) in [(0..1, 0..1), (7..5_000, 7..5_000), (19_999..30_000, 19_999..20_000)] {
        assert_eq!(store.read_package("counter", range).unwrap().as_deref(), Some(&old[found]));
    }
    assert_eq!(store.read_package("counter", 20_001..usize::MAX).unwrap(), Some(vec![]));

    install(&mut store, "counter", &new).unwrap();
    assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap(), Some(new));
    store.remove_package("counter").unwrap();
    store.remove_package("counter").unwrap();
    assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap(), None);
    assert_eq!(store.packages().unwrap(), [file("empty", 0)]);
}

#[test]
fn what_is_given_up_changes_nothing() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    let old = bytes(5_000, 1);
    install(&mut store, "counter", &old).unwrap();
    let room = store.room().unwrap();

    assert_eq!(store.write_package(b"x"), Err(StoreError::NotInstalling));
    assert_eq!(store.read_begun_package(0..usize::MAX), Err(StoreError::NotInstalling));
    assert_eq!(store.finish_package("counter"), Err(StoreError::NotInstalling));
    store.begin_package().unwrap();
    store.write_package(&bytes(9_000, 7)).unwrap();
    assert!(store.room().unwrap().used > room.used);
    store.abort_package().unwrap();
    assert_eq!(store.room().unwrap(), room);
    assert_eq!(store.write_package(b"x"), Err(StoreError::NotInstalling));

    for id in ["", ".new", "../jobs/x", "A", "a/b", &"x".repeat(65)] {
        assert_eq!(install(&mut store, id, b"x"), Err(StoreError::PackageId(id.into())));
        assert_eq!(store.read_package(id, 0..usize::MAX), Ok(None));
        assert_eq!(store.remove_package(id), Ok(()));
    }
    assert_eq!(store.packages().unwrap(), [PackageFile { id: "counter".into(), bytes: 5_000 }]);
    assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap(), Some(old));
    assert_eq!(store.room().unwrap(), room);
}

/// Installs with the power cut after each number of operations, until it lasts.
#[test]
fn a_cut_anywhere_leaves_the_old_package_or_the_new_one() {
    let before = Serial::new(32);
    let mut store = open(&before);
    let (old, new, other) = (bytes(9_000, 1), bytes(9_500, 2), bytes(300, 3));
    install(&mut store, "counter", &old).unwrap();
    install(&mut store, "other", &other).unwrap();
    store.change(job(1), &change(1, 700)).unwrap();
    let (saved, files) = (load(&mut store, 1), store.packages().unwrap().len());
    let used = store.room().unwrap().used;
    drop(store);
    for tear in Tear::ALL {
        for cut in 0.. {
            let flash = before.copy();
            let mut store = open(&flash);
            flash.cut_after(cut, tear);
            let done = install(&mut store, "counter", &new);
            drop(store);

            let mut store = open(&flash);
            let found = store.read_package("counter", 0..usize::MAX).unwrap().unwrap();
            if done.is_ok() {
                assert_eq!(found, new, "after {cut} operations, {tear:?}");
            } else {
                assert!(found == old || found == new, "after {cut} operations, {tear:?}: neither");
            }
            // What was begun is gone.
            assert!(store.room().unwrap().used <= used + 2 * 4096, "after {cut} operations, {tear:?}");
            assert_eq!(store.read_package("other", 0..usize::MAX).unwrap().unwrap(), other);
            assert_eq!(load(&mut store, 1), saved);
            assert_eq!(store.packages().unwrap().len(), files);
            if done.is_ok() {
                break;
            }
            install(&mut store, "counter", &new).unwrap();
            assert_eq!(store.read_package("counter", 0..usize::MAX).unwrap().unwrap(), new);
        }
    }
}

#[test]
fn a_cut_anywhere_leaves_the_package_or_it_is_removed() {
    let before = Serial::new(32);
    let mut store = open(&before);
    let package = bytes(9_000, 1);
    install(&mut store, "counter", &package).unwrap();
    drop(store);
    for tear in Tear::ALL {
        for cut in 0.. {
            let flash = before.copy();
            let mut store = open(&flash);
            flash.cut_after(cut, tear);
            let done = store.remove_package("counter");
            drop(store);
            let found = open(&flash).read_package("counter", 0..usize::MAX).unwrap();
            match done {
                Ok(()) => assert_eq!(found, None),
                Err(_) => assert!(found.is_none_or(|found| found == package)),
            }
            if done.is_ok() {
                break;
            }
        }
    }
}

/// Of so many that their folder is a chain of blocks, in which a rename goes from one to another.
#[test]
fn a_cut_anywhere_leaves_all_other_packages() {
    type Small = FlashStore<SimFlash<8, 512>, 128>;
    let before = SimFlash::<8, 512>::new(128);
    let mut store = Small::open(before.clone()).unwrap();
    let ids: Vec<_> = (0..40).map(|number| format!("package-{}", number * 2 + 10)).collect();
    for id in &ids {
        install(&mut store, id, id.as_bytes()).unwrap();
    }
    drop(store);
    let names = |store: &mut Small| -> Vec<_> {
        let mut names: Vec<_> = store.packages().unwrap().into_iter().map(|file| file.id).collect();
        names.sort();
        names
    };
    for (tear, new) in
        Tear::ALL.into_iter().zip(["package-09", "package-31", "package-57", "package-75", "package-91"])
    {
        for cut in 0.. {
            let flash = before.copy();
            let mut store = Small::open(flash.clone()).unwrap();
            flash.cut_after(cut, tear);
            let done = install(&mut store, new, b"new").is_ok();
            drop(store);
            flash.power_on();
            let mut store = Small::open(flash.clone()).unwrap();
            let mut found = names(&mut store);
            found.retain(|id| id != new);
            assert_eq!(found, ids, "{new} after {cut} operations, {tear:?}");
            for id in &ids {
                assert_eq!(
                    store.read_package(id, 0..usize::MAX).unwrap().as_deref(),
                    Some(id.as_bytes()),
                    "{new}, {cut}, {tear:?}"
                );
            }
            let read = store.read_package(new, 0..usize::MAX).unwrap();
            assert!(read.as_deref() == Some(b"new") || !done && read.is_none());
            if done {
                break;
            }
        }
    }
}
