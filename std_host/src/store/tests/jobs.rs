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
