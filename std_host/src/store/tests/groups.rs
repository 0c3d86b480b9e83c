use super::*;

type Told = mpsc::Receiver<Result<(), StoreError>>;

fn ask(store: &SqliteStore, job: Uuid, asked: &Change) -> Told {
    let (tell, told) = mpsc::channel();
    store.change(job, asked, move |result| drop(tell.send(result)));
    told
}

#[test]
fn one_that_fails_harms_no_other_of_its_group() {
    let folder = folder();
    let store = open(&folder);
    for number in 1..=3 {
        dispatch(&store, number, JobState::Queued);
    }
    let held = hold(&store);
    let before = ask(&store, id(1), &commit(b"a", None));
    let (tell, failed) = mpsc::channel::<Result<(), StoreError>>();
    let mut tries = 0;
    store.ask(
        0,
        move |result| drop(tell.send(result)),
        move |writing| {
            tries += 1;
            writing.execute("DELETE FROM jobs", [])?;
            Err(rusqlite::Error::InvalidParameterName(format!("try {tries}")))
        },
    );
    let refused = ask(&store, id(9), &commit(b"a", None));
    let after = ask(&store, id(2), &commit(b"b", None));
    drop(held);
    before.recv().expect("an answer").expect("it is durable");
    after.recv().expect("an answer").expect("it is durable");
    let error = failed.recv().expect("an answer").expect_err("it fails");
    assert!(error.to_string().contains("try 2"), "once with the group and once alone: {error}");
    let error = refused.recv().expect("an answer").expect_err("there is no such job");
    assert!(matches!(error, StoreError::NoSuchJob { .. }), "{error}");
    let journals: Vec<_> = (1..=3).map(|number| load(&store, id(number)).journal).collect();
    assert_eq!(journals, [b"a".to_vec(), b"b".to_vec(), vec![]]);
}

#[test]
fn what_a_group_that_is_undone_had_found_out_is_forgotten() {
    let folder = folder();
    let store = open(&folder);
    let old = dispatch(&store, 1, JobState::Queued);
    let held = hold(&store);
    let new = ask(&store, id(2), &first(id(2), record("example:count", JobState::Queued)));
    let begun = ask(&store, old, &new_run(b"a", Some(checkpoint(old, 1, 0, b"x"))));
    let (tell, failed) = mpsc::channel::<Result<(), StoreError>>();
    let mut tries = 0;
    store.ask(
        0,
        move |result| drop(tell.send(result)),
        move |_| {
            tries += 1;
            // It works with the group, and not alone.
            if tries == 1 { Ok(Ok(())) } else { Err(rusqlite::Error::InvalidQuery) }
        },
    );
    store.ask(0, |_: Result<(), StoreError>| {}, |_| Err(rusqlite::Error::InvalidQuery));
    drop(held);
    new.recv().expect("an answer").expect("it is durable");
    begun.recv().expect("an answer").expect("it is durable");
    failed.recv().expect("an answer").expect_err("what counts is what came last");
    change(&store, id(2), &commit(b"b", None)).expect("it is there");
    assert_eq!((load(&store, id(2)).journal, load(&store, old).journal), (b"b".to_vec(), b"a".to_vec()));
    drop(store);
    assert_eq!(load(&open(&folder), id(2)).journal, b"b");
}

#[test]
fn a_panic_of_who_is_told_stops_nobody() {
    let folder = folder();
    let store = open(&folder);
    dispatch(&store, 1, JobState::Queued);
    store.change(id(1), &commit(b"a", None), |_| panic!("on purpose"));
    change(&store, id(1), &commit(b"b", None)).expect("it goes on");
    assert_eq!(load(&store, id(1)).journal, b"ab");
}

#[test]
fn what_waits_is_written_when_the_last_handle_goes() {
    let folder = folder();
    let store = open(&folder);
    dispatch(&store, 1, JobState::Queued);
    let held = hold(&store);
    let asked: Vec<_> = (0..50).map(|number| ask(&store, id(1), &commit(&[number], None))).collect();
    drop(held);
    drop(store);
    assert!(asked.iter().all(|told| told.try_recv().expect("an answer").is_ok()));
    assert_eq!(load(&open(&folder), id(1)).journal, (0..50).collect::<Vec<_>>());
}

#[test]
fn the_last_handle_may_go_where_somebody_is_told() {
    let folder = folder();
    let store = open(&folder);
    dispatch(&store, 1, JobState::Queued);
    let held = hold(&store);
    let (tell, told) = mpsc::channel();
    let last = store.clone();
    store.change(id(1), &commit(b"a", None), move |result| {
        drop(last);
        drop(tell.send(result));
    });
    drop(store);
    drop(held);
    told.recv().expect("an answer").expect("it is durable");
}

#[test]
fn a_panic_of_the_writer_leaves_nobody_waiting() {
    let folder = folder();
    let store = open(&folder);
    dispatch(&store, 1, JobState::Queued);
    let held = hold(&store);
    store.ask(0, |_: Result<(), StoreError>| {}, |_| panic!("on purpose"));
    let waits = ask(&store, id(1), &commit(b"a", None));
    drop(held);
    assert!(!matches!(waits.recv(), Ok(Ok(()))));
    let error = change(&store, id(1), &commit(b"b", None)).expect_err("the writer is gone");
    assert!(matches!(error, StoreError::Closed { .. }), "{error}");
}

#[test]
fn a_second_process_or_a_reader_sees_what_was_acknowledged() {
    let folder = folder();
    let store = open(&folder);
    let reader = SqliteStore::open_read_only(folder.path()).expect("it opens");
    for number in 1..=50_u8 {
        let job = dispatch(&store, number.into(), JobState::Running);
        assert_eq!(reader.jobs().expect("it can be read").len(), usize::from(number));
        change(&store, job, &commit(&[number], None)).expect("there is room");
        assert_eq!(reader.load(job).expect("it can be read").expect("it is there").journal, [number]);
    }
}
