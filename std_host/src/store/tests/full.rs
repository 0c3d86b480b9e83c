use super::*;

const LIMIT: u64 = 400 << 10;

fn small(folder: &TempDir) -> SqliteStore {
    open_with(folder, StoreOptions { max_bytes: Some(LIMIT), ..StoreOptions::default() })
}

fn is_full<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Full { .. }))
}

/// Dispatches jobs with states of 20 KB until there is no room. Gives those that are there.
fn fill(store: &SqliteStore) -> Vec<Uuid> {
    for number in 1.. {
        let start = Commit::first(checkpoint(id(number), 0, 0, &[number as u8; 20_000]));
        let record = Some(record("example:count", JobState::Running));
        match change(store, id(number), &Change { record, commit: Some(Arc::new(start)) }) {
            Ok(()) => {}
            Err(StoreError::Full { .. }) => return (1..number).map(id).collect(),
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!("it has a limit")
}

#[test]
fn a_full_store_says_so_and_goes_on_once_there_is_room() {
    let folder = folder();
    let store = small(&folder);
    let jobs = fill(&store);
    assert!((10..20).contains(&jobs.len()), "{} jobs of 20 KB fit into {LIMIT} bytes", jobs.len());
    assert_eq!(store.reader().jobs().expect("it can be read"), jobs);
    let before: Vec<_> = jobs.iter().map(|job| load(&store, *job)).collect();
    let big = commit(&[1; 30_000], Some(checkpoint(jobs[0], 1, 0, &[2; 30_000])));
    let error = change(&store, jobs[0], &big).expect_err("there is no room");
    assert!(error.to_string().contains("keep fewer jobs that are over"), "{error}");
    assert_eq!(
        jobs.iter().map(|job| load(&store, *job)).collect::<Vec<_>>(),
        before,
        "nothing is half-written"
    );
    assert_eq!(store.reader().check().expect("it can be read"), Vec::<String>::new());

    for job in &jobs[1..=4] {
        wait(&store, |done| store.remove(*job, done)).expect("a removal needs no room");
    }
    change(&store, jobs[0], &big).expect("there is room again");
    let saved = load(&store, jobs[0]);
    assert_eq!((saved.base, saved.journal), (before[0].base.clone(), vec![1; 30_000]));
}

#[test]
fn one_that_does_not_fit_fails_alone() {
    let folder = folder();
    let store = small(&folder);
    let jobs = fill(&store);
    let held = hold(&store);
    let ask = |job, asked: &Change| {
        let (tell, told) = mpsc::channel();
        store.change(job, asked, move |result| drop(tell.send(result)));
        told
    };
    let first = ask(jobs[0], &commit(b"a", None));
    let big = ask(jobs[1], &commit(&[1; 100_000], None));
    let last =
        ask(jobs[2], &Change { record: Some(record("example:count", JobState::Paused)), commit: None });
    drop(held);
    assert!(is_full(&big.recv().expect("an answer")));
    first.recv().expect("an answer").expect("it fits");
    last.recv().expect("an answer").expect("it fits");
    assert_eq!(load(&store, jobs[0]).journal, b"a");
    assert_eq!(load(&store, jobs[1]).journal, b"");
}

#[test]
fn every_kind_of_write_says_that_it_is_full() {
    let folder = folder();
    let store = small(&folder);
    let jobs = fill(&store);
    let value = vec![1; 100_000];
    let put =
        wait(&store, |done| store.kv_put("example", "key", value.clone(), None, KvQuota::default(), done));
    assert!(matches!(put, Err(KvError::Store(StoreError::Full { .. }))), "{put:?}");
    assert_eq!(store.reader().kv_get("example", "key").expect("it can be read"), None);
    let module = StoredModule {
        hash: [1; 32],
        manifest: "{}".to_owned(),
        module: value,
        config: "{}".to_owned(),
        added_at: 0,
        package: None,
        brought: false,
    };
    assert!(is_full(&wait(&store, |done| store.put_module(module, done))));
    store.append_log(jobs[0], 1, LogLevel::Info, &"x".repeat(100_000));
    store.append_log(jobs[0], 2, LogLevel::Info, "short");
    // Two lines that can't be written are lost, and counted with the next.
    wait(&store, |done| store.flush(done)).expect("it fits");
    wait(&store, |done| store.remove(jobs[1], done)).expect("a removal needs no room");
    store.append_log(jobs[0], 3, LogLevel::Info, "now there is room");
    wait(&store, |done| store.flush(done)).expect("it fits");
    let logs = store.reader().logs(jobs[0], 0, 10).expect("it can be read");
    let texts: Vec<_> = logs.lines.iter().map(|line| (line.seq, line.text.as_str())).collect();
    assert_eq!((texts, logs.last, logs.dropped), (vec![(3, "now there is room")], 3, 2));
}

#[test]
fn pruning_makes_room_in_a_full_store() {
    let folder = folder();
    let store = small(&folder);
    let jobs = fill(&store);
    let ended = Change { record: Some(record("example:count", JobState::Completed)), commit: None };
    change(&store, jobs[0], &ended).expect("it fits");
    let retention = Retention { keep_count: Some(0), ..Retention::default() };
    assert_eq!(store.prune(retention, 10_000).expect("it needs no room"), 1);
    let again = Commit::first(checkpoint(id(99), 0, 0, &[0; 15_000]));
    let record = Some(record("example:count", JobState::Queued));
    change(&store, id(99), &Change { record, commit: Some(Arc::new(again)) }).expect("there is room again");
}
