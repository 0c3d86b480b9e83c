//! Two who believe that a job is theirs.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use std_host::fleet::{FleetError, FleetStore};
use toehold::{Change, Commit, Store, Uuid};

use crate::{
    bare_job::bare_job,
    servers::{Servers, patiently},
};

/// Pairs that race at the same time, each for a job of its own, and how often.
const PAIRS: u64 = 10;
const ROUNDS: u64 = 1_000;

#[test]
fn of_two_owners_of_a_job_one_can_write() {
    let servers = Servers::start(3);
    let config = servers.config("race");
    drop(patiently(|| FleetStore::open(&config)));
    let (record, checkpoint) = bare_job();
    let claims = AtomicU64::new(0);
    thread::scope(|scope| {
        for pair in 0..PAIRS {
            let (config, record, checkpoint, claims) = (&config, &record, &checkpoint, &claims);
            scope.spawn(move || {
                let id = Uuid::from_u128(u128::from(pair) + 1);
                let mut checkpoint = checkpoint.clone();
                checkpoint.job_id = id;
                let mut stores = [(); 2].map(|()| FleetStore::open(config).unwrap());
                let first = Commit::first(checkpoint);
                let change = Change { record: Some(record.clone()), commit: Some(first.into()) };
                stores[0].change(id, &change).unwrap();
                let mut journal = Vec::new();
                for round in 0..ROUNDS {
                    let barrier = Barrier::new(2);
                    let outcomes = thread::scope(|scope| {
                        let racers = stores.each_mut().map(|store| {
                            let barrier = &barrier;
                            scope.spawn(move || {
                                barrier.wait();
                                let epoch = store.take(id).unwrap();
                                barrier.wait();
                                // Eight bytes that say whose they are.
                                let commit = Commit::new(epoch.to_le_bytes().to_vec(), None);
                                let change = Change { record: None, commit: Some(commit.into()) };
                                (epoch, store.change(id, &change))
                            })
                        });
                        racers.map(|racer| racer.join().unwrap())
                    });
                    let epochs = outcomes.each_ref().map(|(epoch, _)| *epoch);
                    claims.fetch_add(2, Ordering::Relaxed);
                    assert_ne!(epochs[0], epochs[1], "round {round}: two have the same claim");
                    for (epoch, written) in outcomes {
                        match written {
                            Ok(()) => {
                                assert_eq!(
                                    Some(&epoch),
                                    epochs.iter().max(),
                                    "round {round}: the older one won"
                                );
                                journal.extend(epoch.to_le_bytes());
                            }
                            Err(FleetError::Fenced { .. }) => {}
                            Err(error) => panic!("round {round}: {error}"),
                        }
                    }
                    assert_eq!(journal.len() as u64, (round + 1) * 8, "round {round}: not one winner");
                }
                let saved = stores[0].load(id).unwrap().unwrap();
                assert!(saved.journal == journal, "what is there is what the winners wrote");
            });
        }
    });
    assert_eq!(claims.into_inner(), 2 * PAIRS * ROUNDS);
}
