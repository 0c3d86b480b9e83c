//! Jobs that move between boards.

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    bench
}

/// A job that is paused somewhere in the middle.
fn halfway(bench: &mut Bench, job: &str) -> String {
    let id = bench.dispatch(job, &state(60));
    while bench.status(&id, "items").is_none_or(|items| items == "0") {
        bench.rounds(1);
    }
    bench.ok(&format!("pause {id}"));
    bench.until(&id, "paused");
    id
}

#[test]
fn a_job_goes_on_elsewhere_and_each_item_counts_once() {
    for job in ["jobs:count", "jobs:deaf", "jobs:nap"] {
        let (mut here, mut there) = (bench(), bench());
        let id = if job == "jobs:nap" {
            let id = here.dispatch(job, "");
            while here.turn() {}
            here.ok(&format!("pause {id}"));
            here.until(&id, "paused");
            id
        } else {
            halfway(&mut here, job)
        };
        let bundle = here.export(&id);
        let answer = there.import(&bundle, false);
        assert!(answer.starts_with("ok") && answer.contains("state=paused"), "{answer}");
        // The answer got lost: the desk sends it again.
        assert!(there.import(&bundle, false).starts_with("ok"));
        here.ok(&format!("cancel {id}"));
        here.ok(&format!("remove {id}"));
        there.restart();
        there.ok(&format!("resume {id}"));
        there.until(&id, "completed");
        let items = if job == "jobs:nap" { "0" } else { "60" };
        assert_eq!(there.status(&id, "items").as_deref(), Some(items), "{job}");
    }
}

#[test]
fn a_job_that_stands_elsewhere_is_not_overwritten() {
    let (mut here, mut there) = (bench(), bench());
    let id = halfway(&mut here, "jobs:count");
    let old = here.export(&id);
    there.import(&old, false);
    there.ok(&format!("resume {id}"));
    there.until(&id, "completed");
    let answer = there.import(&old, false);
    assert!(answer.starts_with("err exists"), "{answer}");
}

#[test]
fn a_job_of_another_module_is_refused() {
    let mut here = bench();
    let id = halfway(&mut here, "jobs:count");
    let bundle = here.export(&id);
    let mut without = Bench::new();
    assert!(without.import(&bundle, false).starts_with("err unknown_extension"));
    without.install(&package("jobs", &JOBS.replace("Counted", "counted")));
    let answer = without.import(&bundle, false);
    assert!(answer.starts_with("err other_module"), "{answer}");
    assert_eq!(without.refused(&format!("status {id}")).0, "unknown_job");
}

#[test]
fn a_damaged_bundle_is_refused() {
    let (mut here, mut there) = (bench(), bench());
    let id = halfway(&mut here, "jobs:count");
    let bundle = here.export(&id);
    for at in [0, 3, 20, bundle.len() / 2, bundle.len() - 1] {
        let mut bad = bundle.clone();
        bad[at] ^= 0x40;
        let answer = there.import(&bad, false);
        assert!(answer.starts_with("err format"), "byte {at}: {answer}");
    }
    assert!(there.refused("import 1000000 00000000").0 == "too_large");
}
