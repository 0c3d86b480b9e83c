//! What is damaged or newer is told of and kept, and keeps nobody else from going on.

use littlefs2::{path, path::Path};
use toehold::Store;

use super::{Serial, SerialStore, after, change, entry, job, load, open};
use crate::{Item, StoreError, sim::Tear, volume::Volume};

const HEAD: &Path = path!("/jobs/00000000000000000000000000000001");

/// A flash with the job 1, which has pieces, and the job 2.
fn flash() -> Serial {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    store.change(job(1), &change(1, 2_000)).unwrap();
    store.change(job(1), &change(2, 2_000)).unwrap();
    store.change(job(2), &change(3, 400)).unwrap();
    flash
}

fn attribute(flash: &Serial, id: u8) -> Option<Vec<u8>> {
    Volume::<_, 32>::new(flash.clone()).with(|disk| disk.attribute(HEAD, id, 1_022)).unwrap()
}

fn set_attribute(flash: &Serial, id: u8, bytes: &[u8]) {
    Volume::<_, 32>::new(flash.clone()).with(|disk| Ok(disk.fs.set_attribute(HEAD, id, bytes)?)).unwrap();
}

fn files(flash: &Serial) -> Vec<String> {
    let list = Volume::<_, 32>::new(flash.clone()).with(|disk| {
        let names = disk.fs.read_dir_and_then(path!("/jobs"), |entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name().as_str().to_string())).collect()
        });
        Ok(names?)
    });
    list.unwrap()
}

/// Job 1 is refused with this error, as it is kept; job 2 goes on; and job 1 can be removed.
fn is_kept(flash: &Serial, expected: &StoreError) {
    let before = (files(flash), attribute(flash, 0), attribute(flash, 1));
    let mut store = open(flash);
    assert_eq!(store.load(job(1)), Err(expected.clone()));
    assert_eq!(store.change(job(1), &change(9, 100)), Err(expected.clone()));
    assert_eq!(store.change(job(1), &entry(9, 20)), Err(expected.clone()));
    let mut jobs = store.jobs().unwrap();
    jobs.sort();
    assert_eq!(jobs, [job(1), job(2)]);
    drop(store);
    drop(open(flash));
    assert_eq!((files(flash), attribute(flash, 0), attribute(flash, 1)), before);
    goes(flash);
}

/// Job 2 goes on, and job 1 can be removed.
fn goes(flash: &Serial) {
    let mut store = open(flash);
    store.change(job(2), &entry(4, 400)).unwrap();
    assert_eq!(load(&mut store, 2), after(after(None, &change(3, 400)), &entry(4, 400)));
    store.remove(job(1)).unwrap();
    assert_eq!(load(&mut store, 1), None);
    drop(store);
    let mine = |name: &String| name.starts_with("00000000000000000000000000000001");
    assert_eq!(files(flash).iter().filter(|name| mine(name)).count(), 0);
    let mut store = open(flash);
    store.change(job(1), &change(1, 2_000)).unwrap();
    assert_eq!(load(&mut store, 1), after(None, &change(1, 2_000)));
}

#[test]
fn a_damaged_head_is_kept() {
    for bytes in [&b""[..], b"toh", b"garbage that nobody wrote"] {
        let flash = flash();
        set_attribute(&flash, 0, bytes);
        is_kept(&flash, &StoreError::Damaged(Item::Job(job(1))));
    }
    let flash = flash();
    let mut head = attribute(&flash, 0).unwrap();
    *head.last_mut().unwrap() ^= 1;
    set_attribute(&flash, 0, &head);
    is_kept(&flash, &StoreError::Damaged(Item::Job(job(1))));
}

#[test]
fn a_newer_head_or_addition_is_kept() {
    let newer = StoreError::Newer { what: Item::Job(job(1)), found: 2, newest: 1 };
    let flash = flash();
    let mut head = attribute(&flash, 0).unwrap();
    head[3] = 2;
    set_attribute(&flash, 0, &head);
    is_kept(&flash, &newer);

    let flash = self::flash();
    set_attribute(&flash, 1, b"toa\x02 from the future");
    is_kept(&flash, &newer);
}

#[test]
fn a_damaged_addition_is_kept() {
    let flash = flash();
    open(&flash).change(job(1), &entry(3, 30)).unwrap();
    let mut addition = attribute(&flash, 1).unwrap();
    addition[6] ^= 1;
    set_attribute(&flash, 1, &addition);
    is_kept(&flash, &StoreError::Damaged(Item::Job(job(1))));
}

#[test]
fn a_damaged_piece_is_told_of() {
    let flash = flash();
    let before = flash.bytes();
    // The state of the newest checkpoint, which nothing else has.
    let state = super::bytes(2_000, 2);
    let at = before.windows(100).position(|window| *window == state[1_000..1_100]).unwrap();
    flash.edit(|bytes| bytes[at] ^= 4);
    let mut store = open(&flash);
    let damaged = store.load(job(1)).unwrap_err();
    assert!(
        matches!(damaged, StoreError::Damaged(Item::Piece { job, .. }) if job == super::job(1)),
        "{damaged}"
    );
    // It is there until a checkpoint takes its place as base and newest, and no change makes it look whole.
    store.change(job(1), &entry(3, 30)).unwrap();
    assert_eq!(store.load(job(1)), Err(damaged));
    drop(store);
    goes(&flash);
}

/// One byte after the other is damaged. What the store then gives was there once, as a whole.
#[test]
fn no_damage_makes_a_mix() {
    let flash = flash();
    let mut store = open(&flash);
    let mut ever = vec![None, after(None, &change(1, 2_000)), load(&mut store, 1)];
    for number in 3..6 {
        store.change(job(1), &entry(number, 30)).unwrap();
        ever.push(load(&mut store, 1));
    }
    let other = [None, after(None, &change(3, 400))];
    drop(store);
    let content = flash.bytes();
    let used = |at: &usize| content[*at] != 0xff;
    let (mut told, mut harmless) = (0, 0);
    for at in (0..content.len()).filter(used).step_by(7) {
        let flash = flash.copy();
        flash.edit(|bytes| bytes[at] ^= 0x11);
        let Ok(mut store) = SerialStore::open(flash.clone()) else {
            told += 1;
            continue;
        };
        match store.load(job(1)) {
            Ok(saved) => assert!(ever.contains(&saved), "byte {at}"),
            Err(_) => told += 1,
        }
        match store.load(job(2)) {
            Ok(saved) => assert!(other.contains(&saved), "byte {at}"),
            Err(_) => told += 1,
        }
        harmless += 1;
        // It goes on, or says why it does not.
        let _ = store.change(job(2), &entry(9, 40));
        let _ = store.remove(job(1));
    }
    assert!(told > 100 && harmless > 100, "{told} {harmless}");
}

/// A file of a name that is none of ours is left alone.
#[test]
fn unknown_files_stay() {
    let flash = flash();
    let odd = path!("/jobs/notes.txt");
    Volume::<_, 32>::new(flash.clone()).with(|disk| Ok(disk.write(odd, b"mine")?)).unwrap();
    flash.cut_after(4, Tear::Front);
    drop(SerialStore::open(flash.clone()).map(|mut store| store.change(job(1), &change(5, 1_500))));
    let mut store = open(&flash);
    assert_eq!(store.jobs().unwrap().len(), 2);
    drop(store);
    let read = Volume::<_, 32>::new(flash.clone()).with(|disk| disk.read(odd)).unwrap();
    assert_eq!(read.unwrap(), b"mine");
}

/// A cut between the two steps that store a job for the first time leaves a file without a head.
#[test]
fn a_job_without_a_head_is_none() {
    let flash = flash();
    let headless = path!("/jobs/000000000000000000000000000000ff");
    let before = files(&flash);
    let mut volume = Volume::<_, 32>::new(flash.clone());
    let found = volume.with(|disk| {
        disk.write(headless, &[])?;
        Ok((disk.jobs()?.len(), disk.load(job(0xff))?))
    });
    assert_eq!(found, Ok((2, None)));
    drop(open(&flash));
    assert_eq!(files(&flash), before);
    Volume::<_, 32>::new(flash.clone()).with(|disk| Ok(disk.write(headless, &[])?)).unwrap();
    let mut store = open(&flash);
    store.change(job(0xff), &change(1, 2_000)).unwrap();
    assert_eq!(load(&mut store, 0xff), after(None, &change(1, 2_000)));
}
