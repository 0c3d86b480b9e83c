//! The thread of a job, and the thread of its operations.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    task::Poll,
    thread,
    time::Instant,
};

use toehold::{
    Call, CallKey, Called, Commit, Failure, FailureCause, Fault, Job, JobContext, NotDurable, Outcome,
    Platform, Reply, StartError, Stopped, run,
};

use crate::{
    CheckpointFolder,
    handle::{Ended, Shared},
    operations::{CallContext, Grants, Operations},
};

/// Runs a job to its end on the calling thread.
pub(crate) fn work(job: Job, mut platform: StdPlatform, slice: u64) {
    let shared = platform.shared.clone();
    let context = job.context().clone();
    // A mistake of ours must not leave others waiting for this job for ever. (A panic inside of a host function still
    // aborts: the interpreter can't be unwound.)
    let ended = catch_unwind(AssertUnwindSafe(|| run_to_end(job, &mut platform, slice)));
    shared.end(ended.unwrap_or_else(|_| {
        let fault = Fault::Trap {
            export: context.job().to_owned(),
            message: "the host itself panicked; please report this".to_owned(),
        };
        let failure = Failure { cause: FailureCause::Fault(fault), last_error: None };
        Ended::new(Outcome::Failed(failure), &context, Vec::new(), 0)
    }));
}

fn run_to_end(mut job: Job, platform: &mut StdPlatform, slice: u64) -> Ended {
    let context = job.context().clone();
    loop {
        match run(&mut job, platform, slice) {
            Stopped::Paused => platform.wait_while_paused(&context),
            Stopped::Finished(Outcome::Interrupted) => {
                platform.wait_while_paused(&context);
                let state = job.state().to_vec();
                job = match job.next_run() {
                    Ok(job) => job,
                    Err(error) => return Ended::new(instance_failed(error), &context, state, 0),
                };
            }
            Stopped::Finished(outcome) => {
                let memory = job.memory_bytes();
                return Ended::new(outcome, &context, job.state().to_vec(), memory);
            }
            // A checkpoint that fails is refused, never held.
            held => {
                log::error!("{}: {held:?}", context.job());
                context.control().cancel();
            }
        }
    }
}

fn instance_failed(error: StartError) -> Outcome {
    let fault = match error {
        StartError::Instance(fault) => fault,
        other => Fault::Trap { export: "the next run".to_owned(), message: other.to_string() },
    };
    Outcome::Failed(Failure { cause: FailureCause::Fault(fault), last_error: None })
}

/// What the std shell does for one job.
pub(crate) struct StdPlatform {
    /// When the host started: all jobs of an extension share its rate limit, and so need one clock.
    started: Instant,
    shared: Arc<Shared>,
    checkpoints: CheckpointFolder,
    operator: Operator,
}

/// Carries out a job's calls on a thread of its own, so that an operation that takes its time does not keep the job
/// from being paused or cancelled.
struct Operator {
    operations: Operations,
    grants: Arc<Grants>,
    context: Arc<JobContext>,
    /// The thread, once there was a call.
    desk: Option<Desk>,
    /// The call that the thread is at.
    pending: Option<CallKey>,
}

struct Desk {
    calls: Sender<Call>,
    replies: Receiver<Reply>,
}

impl StdPlatform {
    pub(crate) fn new(
        started: Instant,
        shared: Arc<Shared>,
        checkpoints: CheckpointFolder,
        operations: Operations,
        grants: Arc<Grants>,
        context: Arc<JobContext>,
    ) -> Self {
        let operator = Operator { operations, grants, context, desk: None, pending: None };
        Self { started, shared, checkpoints, operator }
    }

    fn wait_while_paused(&self, context: &JobContext) {
        while self.shared.show_pause(context) {
            self.shared.signal().wait();
        }
    }
}

impl Platform for StdPlatform {
    fn now(&mut self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn call(&mut self, call: &Arc<Call>) -> Called {
        match self.operator.poll(call, &self.shared) {
            Poll::Ready(reply) => Called::Ready(reply),
            Poll::Pending => Called::Pending,
        }
    }

    /// Keeps checkpoints only: a job that is cut off goes on from the newest one.
    fn commit(&mut self, _job: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        let Some(checkpoint) = &commit.checkpoint else { return Poll::Ready(Ok(())) };
        Poll::Ready(self.checkpoints.save(checkpoint).map_err(|error| {
            let path = self.checkpoints.path(checkpoint.job_id);
            log::error!("checkpoint {} is not durable: {}: {error}", checkpoint.sequence, path.display());
            NotDurable::Refused
        }))
    }

    fn idle(&mut self, _until: Option<u64>) {
        self.shared.signal().wait();
    }
}

impl Operator {
    fn poll(&mut self, call: &Call, shared: &Arc<Shared>) -> Poll<Reply> {
        if self.pending != Some(call.key) {
            let desk = match self.desk.take() {
                Some(desk) => desk,
                None => match self.open(shared) {
                    Ok(desk) => desk,
                    Err(error) => {
                        return Poll::Ready(Err(format!("{}: no thread for it: {error}", call.method)));
                    }
                },
            };
            if desk.calls.send(call.clone()).is_err() {
                return Poll::Ready(Err(format!("{}: its thread has ended", call.method)));
            }
            self.desk = Some(desk);
            self.pending = Some(call.key);
        }
        let received =
            self.desk.as_ref().map_or(Err(TryRecvError::Disconnected), |desk| desk.replies.try_recv());
        let reply = match received {
            Ok(reply) => reply,
            Err(TryRecvError::Empty) => return Poll::Pending,
            Err(TryRecvError::Disconnected) => {
                self.desk = None;
                Err(format!("{}: its thread has ended", call.method))
            }
        };
        self.pending = None;
        Poll::Ready(reply)
    }

    fn open(&self, shared: &Arc<Shared>) -> std::io::Result<Desk> {
        let (calls, calls_in) = mpsc::channel::<Call>();
        let (replies_out, replies) = mpsc::channel();
        let (operations, grants) = (self.operations.clone(), self.grants.clone());
        let (context, shared) = (self.context.clone(), shared.clone());
        // Ends when the job does, which drops `calls`; or when the operation that it is at has come back.
        thread::Builder::new().name(format!("{} calls", context.id())).spawn(move || {
            for call in calls_in {
                let call_context = CallContext::new(&call, &grants).with_control(context.control());
                if replies_out.send(operations.carry_out(&call_context)).is_err() {
                    return;
                }
                shared.signal().raise();
            }
        })?;
        Ok(Desk { calls, replies })
    }
}
