use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
};

use uuid::Uuid;

use crate::{
    Job, Millis, Platform, Priority, Stopped,
    run::{Patience, Turned, turn},
};

/// Shares one thread among many jobs, by fuel: of those that are ready, the one that has had the least gets the next
/// slice, where a job's [`Priority`] says how much its fuel counts.
///
/// It has no clock and no thread of its own. A shell adds jobs, calls [`Scheduler::turn`] for as long as something is
/// ready, and [`Scheduler::wake`] when a job that waits may go on: its reply is there, or somebody wants it to stop.
///
/// This is weighted fair queueing with a virtual time, as in Linux's CFS: a job that comes or wakes up starts at the
/// virtual time of the others, so that none can save up turns and none waits for long.
#[derive(Debug, Default)]
pub struct Scheduler {
    /// In boxes: a task has about a kilobyte, and a map moves what it holds, eleven at a time, over the stack.
    tasks: BTreeMap<Uuid, Box<Task>>,
    /// The jobs that can run, by virtual time.
    ready: BTreeSet<(u64, Uuid)>,
    /// The jobs that wait for a time.
    timers: BTreeSet<(Millis, Uuid)>,
    /// The virtual time of the job that ran last.
    now: u64,
}

#[derive(Debug)]
struct Task {
    job: Job,
    priority: Priority,
    /// Fuel that it has had, weighted.
    virtual_time: u64,
    /// Until when it waits, if it waits and that is known.
    until: Option<Millis>,
    patience: Patience,
}

/// What came of [`Scheduler::turn`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Turn {
    /// This job has run.
    Ran(Uuid),
    /// This job waits for a reply, a commit or a time.
    Waits(Uuid),
    /// This job is over or stands still, and is no longer the scheduler's.
    Stopped(Box<Job>, Stopped),
    /// No job is ready.
    Idle,
}

/// Fuel that a turn counts as at least, so that a job which hardly computes but waits all the time has its share, too.
const LEAST_FUEL: u64 = 1_000;

impl Scheduler {
    /// A scheduler without jobs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a job over. One with the same id that it has already is dropped.
    pub fn add(&mut self, job: Job, priority: Priority) {
        let id = job.context().id();
        self.remove(id);
        let task = Task { job, priority, virtual_time: self.now, until: None, patience: Patience::default() };
        self.ready.insert((task.virtual_time, id));
        self.tasks.insert(id, Box::new(task));
    }

    /// Gives a job back.
    pub fn remove(&mut self, id: Uuid) -> Option<Job> {
        let task = self.tasks.remove(&id)?;
        self.ready.remove(&(task.virtual_time, id));
        if let Some(until) = task.until {
            self.timers.remove(&(until, id));
        }
        Some(task.job)
    }

    /// The job with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Job> {
        self.tasks.get(&id).map(|task| &task.job)
    }

    /// All of its jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.tasks.values().map(|task| &task.job)
    }

    /// How many jobs it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether it has no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether a job can run now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The job that [`Scheduler::turn`] gives its turn next.
    #[must_use]
    pub fn next_ready(&self) -> Option<Uuid> {
        self.ready.first().map(|(_, id)| *id)
    }

    /// When the next job that waits for a time is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// Has a job look again at what it waits for. Does no harm to one that is ready already, or that is not there.
    pub fn wake(&mut self, id: Uuid) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if let Some(until) = task.until.take() {
            self.timers.remove(&(until, id));
        }
        if !self.ready.contains(&(task.virtual_time, id)) {
            task.virtual_time = task.virtual_time.max(self.now);
            self.ready.insert((task.virtual_time, id));
        }
    }

    /// Wakes all jobs, for shells that can't tell which one may go on.
    pub fn wake_all(&mut self) {
        let ids: alloc::vec::Vec<Uuid> = self.tasks.keys().copied().collect();
        ids.into_iter().for_each(|id| self.wake(id));
    }

    /// Wakes the jobs whose time has come.
    pub fn wake_due(&mut self, now: Millis) {
        while let Some((until, id)) = self.timers.first().copied() {
            if until > now {
                return;
            }
            self.timers.remove(&(until, id));
            if let Some(task) = self.tasks.get_mut(&id) {
                task.until = None;
            }
            self.wake(id);
        }
    }

    /// Gives the next job its turn: a slice of `slice` fuel, or what it waits for.
    pub fn turn(&mut self, platform: &mut impl Platform, slice: u64) -> Turn {
        let Some((virtual_time, id)) = self.ready.pop_first() else { return Turn::Idle };
        let Some(task) = self.tasks.get_mut(&id) else { return Turn::Idle };
        self.now = self.now.max(virtual_time);
        let before = task.job.context().fuel_used();
        let turned = turn(&mut task.job, platform, slice, &mut task.patience);
        let used = task.job.context().fuel_used().saturating_sub(before).max(LEAST_FUEL);
        // The least weight is 1, so that the time of the highest priority still moves.
        let cost = used.saturating_mul(Priority::High.weight()) / task.priority.weight();
        task.virtual_time = virtual_time.saturating_add(cost);
        match turned {
            Turned::Ran => {
                self.ready.insert((task.virtual_time, id));
                Turn::Ran(id)
            }
            Turned::Waits(until) => {
                task.until = until;
                self.timers.extend(until.map(|until| (until, id)));
                Turn::Waits(id)
            }
            Turned::Stopped(stopped) => match self.remove(id) {
                Some(job) => Turn::Stopped(Box::new(job), stopped),
                None => Turn::Idle,
            },
        }
    }
}
