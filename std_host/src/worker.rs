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
    Call, CallKey, Called, Commit, Failure, FailureCause, Fault, Interrupt, Job, JobContext, NotDurable,
    Outcome, Platform, Reply, StartError, Stopped, run,
};

use crate::{
    CheckpointFolder,
    handle::{Ended, Shared},
    operations::{AsyncContext, CallContext, Grants, LazyRuntime, Operations, Task, Way, cancelled},
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
    /// For operations that are futures; all jobs of a host share it.
    runtime: Arc<LazyRuntime>,
    /// The thread, once there was a call.
    desk: Option<Desk>,
    /// The call that is under way.
    pending: Option<Pending>,
}

enum Pending {
    /// The thread is at it.
    OnDesk(CallKey),
    /// A future is.
    Running { key: CallKey, replies: Receiver<Reply>, _task: Task },
}

struct Desk {
    calls: Sender<Arc<Call>>,
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
        runtime: Arc<LazyRuntime>,
    ) -> Self {
        let operator = Operator { operations, grants, context, runtime, desk: None, pending: None };
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
    fn poll(&mut self, call: &Arc<Call>, shared: &Arc<Shared>) -> Poll<Reply> {
        let pending = match self.pending.take() {
            Some(pending) if pending.key() == call.key => pending,
            _ => match self.begin(call, shared) {
                Ok(pending) => pending,
                Err(error) => return Poll::Ready(Err(format!("{}: {error}", call.method))),
            },
        };
        let received = match &pending {
            Pending::OnDesk(_) => {
                self.desk.as_ref().map_or(Err(TryRecvError::Disconnected), |desk| desk.replies.try_recv())
            }
            Pending::Running { replies, .. } => replies.try_recv(),
        };
        match (received, &pending) {
            (Ok(reply), _) => Poll::Ready(reply),
            // A future can be dropped at any time, so that a job that is cancelled need not wait for it.
            (Err(TryRecvError::Empty), Pending::Running { .. })
                if self.context.control().interrupt() == Interrupt::Cancel =>
            {
                Poll::Ready(cancelled(&call.method))
            }
            (Err(TryRecvError::Empty), _) => {
                self.pending = Some(pending);
                Poll::Pending
            }
            (Err(TryRecvError::Disconnected), Pending::OnDesk(_)) => {
                self.desk = None;
                Poll::Ready(Err(format!("{}: its thread has ended", call.method)))
            }
            (Err(TryRecvError::Disconnected), Pending::Running { .. }) => {
                Poll::Ready(Err(format!("{}: it was dropped", call.method)))
            }
        }
    }

    fn begin(&mut self, call: &Arc<Call>, shared: &Arc<Shared>) -> Result<Pending, String> {
        if self.operations.way(&call.method) == Way::Async {
            let runtime = self.runtime.handle().map_err(|error| format!("no runtime for it: {error}"))?;
            let (replies_out, replies) = mpsc::channel();
            let shared = shared.clone();
            let reply_to = move |reply| {
                // The job may have ended.
                let _ = replies_out.send(reply);
                shared.signal().raise();
            };
            let context = AsyncContext::new(call.clone(), self.grants.clone(), Some(self.context.clone()));
            let task = Task::spawn(&runtime, &self.operations, context, reply_to);
            return Ok(Pending::Running { key: call.key, replies, _task: task });
        }
        let desk = match self.desk.take() {
            Some(desk) => desk,
            None => self.open(shared).map_err(|error| format!("no thread for it: {error}"))?,
        };
        desk.calls.send(call.clone()).map_err(|_| "its thread has ended")?;
        self.desk = Some(desk);
        Ok(Pending::OnDesk(call.key))
    }

    fn open(&self, shared: &Arc<Shared>) -> std::io::Result<Desk> {
        let (calls, calls_in) = mpsc::channel::<Arc<Call>>();
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

impl Pending {
    fn key(&self) -> CallKey {
        match self {
            Self::OnDesk(key) | Self::Running { key, .. } => *key,
        }
    }
}
