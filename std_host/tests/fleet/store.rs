//! The store holds to the contract that the stores on SQLite and on flash hold to.

use std::sync::mpsc;

use std_host::fleet::{FleetConfig, FleetError, FleetStore};
use toehold::{
    Change, Commit, Store, Uuid,
    conformance::{self, Plan},
};

use crate::{
    bare_job::bare_job,
    servers::{Servers, Stream, patiently},
};

#[test]
fn the_store_holds_to_its_contract() {
    let servers = Servers::start(1);
    let mut places = 0;
    let plan = Plan { steps: 200, ..Plan::default() };
    conformance::check(&plan, || {
        places += 1;
        let config = servers.config(&format!("place-{places}"));
        move || FleetStore::open(&config)
    });
}

#[test]
fn the_store_holds_to_its_contract_on_three_servers() {
    let servers = Servers::start(3);
    let config = servers.config("fleet");
    drop(patiently(|| FleetStore::open(&config)));
    let mut places = 0;
    conformance::check(&Plan { runs: 1, steps: 200, jobs: 10, ..Plan::default() }, || {
        places += 1;
        let config = servers.config(&format!("place-{places}"));
        move || FleetStore::open(&config)
    });
}

/// A store, and a job that it has made.
fn store_with_job(config: &FleetConfig) -> (FleetStore, Uuid) {
    let mut store = patiently(|| FleetStore::open(config));
    let (record, mut checkpoint) = bare_job();
    let id = Uuid::new_v4();
    checkpoint.job_id = id;
    let first = Change { record: Some(record), commit: Some(Commit::first(checkpoint).into()) };
    store.change(id, &first).unwrap();
    (store, id)
}

/// Changes of a journal, eight bytes each.
const CHANGES: u64 = 3_000;
/// More entries of one job than there ever are: the next is a whole one before.
const MOST_ENTRIES: u64 = 130;

#[test]
fn changes_that_are_begun_together_are_durable_in_their_order_in_a_log_that_stays_short() {
    let servers = Servers::start(1);
    let config = servers.config("begun");
    let (mut store, id) = store_with_job(&config);
    let stream = Stream::open(&servers, "BEGUN_JOBS");
    let (tell, told) = mpsc::channel();
    let mut expected = Vec::new();
    for number in 0..CHANGES {
        expected.extend(number.to_le_bytes());
        let commit = Commit::new(number.to_le_bytes().to_vec(), None);
        let tell = tell.clone();
        let done = move |written| tell.send((number, written)).unwrap();
        store.begin(id, &Change { record: None, commit: Some(commit.into()) }, done).unwrap();
        // Now and then all are waited for, so that there are many entries.
        if number % 10 == 9 {
            for earlier in number - 9..=number {
                let (written, outcome) = told.recv().unwrap();
                outcome.unwrap();
                assert_eq!(written, earlier);
            }
        }
        if number % 100 == 99 {
            assert!(FleetStore::open(&config).unwrap().load(id).unwrap().unwrap().journal == expected);
            let entries = stream.messages().unwrap();
            assert!(entries <= MOST_ENTRIES, "{entries} entries after {number} changes");
        }
    }
}

#[test]
fn a_change_that_is_begun_after_another_has_claimed_the_job_is_fenced() {
    let servers = Servers::start(1);
    let config = servers.config("fenced");
    let (mut store, id) = store_with_job(&config);
    store.take(id).unwrap();
    let mut other = store.beside();
    other.take(id).unwrap();
    let change = Change { record: None, commit: Some(Commit::new(vec![1; 8], None).into()) };
    for _ in 0..2 {
        let (tell, told) = mpsc::channel();
        let begun = store.begin(id, &change, move |written| tell.send(written).unwrap());
        let written = begun.and_then(|()| told.recv().unwrap());
        assert!(matches!(written, Err(FleetError::Fenced { job }) if job == id), "{written:?}");
    }
    other.change(id, &change).unwrap();
    assert_eq!(store.load(id).unwrap().unwrap().journal, [1; 8]);
}
