//! The store holds to the contract that the stores on SQLite and on flash hold to.

use std_host::fleet::FleetStore;
use toehold::conformance::{self, Plan};

use crate::servers::{Servers, patiently};

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
