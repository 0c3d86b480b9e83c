//! What is asked of a job, by whoever: pause, resume, cancel.

use std::{collections::HashSet, sync::Arc};

use toehold::{Interrupt, JobState, Uuid};
use tokio::sync::oneshot;

use super::{EventKind, Inner, JobError, entry::Entry, life::Written, platform::Message};

impl Inner {
    /// Asks something of a job that this manager does not have, if that is so.
    fn steer_elsewhere(&self, entry: &Entry, wanted: Interrupt) -> Option<Result<Written, JobError>> {
        if !self.jobs_at.is_shared() || self.live(entry.id).is_some() {
            return None;
        }
        let state = entry.lock().state();
        if state.is_final() {
            return Some(Err(JobError::Over { id: entry.id, state }));
        }
        let (tell, told) = oneshot::channel();
        let done = move |result| {
            // Who asked may have gone.
            let _ = tell.send(result);
        };
        self.jobs_at.steer(entry.id, wanted, Box::new(done));
        Some(Ok(told))
    }

    /// Asks a job to stop for now.
    pub(super) fn pause(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        if let Some(written) = self.steer_elsewhere(entry, Interrupt::Pause) {
            return written;
        }
        let mut now = entry.lock();
        let mut stopped = false;
        match now.state() {
            JobState::Queued => {
                let place = now.place(entry.id);
                stopped = self.lock().queue.remove(now.record.extension(), place)
                    || now.record.retry_at.take().is_some();
                if stopped {
                    now.record.state = JobState::Paused;
                }
                // A cancel stays.
                if now.record.wanted == Interrupt::None {
                    now.want(Interrupt::Pause);
                }
            }
            JobState::Running if now.record.wanted == Interrupt::None => now.want(Interrupt::Pause),
            JobState::Running | JobState::Paused => {}
            state => return Err(JobError::Over { id: entry.id, state }),
        }
        let written = self.write_and_tell(entry.id, &mut now);
        let worker = now.worker;
        if stopped {
            self.tell(entry, &mut now, EventKind::Paused { reason: None });
        }
        drop(now);
        self.wake(entry.id, worker);
        Ok(written)
    }

    /// Lets a paused job go on.
    pub(super) fn resume(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        if let Some(written) = self.steer_elsewhere(entry, Interrupt::None) {
            return written;
        }
        let mut now = entry.lock();
        let queued = match now.state() {
            JobState::Paused => {
                now.record.state = JobState::Queued;
                now.record.reason = None;
                now.record.retry_at = None;
                true
            }
            JobState::Running | JobState::Queued => false,
            state => return Err(JobError::Over { id: entry.id, state }),
        };
        if now.record.wanted == Interrupt::Pause {
            now.want(Interrupt::None);
        }
        let written = self.write_and_tell(entry.id, &mut now);
        let (worker, place, extension) = (now.worker, now.place(entry.id), now.record.extension().to_owned());
        if queued {
            self.tell(entry, &mut now, EventKind::Queued);
            self.lock().queue.push(&extension, place);
        }
        drop(now);
        self.wake(entry.id, worker);
        if queued {
            self.admit();
        }
        Ok(written)
    }

    /// Asks a job to stop for good, and all that it has dispatched.
    pub(super) fn cancel(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        // Whoever has it cancels what it has dispatched.
        if let Some(written) = self.steer_elsewhere(entry, Interrupt::Cancel) {
            return written;
        }
        let written = self.cancel_one(entry)?;
        self.cancel_children(entry.id);
        Ok(written)
    }

    pub(super) fn cancel_one(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Written, JobError> {
        let mut now = entry.lock();
        let ended = match now.state() {
            JobState::Queued => {
                let place = now.place(entry.id);
                self.lock().queue.remove(now.record.extension(), place) || now.record.retry_at.is_some()
            }
            JobState::Paused => true,
            JobState::Running => false,
            state => return Err(JobError::Over { id: entry.id, state }),
        };
        now.want(Interrupt::Cancel);
        let written = if ended {
            if let Some(worker) = now.worker.and_then(|worker| self.workers.get(worker)) {
                let _ = worker.send(Message::Forget(entry.id));
            }
            now.forget();
            now.record.reason = None;
            let (tell, told) = oneshot::channel();
            self.offer_end(entry, &mut now, JobState::Cancelled, EventKind::Cancelled, None, Some(tell));
            drop(now);
            told
        } else {
            let written = self.write_and_tell(entry.id, &mut now);
            let worker = now.worker;
            drop(now);
            self.wake(entry.id, worker);
            written
        };
        Ok(written)
    }

    /// Cancels all that a job has dispatched, and what those have: one after the other, however deep that goes.
    pub(super) fn cancel_children(self: &Arc<Self>, parent: Uuid) {
        let (mut parents, mut seen) = (vec![parent], HashSet::from([parent]));
        while let Some(parent) = parents.pop() {
            let children = self.jobs_at.children(parent).unwrap_or_else(|error| {
                log::error!(
                    "the jobs that {parent} dispatched can't be found, and are not cancelled: {error}"
                );
                Vec::new()
            });
            for child in children.into_iter().filter(|child| seen.insert(*child)) {
                // One that is over needs no cancelling.
                if let Some(entry) = self.live(child) {
                    let _ = self.cancel_one(&entry);
                } else if self.jobs_at.is_shared() {
                    self.jobs_at.steer(child, Interrupt::Cancel, Box::new(|_| ()));
                }
                parents.push(child);
            }
        }
    }

    pub(super) fn wake(&self, id: Uuid, worker: Option<usize>) {
        if let Some(worker) = worker.and_then(|worker| self.workers.get(worker)) {
            let _ = worker.send(Message::Wake(id));
        }
    }
}
