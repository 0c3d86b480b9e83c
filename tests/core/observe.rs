//! Runs a job in any slices, and sees all that it does.

use toehold::{Checkpoint, Job, Outcome, Report, Step};

use crate::guests::*;

/// All that can be seen of a job.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) report: Report,
    pub(crate) fuel: u64,
    pub(crate) calls: Vec<String>,
    pub(crate) checkpoints: Vec<Checkpoint>,
}

/// Runs `job` with what `next` gives: fuel for a slice, and whether to pause before it.
pub(crate) fn observe(mut job: Job, mut next: impl FnMut() -> (u64, bool)) -> Seen {
    let (mut calls, mut checkpoints) = (Vec::new(), Vec::new());
    let mut answer = None;
    loop {
        let (fuel, pause) = next();
        if pause {
            job.context().control().pause();
            // Also where it waits for an answer, which is still welcome after.
            assert!(matches!(job.step(fuel, 0), Ok(Step::Paused)));
            job.context().control().resume();
        }
        let step = match answer.take() {
            Some(answer) => job.answer(answer, 0).unwrap(),
            None => job.step(fuel, 0).unwrap(),
        };
        match step {
            Step::Yielded => {}
            Step::Paused => panic!("nobody paused"),
            Step::Call(call) => {
                answer = Some(reply(&call, Ok(format!("[{}]", call.key.number).into_bytes())));
                calls.push(format!("{call:?}"));
            }
            Step::Commit(commit) => {
                answer = Some(durable(&commit));
                checkpoints.extend(commit.checkpoint.as_deref().cloned());
            }
            Step::Finished(outcome) => {
                let (report, fuel) = (job.context().report(), job.context().fuel_used());
                return Seen { outcome, report, fuel, calls, checkpoints };
            }
        }
    }
}
