use alloc::{string::String, sync::Arc};
use core::task::Poll;

use toehold_abi::Interrupt;

use crate::{Answer, Call, Commit, Job, JobContext, Millis, OutOfTurn, Outcome, Reply, Step};

/// What a shell can do for a job.
pub trait Platform {
    /// Milliseconds of a clock that only goes forward, from any origin; the same for all jobs of an extension.
    fn now(&mut self) -> Millis;

    /// Carries out an operation, which may take its time.
    ///
    /// Called again and again with the same call, by its [`key`](Call::key), until it is ready; must start it only the
    /// first time.
    fn call(&mut self, call: &Arc<Call>) -> Called;

    /// Makes a commit durable, as [`Store::change`](crate::Store::change) says, which may take its time.
    ///
    /// Called again and again with the same commit, by the job and its [`number`](Commit::number), until it is ready; must
    /// start it only the first time, and again after it was [`Held`](NotDurable::Held).
    fn commit(&mut self, job: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>>;

    /// Waits until a reply or a commit may be ready, somebody has asked a job to stop, or it is `until`. May come back
    /// early.
    fn idle(&mut self, until: Option<Millis>);

    /// A guest is about to run, or has just run: from one to the other all memory that is asked for is its, for its linear memory,
    /// tables and stack, which cope with an allocator that refuses, and a few kilobytes for what the host notes of it.
    fn guest_runs(&mut self, runs: bool) {
        let _ = runs;
    }

    /// Looks around between two slices.
    fn yielded(&mut self, job: &JobContext) {
        let _ = job;
    }
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// It is done.
    Ready(Reply),
    /// It is under way.
    Pending,
    /// It is under way, and nothing will come of it before this time.
    Until(Millis),
}

/// Why a commit is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDurable {
    /// It can't be: the guest hears that its checkpoint is none, and what it wanted to do is not carried out.
    Refused,
    /// It can't be now, for this reason: the job stands still until it is run again, and nothing is lost.
    Held(String),
}

/// Why [`run`] came back.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stopped {
    /// The run is over.
    Finished(Outcome),
    /// The job stands still where it is. Once it is resumed, run it again.
    Paused,
    /// The job stands still where it is, because something could not be made durable. Once that is repaired, run it
    /// again.
    Held(String),
}

/// Runs a job in slices of `slice` fuel, until its run is over or it stands still.
pub fn run(job: &mut Job, platform: &mut impl Platform, slice: u64) -> Stopped {
    let mut patience = Patience::default();
    loop {
        match turn(job, platform, slice, &mut patience) {
            Turned::Ran => {}
            Turned::Waits(until) => platform.idle(until),
            Turned::Stopped(stopped) => return stopped,
        }
    }
}

/// What came of a job's turn.
#[derive(Debug)]
pub(crate) enum Turned {
    Ran,
    Waits(Option<Millis>),
    Stopped(Stopped),
}

/// When a job that waits for a reply was first seen to be asked to pause.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Millis>);

/// How long a job that will stop by itself may wait for a reply once it is asked to pause.
const REPLY_GRACE: Millis = 1_000;

/// Gives a job what it waits for, if that is there, or a slice.
pub(crate) fn turn(
    job: &mut Job,
    platform: &mut impl Platform,
    slice: u64,
    patience: &mut Patience,
) -> Turned {
    let answer = match wait(job, platform, patience) {
        Wait::Over(answer) => Some(answer),
        Wait::Nothing | Wait::Stop => None,
        Wait::On(until) => return Turned::Waits(until),
        Wait::Held(reason) => return Turned::Stopped(Stopped::Held(reason)),
    };
    let now = platform.now();
    platform.guest_runs(true);
    let step = match answer {
        Some(answer) => job.answer(answer, now),
        None => job.step(slice, now),
    };
    platform.guest_runs(false);
    match step {
        Ok(Step::Yielded) => {
            platform.yielded(job.context());
            Turned::Ran
        }
        Ok(Step::Paused) => Turned::Stopped(Stopped::Paused),
        Ok(Step::Finished(outcome)) => Turned::Stopped(Stopped::Finished(outcome)),
        // The next turn asks the platform.
        Ok(Step::Call(_) | Step::Commit(_)) | Err(OutOfTurn::Waits | OutOfTurn::NotAsked) => Turned::Ran,
    }
}

enum Wait {
    /// It waits for nothing.
    Nothing,
    /// It was asked to stop, and need not wait any longer.
    Stop,
    /// Here is what it waits for.
    Over(Answer),
    /// It has to wait, until this time at most.
    On(Option<Millis>),
    /// It can't go on for this reason.
    Held(String),
}

fn wait(job: &Job, platform: &mut impl Platform, patience: &mut Patience) -> Wait {
    let interrupt = job.context().control().interrupt();
    if let Some(commit) = job.commit() {
        // Commits are short, so a pause waits for them.
        let durable = match platform.commit(job.context(), commit) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(NotDurable::Refused)) => false,
            Poll::Ready(Err(NotDurable::Held(_))) | Poll::Pending if interrupt == Interrupt::Cancel => {
                return Wait::Stop;
            }
            Poll::Ready(Err(NotDurable::Held(reason))) => return Wait::Held(reason),
            Poll::Pending => return Wait::On(None),
        };
        return Wait::Over(Answer::Committed { commit: commit.number, durable });
    }
    let Some(call) = job.call() else { return Wait::Nothing };
    let until = match platform.call(call) {
        Called::Ready(reply) => return Wait::Over(Answer::Reply { call: call.key.number, reply }),
        Called::Pending => None,
        Called::Until(until) => Some(until),
    };
    match interrupt {
        Interrupt::None => {
            patience.0 = None;
            Wait::On(until)
        }
        // It needs the reply to get to its checkpoint.
        Interrupt::Pause if job.heeds(Interrupt::Pause) => {
            let now = platform.now();
            let patient_until = patience.0.get_or_insert(now).saturating_add(REPLY_GRACE);
            if now >= patient_until || until.is_some_and(|until| until > patient_until) {
                patience.0 = None;
                return Wait::Stop;
            }
            Wait::On(Some(until.map_or(patient_until, |until| until.min(patient_until))))
        }
        Interrupt::Pause | Interrupt::Cancel => Wait::Stop,
    }
}
