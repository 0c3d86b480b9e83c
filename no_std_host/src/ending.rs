//! How jobs end: for good, or until they are tried again; and what the store has to take for that.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use toehold::{
    Change, Commit, Failure, FailureCause, Interrupt, Job, JobRecord, JobState, LastWords, Millis, Store,
    UnixMillis, Uuid,
};

use crate::{Board, Clock, Shell, entry::Stuck};

/// How long until something is offered again to a store that could not take it.
const AGAIN: Millis = 5_000;
/// Milliseconds until another attempt, at most.
const LONGEST_BACKOFF: Millis = 300_000;

impl<B: Board> Shell<B> {
    /// A job has failed: it is tried again, or has failed for good.
    #[inline(never)]
    pub(crate) fn again_or_failed(&mut self, id: Uuid, words: LastWords, commit: Option<Commit>) {
        let (now, longest) = (self.clock.now(), self.config.backoff_ms);
        let date = self.date();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.forget();
        let reason = match &words.last_error {
            Some(error) => format!("{}; the guest's last error: {error}", words.cause),
            None => words.cause.clone(),
        };
        let again = words.fault
            && entry.record.attempt < entry.record.attempts
            && entry.record.wanted != Interrupt::Cancel;
        entry.record.last_words = Some(words);
        entry.record.reason = Some(reason.clone());
        if !again {
            self.end(id, JobState::Failed, commit);
            return;
        }
        let doublings = entry.record.attempt.saturating_sub(1).min(20);
        let wait = longest.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        entry.record.attempt += 1;
        entry.record.retry_at = Some(date.saturating_add(wait));
        entry.retry_due = Some(now.saturating_add(wait));
        let attempt = entry.record.attempt;
        if entry.record.wanted == Interrupt::Pause {
            entry.retry_due = None;
            entry.record.state = JobState::Paused;
        } else {
            entry.record.state = JobState::Queued;
        }
        if let Err(error) = self.write(id) {
            log::warn!("job {id}: its next attempt is not durable: {error}");
        }
        self.drop_extensions();
        self.event("retry", id, |event| event.field("attempt", attempt).field("reason", reason));
    }

    #[inline(never)]
    pub(crate) fn ended(&mut self, id: Uuid, job: Box<Job>, state: JobState) {
        let commit = job.last_commit();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.forget();
            entry.record.reason = None;
        }
        drop(job);
        self.end(id, state, commit);
    }

    /// A job that somebody wants to end, and that does not run, ends where it is.
    pub(crate) fn cancelled(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.forget();
        entry.stuck = None;
        entry.record.reason = None;
        self.end(id, JobState::Cancelled, None);
    }

    /// Writes how a job ended. Only once that is durable it is over for others.
    #[inline(never)]
    pub(crate) fn end(&mut self, id: Uuid, state: JobState, commit: Option<Commit>) {
        self.drop_extensions();
        let date: UnixMillis = self.date();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let record =
            JobRecord { state, ended_at: Some(date), sleep: None, retry_at: None, ..entry.record.clone() };
        let change = Change { record: Some(record), commit: commit.map(Arc::new) };
        self.offer_end(id, Box::new(change));
    }

    #[inline(never)]
    pub(crate) fn offer_end(&mut self, id: Uuid, change: Box<Change>) {
        match self.store.change(id, &change) {
            Ok(()) => {
                self.entries.remove(&id);
                if let Some(record) = change.record {
                    self.event(record.state.name(), id, |event| event.maybe("reason", record.reason));
                }
                self.forget_old();
                self.look = true;
            }
            Err(error) => {
                let reason = Self::store_error(&error);
                let Some(entry) = self.entries.get_mut(&id) else { return };
                let told = entry.stuck.is_some();
                entry.record.state = JobState::Paused;
                entry.stuck = Some(Stuck::End(change, reason.clone()));
                self.offer_later();
                if !told {
                    self.event("paused", id, |event| event.field("reason", reason));
                }
            }
        }
    }

    pub(crate) fn offer_later(&mut self) {
        let at = self.clock.now().saturating_add(AGAIN);
        self.offer_at = Some(at);
    }

    /// Offers the store again what it could not take: there may be room by now.
    #[inline(never)]
    pub(crate) fn offer_again(&mut self) {
        self.offer_at = None;
        let stuck: Vec<Uuid> =
            self.entries.values().filter(|entry| entry.stuck.is_some()).map(|entry| entry.id).collect();
        for id in stuck {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match entry.stuck.take() {
                Some(Stuck::End(change, reason)) => {
                    entry.stuck = Some(Stuck::End(Box::default(), reason));
                    self.offer_end(id, change);
                }
                Some(Stuck::Commit(reason)) => {
                    // Kept until it is stored, so that the same reason is not told again.
                    entry.stuck = Some(Stuck::Commit(reason));
                    let Some(job) = entry.held.take() else { continue };
                    entry.record.state = JobState::Running;
                    let priority = entry.record.priority;
                    self.scheduler.add(*job, priority);
                }
                None => {}
            }
        }
    }

    /// Forgets those that ended first, of more than are kept.
    #[inline(never)]
    pub(crate) fn forget_old(&mut self) {
        let Ok(mut jobs) = self.store.jobs() else { return };
        jobs.retain(|id| !self.entries.contains_key(id));
        if jobs.len() <= self.config.ended_jobs {
            return;
        }
        let mut ended: Vec<(UnixMillis, Uuid)> = Vec::with_capacity(jobs.len());
        for id in jobs {
            // One that can't be read is kept, now and whatever it turns out to be when it can.
            let Ok(Some(saved)) = self.store.load(id) else { continue };
            let Ok(record) = JobRecord::decode(&saved.record) else { continue };
            if record.state.is_final() {
                ended.push((record.ended_at.unwrap_or_default(), id));
            }
        }
        ended.sort_unstable();
        let over = ended.len().saturating_sub(self.config.ended_jobs);
        for (_, id) in ended.into_iter().take(over) {
            if let Err(error) = self.store.remove(id) {
                log::warn!("job {id}, which has ended, can't be removed: {error}");
            }
        }
    }
}

pub(crate) fn last_words(failure: &Failure, job: &Job) -> LastWords {
    LastWords {
        cause: match &failure.cause {
            FailureCause::Returned => String::from("the job returned 2 (failed)"),
            FailureCause::Fault(fault) => fault.to_string(),
        },
        fault: matches!(failure.cause, FailureCause::Fault(_)),
        last_error: failure.last_error.clone(),
        memory_bytes: job.memory_bytes() as u64,
        log_tail: job.context().log_tail(),
    }
}
