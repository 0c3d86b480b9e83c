use toehold::conformance::{self, Plan};

use super::*;

#[test]
fn a_run_is_base_newest_and_journal() {
    let folder = folder();
    let mut store = open(&folder);
    let job = dispatch(&store, 1, JobState::Queued);
    let states: Vec<_> = (0..=4).map(|sequence| checkpoint(job, sequence, 0, &[sequence as u8])).collect();
    let saved = |store: &SqliteStore| {
        let saved = load(store, job);
        let state = |bytes| Checkpoint::decode(bytes).expect("a checkpoint").state;
        (state(&saved.base), state(&saved.newest), saved.journal)
    };
    assert_eq!(saved(&store), (b"start".to_vec(), b"start".to_vec(), vec![]));
    let steps = [
        (commit(b"a", None), (b"start".to_vec(), b"start".to_vec(), b"a".to_vec())),
        (commit(b"b", Some(states[1].clone())), (b"start".to_vec(), vec![1], b"ab".to_vec())),
        (commit(b"", Some(states[2].clone())), (b"start".to_vec(), vec![2], b"ab".to_vec())),
        (new_run(b"", None), (vec![2], vec![2], vec![])),
        (new_run(b"c", Some(states[3].clone())), (vec![2], vec![3], b"c".to_vec())),
        (new_run(b"d", Some(states[4].clone())), (vec![3], vec![4], b"d".to_vec())),
    ];
    for (step, expected) in steps {
        change(&store, job, &step).expect("there is room");
        assert_eq!(saved(&store), expected, "after {step:?}");
        drop(store);
        store = open(&folder);
        assert_eq!(saved(&store), expected, "reopened after {step:?}");
    }
}

#[test]
fn a_change_of_no_job_is_refused_and_harms_no_other() {
    let folder = folder();
    let store = open(&folder);
    let error = change(&store, id(1), &commit(b"a", None)).expect_err("there is no such job");
    assert!(matches!(error, StoreError::NoSuchJob { job } if job == id(1)), "{error}");
    assert_eq!(store.reader().jobs().expect("it can be read"), Vec::<Uuid>::new());
}

#[test]
fn it_keeps_the_contract_of_stores() {
    conformance::check(&Plan::default(), || {
        let folder = folder();
        move || Ok(open(&folder))
    });
}

#[test]
fn journals_are_whole_however_their_pieces_move() {
    let folder = folder();
    let store = open(&folder);
    let mut model = PowerStore::default();
    let jobs = [1, 2, 3].map(|number| {
        let job = dispatch(&store, number, JobState::Running);
        model.change(job, &first(job, record("example:count", JobState::Running))).expect("it has power");
        job
    });
    let mut random = Random(3);
    // The pieces that move are 1.5 MB of it.
    for step in 0..2_500_u64 {
        let job = jobs[random.below(3) as usize];
        let length = [3_000, 1_800, random.below(60) as usize][random.below(3) as usize];
        let piece = vec![step as u8; length];
        let change = if random.below(200) == 0 { new_run(&piece, None) } else { commit(&piece, None) };
        model.change(job, &change).expect("it has power");
        store.change(job, &change, |result| result.expect("there is room"));
        if step % 100 == 0 {
            wait(&store, |done| store.flush(done)).expect("there is room");
            for job in jobs {
                let expected = model.load(job).expect("it has power").map(|saved| saved.journal);
                assert!(Some(load(&store, job).journal) == expected, "step {step}");
            }
        }
    }
    let database = rusqlite::Connection::open(store.reader().path()).expect("a database");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    let recent = count("SELECT sum(length(pieces)) FROM recent");
    assert!(recent < 1_200_000, "{recent} bytes are read for each job that is loaded");
    // A job that has gone leaves nothing behind, once the store is opened again.
    change(&store, jobs[0], &commit(b"", Some(checkpoint(jobs[0], 1, 0, b"x")))).expect("there is room");
    assert_eq!(count("SELECT count(*) FROM checkpoints"), 4);
    for job in jobs {
        wait(&store, |done| store.remove(job, done)).expect("it is removed");
    }
    drop(store);
    let store = open(&folder);
    wait(&store, |done| store.flush(done)).expect("there is room");
    for table in ["jobs", "checkpoints", "journal", "recent", "effects", "events", "logs"] {
        assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}
