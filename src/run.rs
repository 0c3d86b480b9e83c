use core::task::Poll;

use toehold_abi::{Checkpointed, Interrupt};

use crate::{Answer, Call, Checkpoint, Job, JobContext, Millis, OutOfTurn, Outcome, Reply, Step};

/// What a shell can do for a job.
pub trait Platform {
    /// Milliseconds of a clock that only goes forward, from any origin; the same for all jobs of an extension.
    fn now(&mut self) -> Millis;

    /// Carries out an operation, which may take its time.
    ///
    /// Called again and again with the same call, by its [`key`](Call::key), until it is ready; must start it only the
    /// first time.
    fn call(&mut self, call: &Call) -> Poll<Reply>;

    /// Stores a checkpoint. True only once the bytes outlive a power cut. After false either they or the ones before
    /// them do, never a mix.
    fn save(&mut self, checkpoint: &Checkpoint) -> bool;

    /// Waits until a reply may be ready or somebody has asked a job to stop. May come back early.
    fn idle(&mut self);

    /// Looks around between two slices.
    fn yielded(&mut self, job: &JobContext) {
        let _ = job;
    }
}

/// Why [`run`] came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// The run is over.
    Finished(Outcome),
    /// The job stands still where it is. Once it is resumed, run it again.
    Paused,
}

/// Runs a job in slices of `slice` fuel, until its run is over or it is paused.
pub fn run(job: &mut Job, platform: &mut impl Platform, slice: u64) -> Stopped {
    loop {
        let step = match wait(job, platform) {
            Some(answer) => job.answer(answer, platform.now()),
            None => job.step(slice, platform.now()),
        };
        match step {
            Ok(Step::Yielded) => platform.yielded(job.context()),
            Ok(Step::Paused) => return Stopped::Paused,
            Ok(Step::Finished(outcome)) => return Stopped::Finished(outcome),
            // The next turn asks the platform for the answer.
            Ok(Step::Call(_) | Step::Checkpoint(_)) | Err(OutOfTurn::Waits | OutOfTurn::NotAsked) => {}
        }
    }
}

/// How long a job that will stop by itself may wait for a reply once it is asked to pause.
const REPLY_GRACE: Millis = 1_000;

/// The answer that a job waits for; `None` if it waits for none, or was asked to stop meanwhile.
fn wait(job: &Job, platform: &mut impl Platform) -> Option<Answer> {
    if let Some(checkpoint) = job.checkpoint() {
        let durable = platform.save(checkpoint);
        let answer = if durable { Checkpointed::Durable } else { Checkpointed::NotDurable };
        return Some(Answer::Checkpointed(answer));
    }
    let call = job.call()?;
    let mut asked_at = None;
    loop {
        if let Poll::Ready(reply) = platform.call(call) {
            return Some(Answer::Reply(reply));
        }
        match job.context().control().interrupt() {
            Interrupt::None => asked_at = None,
            // It needs the reply to get to its checkpoint.
            Interrupt::Pause if job.heeds(Interrupt::Pause) => {
                let now = platform.now();
                if now.saturating_sub(*asked_at.get_or_insert(now)) >= REPLY_GRACE {
                    return None;
                }
            }
            Interrupt::Pause | Interrupt::Cancel => return None,
        }
        platform.idle();
    }
}
