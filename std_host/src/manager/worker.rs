//! A worker: one thread that shares itself among its jobs.

use std::{
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use toehold::{Failure, FailureCause, Fault, Job, Outcome, Scheduler, Stopped, Turn, Uuid};

use super::{
    EventKind, Inner,
    entry::Entry,
    platform::{Message, WorkerPlatform},
    recover::NotRecovered,
};

/// Stack of a worker's thread: enough for 512 MiB of memory, as `Job::step` says, and then some. It is taken as it is
/// used.
pub(super) const STACK_BYTES: usize = 16 << 20;
/// A job's report is told of, at most so often: so that who watches it is never more than that behind, and a moment.
const SAMPLE: Duration = Duration::from_millis(25);
/// Bytes of log lines that wait to be taken; a slice can hardly log more.
const FOLLOWED_BYTES: usize = 1 << 20;
/// How long a worker without anything to do waits at most. It is woken by messages; this is only a number.
const IDLE: Duration = Duration::from_secs(3_600);

pub(super) struct Worker {
    index: usize,
    manager: Weak<Inner>,
    messages: Receiver<Message>,
    scheduler: Scheduler,
    platform: WorkerPlatform,
    tasks: HashMap<Uuid, Task>,
    /// Jobs that wait for something, and what they told last is not told yet: when it is time for that.
    untold: BTreeSet<(Instant, Uuid)>,
    slice: u64,
}

/// What a worker knows of a job that it has in memory.
struct Task {
    entry: Arc<Entry>,
    /// The job, while it stands still.
    held: Option<Job>,
    sampled: Instant,
    warnings: usize,
    progress: Option<toehold::Progress>,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        manager: &Arc<Inner>,
        messages: Receiver<Message>,
        own: Sender<Message>,
        slice: u64,
    ) -> Self {
        let platform = WorkerPlatform::new(manager, own);
        Self {
            index,
            manager: Arc::downgrade(manager),
            messages,
            scheduler: Scheduler::new(),
            platform,
            tasks: HashMap::new(),
            untold: BTreeSet::new(),
            slice,
        }
    }

    /// Runs until the manager is gone.
    pub(super) fn run(mut self) {
        loop {
            // A mistake of ours must not leave others waiting for ever. (A panic inside of a host function still
            // aborts: the interpreter can't be unwound.)
            match catch_unwind(AssertUnwindSafe(|| self.work())) {
                Ok(()) => return,
                Err(_) => self.abandon(),
            }
        }
    }

    fn work(&mut self) {
        loop {
            let Some(manager) = self.manager.upgrade() else { return };
            while let Ok(message) = self.messages.try_recv() {
                if !self.take(&manager, message) {
                    return;
                }
            }
            self.scheduler.wake_due(self.platform.millis());
            self.tell_due(&manager);
            match self.scheduler.turn(&mut self.platform, self.slice) {
                // It is told with one of its next turns.
                Turn::Ran(id) => drop(self.sample(&manager, id, false)),
                Turn::Waits(id) => {
                    let due = self.sample(&manager, id, false);
                    self.untold.extend(due.map(|due| (due, id)));
                }
                Turn::Stopped(job, stopped) => self.stopped(&manager, *job, stopped),
                _ => {
                    let now = self.platform.millis();
                    let wait = self
                        .scheduler
                        .next_due()
                        .map_or(IDLE, |due| IDLE.min(Duration::from_millis(due.saturating_sub(now))));
                    let told =
                        self.untold.first().map(|(due, _)| due.saturating_duration_since(Instant::now()));
                    let wait = told.map_or(wait, |told| wait.min(told));
                    drop(manager);
                    match self.messages.recv_timeout(wait) {
                        Ok(message) => {
                            let Some(manager) = self.manager.upgrade() else { return };
                            if !self.take(&manager, message) {
                                return;
                            }
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            }
        }
    }

    /// Sees to a message. False if it was the last one.
    fn take(&mut self, manager: &Arc<Inner>, message: Message) -> bool {
        match message {
            Message::Start(entry) => self.start(manager, entry),
            Message::Wake(id) => self.scheduler.wake(id),
            Message::Forget(id) => {
                self.tasks.remove(&id);
                self.scheduler.remove(id);
                self.platform.forget(id);
            }
            Message::Replied(key, reply) => {
                self.platform.replied(key, reply);
                self.scheduler.wake(key.job);
            }
            Message::Committed(id, number, result) => {
                if let Some(task) = self.tasks.get(&id) {
                    manager.stuck(&task.entry, result.as_ref().err().map(ToString::to_string));
                }
                self.platform.committed(id, number, result.is_ok());
                self.scheduler.wake(id);
            }
            Message::Stop => return false,
        }
        true
    }

    /// Brings a job into memory, unless it is there, and lets it run.
    fn start(&mut self, manager: &Arc<Inner>, entry: Arc<Entry>) {
        let id = entry.id;
        let held = self.tasks.get_mut(&id).and_then(|task| task.held.take());
        let job = match held {
            Some(mut job) => {
                if job.take_place() {
                    Ok(job)
                } else {
                    self.hold(id, job);
                    manager.too_many(&entry, true);
                    return;
                }
            }
            None => manager.recover(&entry).map(|recovered| {
                self.platform.enter(&entry, &recovered.grants);
                recovered.job
            }),
        };
        let job = match job {
            Ok(job) => job,
            Err(NotRecovered::TooMany) => {
                self.forget(id);
                manager.too_many(&entry, false);
                return;
            }
            Err(NotRecovered::For(reason)) => {
                self.forget(id);
                manager.pause_now(&entry, Some(reason));
                return;
            }
        };
        let context = job.context().clone();
        context.follow_log(FOLLOWED_BYTES);
        let priority = {
            let mut now = entry.lock();
            now.context = Some(context.clone());
            now.steer();
            now.record.priority
        };
        let warnings = context.report().warnings.len();
        let task = Task { entry, held: None, sampled: Instant::now(), warnings, progress: None };
        self.tasks.insert(id, task);
        self.scheduler.add(job, priority);
    }

    /// Tells of jobs what could not be told when they began to wait, since it was too soon.
    fn tell_due(&mut self, manager: &Inner) {
        let now = Instant::now();
        while let Some((due, id)) = self.untold.first().copied().filter(|(due, _)| *due <= now) {
            self.untold.remove(&(due, id));
            self.sample(manager, id, false);
        }
    }

    /// Tells others what a job tells of itself; or gives the time at which to do so, if that is not yet.
    fn sample(&mut self, manager: &Inner, id: Uuid, last: bool) -> Option<Instant> {
        let task = self.tasks.get_mut(&id)?;
        let context = task.entry.lock().context.clone()?;
        let (lines, dropped) = context.take_log();
        if !lines.is_empty() || dropped > 0 {
            manager.log(id, lines, dropped);
        }
        let checkpoints = self.platform.checkpoints(id);
        if !checkpoints.is_empty() {
            let (report, fuel_used) = (context.report(), context.fuel_used());
            for sequence in checkpoints {
                let (items, bytes) = (report.items, report.bytes);
                manager.event(&task.entry, EventKind::Checkpoint { sequence, items, bytes, fuel_used });
            }
        }
        let now = Instant::now();
        if !last && now.duration_since(task.sampled) < SAMPLE {
            return Some(task.sampled + SAMPLE);
        }
        task.sampled = now;
        let report = context.report();
        for text in report.warnings.iter().skip(task.warnings) {
            manager.event(&task.entry, EventKind::Warning { text: text.clone() });
        }
        task.warnings = task.warnings.max(report.warnings.len());
        task.entry.lock().meter.add(&report, now);
        if report.progress != task.progress {
            task.progress.clone_from(&report.progress);
            if let Some(progress) = report.progress {
                let (items, bytes, fuel_used) = (report.items, report.bytes, context.fuel_used());
                manager.event(&task.entry, EventKind::Progress { progress, items, bytes, fuel_used });
            }
        }
        None
    }

    fn stopped(&mut self, manager: &Arc<Inner>, mut job: Job, stopped: Stopped) {
        let id = job.context().id();
        self.sample(manager, id, true);
        let Some(entry) = self.tasks.get(&id).map(|task| task.entry.clone()) else { return };
        match stopped {
            Stopped::Paused => {
                // Somebody may have resumed it meanwhile; under the lock it is one or the other.
                if manager.paused(&entry, &mut job) {
                    self.hold(id, job);
                } else {
                    self.go_on(&entry, job);
                }
            }
            Stopped::Finished(Outcome::Interrupted) => {
                // What a worker knows of it goes first, for the same worker may be given it again.
                let task = self.tasks.remove(&id);
                let Some(job) = manager.interrupted(&entry, job) else {
                    self.platform.forget(id);
                    return;
                };
                if job.context().control().is_to_reenter() {
                    // On another module, perhaps: what the store has says all.
                    drop(job);
                    self.platform.forget(id);
                    self.start(manager, entry);
                    return;
                }
                self.tasks.extend(task.map(|task| (id, task)));
                match job.next_run() {
                    Ok(next) => self.go_on(&entry, next),
                    Err(error) => {
                        self.forget(id);
                        manager.failed(&entry, &instance_failed(&error), 0, None);
                    }
                }
            }
            Stopped::Finished(Outcome::Failed(failure)) => {
                let (memory, commit) = (job.memory_bytes(), job.last_commit());
                drop(job);
                self.forget(id);
                manager.failed(&entry, &failure, memory, commit);
            }
            Stopped::Finished(outcome) => {
                let commit = job.last_commit();
                drop(job);
                self.forget(id);
                manager.finish(&entry, &outcome, commit);
            }
            // The platform never gives up a commit.
            _ => self.hold(id, job),
        }
    }

    fn hold(&mut self, id: Uuid, job: Job) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.held = Some(job);
        }
    }

    fn go_on(&mut self, entry: &Entry, job: Job) {
        let priority = {
            let now = entry.lock();
            now.steer();
            now.record.priority
        };
        self.scheduler.add(job, priority);
    }

    fn forget(&mut self, id: Uuid) {
        self.tasks.remove(&id);
        self.platform.forget(id);
    }

    /// After a panic: nobody knows what state the jobs in memory are in, but the store does.
    fn abandon(&mut self) {
        log::error!(
            "worker {} of the job manager panicked; its jobs are paused. Please report this",
            self.index
        );
        self.scheduler = Scheduler::new();
        let tasks = std::mem::take(&mut self.tasks);
        let Some(manager) = self.manager.upgrade() else { return };
        for (id, task) in tasks {
            self.platform.forget(id);
            if task.held.is_some() {
                // It is paused already, and comes back from the store.
                task.entry.lock().forget();
            } else {
                manager
                    .pause_now(&task.entry, Some("the host itself panicked; please report this".to_owned()));
            }
        }
    }
}

fn instance_failed(error: &toehold::StartError) -> Failure {
    let fault = match error {
        toehold::StartError::Instance(fault) => fault.clone(),
        other => Fault::Trap { export: "the next run".to_owned(), message: other.to_string() },
    };
    Failure { cause: FailureCause::Fault(fault), last_error: None }
}
