//! Jobs that live through histories drawn at random: whatever is asked of them and whenever the host goes down, those
//! that are not cancelled complete, and each effect stands once.

use proptest::prelude::*;
use serde_json::json;
use std_host::manager::Manager;
use toehold::{JobState, Uuid};

use crate::jobs::{Data, block_on, dispatch, kv};

/// Something that happens to the jobs of a manager.
#[derive(Clone, Debug)]
enum Happening {
    Pause(usize),
    Resume(usize),
    Cancel(usize),
    Restart,
    Dispatch,
    /// Lets jobs run until there are so many more effects, or none is left that runs.
    Run(u64),
    Reload,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let job = 0_usize..6;
    proptest::collection::vec(
        prop_oneof![
            3 => job.clone().prop_map(Happening::Pause),
            3 => job.clone().prop_map(Happening::Resume),
            1 => job.prop_map(Happening::Cancel),
            2 => Just(Happening::Restart),
            2 => Just(Happening::Dispatch),
            4 => (0_u64..30).prop_map(Happening::Run),
            1 => Just(Happening::Reload),
        ],
        0..25,
    )
}

const TARGET: u64 = 35;

fn effects(manager: &Manager) -> u64 {
    manager.reader().kv_usage("test-extension").unwrap().keys
}

fn runs(manager: &Manager, jobs: &[(Uuid, bool)]) -> bool {
    jobs.iter().any(|(id, _)| {
        let status = manager.job(*id).unwrap().status();
        matches!(status.state, JobState::Queued | JobState::Running) && status.wanted.is_none()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn each_effect_stands_once_and_no_job_is_lost(happenings in happenings()) {
        let data = Data::new();
        let mut manager = data.open();
        let tally = |manager: &Manager| (dispatch(manager, "tally", &json!({ "target": TARGET })).id(), false);
        let mut jobs = vec![tally(&manager), tally(&manager)];
        for happening in happenings {
            // What is over can't be changed, and says so.
            match happening {
                Happening::Pause(index) | Happening::Resume(index) | Happening::Cancel(index) if index >= jobs.len() => {}
                Happening::Pause(index) => drop(block_on(manager.job(jobs[index].0).unwrap().pause())),
                Happening::Resume(index) => drop(block_on(manager.job(jobs[index].0).unwrap().resume())),
                Happening::Cancel(index) => {
                    jobs[index].1 |= block_on(manager.job(jobs[index].0).unwrap().cancel()).is_ok();
                }
                Happening::Restart => {
                    drop(manager);
                    manager = data.open();
                }
                Happening::Dispatch => jobs.push(tally(&manager)),
                Happening::Run(more) => {
                    let until = effects(&manager) + more;
                    while effects(&manager) < until && runs(&manager, &jobs) {
                        std::thread::yield_now();
                    }
                }
                Happening::Reload => drop(manager.reload_extension("test-extension").unwrap()),
            }
        }
        for (id, cancelled) in jobs {
            let job = manager.job(id).unwrap();
            // One that is over needs no resuming.
            let _ = block_on(job.resume());
            let status = block_on(job.wait());
            if status.state == JobState::Completed {
                prop_assert_eq!(status.report.items, TARGET, "{:?}", status);
            } else {
                prop_assert!(cancelled && status.state == JobState::Cancelled, "{:?}", status);
            }
        }
        let puts = kv(&manager, "tally/");
        prop_assert!(puts.iter().all(|(_, version, _)| *version == 1), "{:?}", puts);
    }
}
