//! What a worker does for its jobs, without ever waiting for anything.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, mpsc::Sender},
    task::Poll,
    time::Instant,
};

use toehold::{
    Call, CallKey, Called, Change, Commit, Interrupt, Job, JobContext, Millis, NotDurable, Platform, Reply,
    Uuid,
};

use super::{Inner, entry::Entry, services};
use crate::{
    Grants,
    operations::{AsyncContext, CallContext, Task, Way, cancelled},
    store::StoreError,
};

/// What a worker is told.
pub(super) enum Message {
    /// Brings this job into memory and lets it run.
    Start(Arc<Entry>),
    /// Looks again at what this job waits for, or is asked for.
    Wake(Uuid),
    /// Drops this job.
    Forget(Uuid),
    /// An operation is done.
    Replied(CallKey, Reply),
    /// A commit of this job is durable, or is not.
    Committed(Uuid, u64, Result<(), StoreError>),
    /// The manager is gone.
    Stop,
}

pub(super) struct WorkerPlatform {
    manager: Weak<Inner>,
    messages: Sender<Message>,
    started: Instant,
    jobs: HashMap<Uuid, Pending>,
}

/// What a job waits for.
struct Pending {
    entry: Arc<Entry>,
    grants: Arc<Grants>,
    call: Option<(CallKey, Answering)>,
    commit: Option<(u64, Committing)>,
    /// Checkpoints that became durable and nobody was told of.
    checkpoints: Vec<u64>,
}

enum Answering {
    Pending,
    /// By a future, which is dropped with this.
    Running {
        _task: Task,
        context: Arc<JobContext>,
    },
    Ready(Reply),
    Asleep {
        until: Millis,
        ms: u64,
    },
}

enum Committing {
    Pending,
    Durable,
    /// The store could not take it; it is offered again at this time.
    Failed {
        at: Millis,
        waited: Millis,
    },
    Again {
        waited: Millis,
    },
}

/// How long after the store could not take a commit it is offered again, at first and at most.
const FIRST_WAIT: Millis = 250;
const LONGEST_WAIT: Millis = 5_000;

impl WorkerPlatform {
    pub(super) fn new(manager: &Arc<Inner>, messages: Sender<Message>) -> Self {
        let started = manager.started;
        Self { manager: Arc::downgrade(manager), messages, started, jobs: HashMap::new() }
    }

    pub(super) fn millis(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn enter(&mut self, entry: &Arc<Entry>, grants: &Arc<Grants>) {
        let known = self.jobs.entry(entry.id).or_insert_with(|| Pending {
            entry: entry.clone(),
            grants: grants.clone(),
            call: None,
            commit: None,
            checkpoints: Vec::new(),
        });
        known.entry = entry.clone();
    }

    pub(super) fn forget(&mut self, id: Uuid) {
        self.jobs.remove(&id);
    }

    pub(super) fn replied(&mut self, key: CallKey, reply: Reply) {
        if let Some(Pending { call: Some((pending, answering)), .. }) = self.jobs.get_mut(&key.job)
            && *pending == key
        {
            *answering = Answering::Ready(reply);
        }
    }

    pub(super) fn committed(&mut self, id: Uuid, number: u64, durable: bool) {
        let now = self.millis();
        if let Some(Pending { commit: Some((pending, committing)), .. }) = self.jobs.get_mut(&id)
            && *pending == number
        {
            *committing = match committing {
                _ if durable => Committing::Durable,
                Committing::Again { waited } => {
                    let wait = (*waited * 2).min(LONGEST_WAIT);
                    Committing::Failed { at: now.saturating_add(wait), waited: wait }
                }
                _ => Committing::Failed { at: now.saturating_add(FIRST_WAIT), waited: FIRST_WAIT },
            };
        }
    }

    /// The checkpoints of a job that became durable since this was called last.
    pub(super) fn checkpoints(&mut self, id: Uuid) -> Vec<u64> {
        self.jobs.get_mut(&id).map(|job| std::mem::take(&mut job.checkpoints)).unwrap_or_default()
    }
}

impl Platform for WorkerPlatform {
    fn now(&mut self) -> Millis {
        self.millis()
    }

    fn call(&mut self, call: &Arc<Call>) -> Called {
        let now = self.millis();
        let (Some(manager), Some(job)) = (self.manager.upgrade(), self.jobs.get_mut(&call.key.job)) else {
            return Called::Pending;
        };
        let answering = match job.call.take() {
            Some((key, answering)) if key == call.key => answering,
            _ => start(&manager, job, &self.messages, call, now),
        };
        match answering {
            Answering::Ready(reply) => Called::Ready(reply),
            Answering::Asleep { until, ms } if until <= now => {
                job.entry.lock().record.sleep = None;
                Called::Ready(Ok(format!("{{\"slept_ms\":{ms}}}").into_bytes()))
            }
            // A future can be dropped at any time, so that a job that is cancelled need not wait for it.
            Answering::Running { context, .. } if context.control().interrupt() == Interrupt::Cancel => {
                Called::Ready(cancelled(&call.method))
            }
            waiting => {
                let called = match waiting {
                    Answering::Asleep { until, .. } => Called::Until(until),
                    _ => Called::Pending,
                };
                job.call = Some((call.key, waiting));
                called
            }
        }
    }

    fn commit(&mut self, context: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        let now = self.millis();
        let (Some(manager), Some(job)) = (self.manager.upgrade(), self.jobs.get_mut(&context.id())) else {
            return Poll::Pending;
        };
        let state = match job.commit.take() {
            Some((number, state)) if number == commit.number => Some(state),
            _ => None,
        };
        let pending = match state {
            Some(Committing::Durable) => {
                job.checkpoints.extend(commit.checkpoint.as_ref().map(|checkpoint| checkpoint.sequence));
                return Poll::Ready(Ok(()));
            }
            Some(Committing::Failed { at, waited }) if now < at => {
                self.wake_at(&manager, context.id(), at - now);
                Committing::Failed { at, waited }
            }
            Some(Committing::Failed { waited, .. }) => {
                submit(&manager, &self.messages, &job.entry, commit);
                Committing::Again { waited }
            }
            Some(waiting) => waiting,
            None => {
                submit(&manager, &self.messages, &job.entry, commit);
                Committing::Pending
            }
        };
        if let Some(job) = self.jobs.get_mut(&context.id()) {
            job.commit = Some((commit.number, pending));
        }
        Poll::Pending
    }

    fn idle(&mut self, _until: Option<Millis>) {}
}

impl WorkerPlatform {
    fn wake_at(&self, manager: &Inner, id: Uuid, in_ms: Millis) {
        let messages = self.messages.clone();
        manager.after(in_ms, move || {
            // The worker may be gone, and the job with it.
            let _ = messages.send(Message::Wake(id));
        });
    }
}

fn submit(manager: &Inner, messages: &Sender<Message>, entry: &Entry, commit: &Arc<Commit>) {
    let id = entry.id;
    let (messages, number) = (messages.clone(), commit.number);
    let record = manager.jobs_at.is_shared().then(|| {
        // Others see by it how far the job is.
        let mut now = entry.lock();
        now.refresh();
        now.record.clone()
    });
    let change = Change { record, commit: Some(commit.clone()) };
    let done = move |result| {
        // Of one that is another host's by now, the worker hears otherwise.
        if !matches!(result, Err(StoreError::Lost { .. })) {
            let _ = messages.send(Message::Committed(id, number, result));
        }
    };
    manager.jobs_at.change(id, &[change], Box::new(done));
}

/// Has an operation carried out.
fn start(
    manager: &Arc<Inner>,
    job: &Pending,
    messages: &Sender<Message>,
    call: &Arc<Call>,
    now: Millis,
) -> Answering {
    let key = call.key;
    let messages = messages.clone();
    let reply_to = move |reply: Reply| {
        let _ = messages.send(Message::Replied(key, reply));
    };
    match services::start(manager, &job.entry, call, now, reply_to.clone()) {
        services::Started::Ready(reply) => Answering::Ready(reply),
        services::Started::Asleep { until, ms } => Answering::Asleep { until, ms },
        services::Started::Pending => Answering::Pending,
        services::Started::NotOurs => {
            let way = manager.operations.way(&call.method);
            if way == Way::Instant {
                return Answering::Ready(manager.operations.carry_out(&CallContext::new(call, &job.grants)));
            }
            let Some(context) = job.entry.lock().context.clone() else { return Answering::Pending };
            let (grants, call) = (job.grants.clone(), call.clone());
            if way == Way::Async {
                let Some(runtime) = manager.runtime() else { return Answering::Pending };
                let of_call = AsyncContext::new(call, grants, Some(context.clone()));
                let task = Task::spawn(&runtime, &manager.operations, of_call, reply_to);
                return Answering::Running { _task: task, context };
            }
            let operations = manager.operations.clone();
            manager.spawn_blocking(move || {
                let context = CallContext::new(&call, &grants).with_control(context.control());
                reply_to(operations.carry_out(&context));
            });
            Answering::Pending
        }
    }
}

/// A job that is given to a worker, with what the operator grants it.
pub(super) struct Recovered {
    pub(super) job: Job,
    pub(super) grants: Arc<Grants>,
}
