//! Flash that holds something else, and jobs that can't be read.

use no_std_host::open_store;
use toehold::{Bundle, Checkpoint};

use crate::{
    guests::{JOBS, package, state},
    support::{Bench, Flash, Hand, Store, Wire},
};

#[test]
fn a_foreign_flash_is_formatted_only_when_somebody_says_so() {
    let flash = Flash::new(64);
    flash.edit(|bytes| bytes[..20].copy_from_slice(b"somebody else's data"));
    let (mut wire, mut clock) = (Wire::default(), Hand::default());
    wire.send(b"ls\nformat please\nformat\n");
    let store: Store = open_store(flash, &mut wire, &mut clock);
    drop(store);
    let lines = wire.lines();
    assert!(lines[0].starts_with("# no store:") && lines[0].contains("begins with"), "{lines:#?}");
    assert!(lines[1].starts_with("err flash") && lines[2].starts_with("err flash"), "{lines:#?}");
    assert_eq!(lines[3..], ["ok"]);
}

#[test]
fn a_job_that_is_damaged_is_told_of_and_kept_and_others_go_on() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let ids = ["jobs:spin", "jobs:count"].map(|job| bench.dispatch(job, &state(70)));
    // With a state that is so long that it has a file of its own: what is smaller lies among what littlefs itself needs.
    let mut bundle = Bundle::decode(&bench.export(&ids[0])).unwrap();
    let long = Checkpoint { state: vec![b'x'; 3_000], ..Checkpoint::decode(&bundle.base).unwrap() };
    (bundle.base, bundle.newest) = (long.encode(), long.encode());
    bench.ok(&format!("cancel {}", ids[0]));
    bench.until(&ids[0], "cancelled");
    bench.ok(&format!("remove {}", ids[0]));
    assert!(bench.import(&bundle.encode(), false).starts_with("ok"));
    bench.rounds(20);
    bench.power_off();
    let flash = bench.flash().clone();
    flash.edit(|bytes| {
        // Wherever it lies, or has lain.
        for at in (0..bytes.len() - 64).step_by(64) {
            if bytes[at..at + 64] == [b'x'; 64] {
                bytes[at] ^= 1;
            }
        }
    });
    bench.power_on();
    bench.turn();
    let told = bench.lines.iter().any(|line| line.starts_with(&format!("# job {} can't be read", ids[0])));
    assert!(told, "{:?}", bench.lines);
    bench.until(&ids[1], "completed");
    let (code, text) = bench.refused(&format!("status {}", ids[0]));
    assert!(text.contains("damaged"), "{code} {text}");
    let listed = bench.ok("ls");
    assert!(listed.iter().any(|line| line.contains(&ids[0]) && line.contains("unreadable")), "{listed:?}");
}
