//! What the fleet's jobs are and how they stand, in a database of this process: lists, counts and histories come from there.
//!
//! It is made anew whenever a process starts, from the streams, and follows them. It has records and events, and no checkpoints.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
    stream::Stream,
};
use futures_util::StreamExt;
use toehold::{Change, Checkpoint, Commit, Interrupt, JobRecord, JobState, LogLevel, Uuid};
use tokio::sync::oneshot;

use super::{
    FleetError,
    connect::Link,
    entry::{Entry, What},
    events::Note,
    fetch::Fetched,
    parts,
    state::revoke_pause,
};
use crate::{
    SqliteStore,
    manager::{EventKind, Manager},
    store::StoreError,
};

/// How long to wait before a stream is followed again that could not be.
const AGAIN: Duration = Duration::from_secs(1);
/// How often, and after how long each time, an event is offered again whose job is not known yet.
const UNKNOWN_LOOKS: u32 = 20;
const UNKNOWN_WAIT: Duration = Duration::from_millis(50);

/// A database that follows the fleet.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    link: Link,
    store: SqliteStore,
    manager: Manager,
    /// The jobs that are known, and the number of the last event of each.
    known: Arc<Mutex<HashMap<Uuid, Known>>>,
}

#[derive(Clone, Debug)]
struct Known {
    record: JobRecord,
    events: u64,
    /// What was asked of it, as long as its worker has not written another record.
    asked: Option<Interrupt>,
    /// Whether it is shown as paused since its worker can't write: its log can't say so.
    is_stuck: bool,
}

impl Mirror {
    pub(super) fn new(link: Link, store: SqliteStore, manager: Manager) -> Self {
        Self { link, store, manager, known: Arc::default() }
    }

    /// Reads all that there is now.
    pub(super) async fn catch_up(&self) -> Result<(), FleetError> {
        let jobs = self.follow_jobs(0, true).await?;
        let events = self.follow_events(0, true).await?;
        let (tell, told) = oneshot::channel();
        self.store.flush(move |result| {
            // Whoever asked is below.
            let _ = tell.send(result);
        });
        told.await.map_or(Ok(()), |flushed| {
            flushed.map_err(|error| FleetError::server("the database of this process", error))
        })?;
        let this = self.clone();
        tokio::spawn(async move {
            tokio::join!(this.keep_following_jobs(jobs), this.keep_following_events(events));
        });
        Ok(())
    }

    async fn keep_following_jobs(&self, mut after: u64) {
        loop {
            match self.follow_jobs(after, false).await {
                Ok(last) => after = last,
                Err(error) => log::warn!("{error}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn keep_following_events(&self, mut after: u64) {
        loop {
            match self.follow_events(after, false).await {
                Ok(last) => after = last,
                Err(error) => log::warn!("{error}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Follows the logs of all jobs from behind a sequence on; only what is there now, if `once`. Gives the last sequence.
    async fn follow_jobs(&self, after: u64, once: bool) -> Result<u64, FleetError> {
        let mut pages = Pages::open(&self.link.jobs, vec![self.link.names.all_jobs()], after).await?;
        while let Some((message, sequence)) = pages.next(once).await? {
            if let Some(job) = self.link.names.job_of(&message.subject) {
                let fetched = Fetched { sequence, payload: message.payload };
                if let Err(error) = self.take(job, fetched).await {
                    log::warn!("{error}");
                }
            }
        }
        Ok(pages.last)
    }

    async fn follow_events(&self, after: u64, once: bool) -> Result<u64, FleetError> {
        let filters = self.link.names.all_events().to_vec();
        let mut pages = Pages::open(&self.link.events, filters, after).await?;
        while let Some((message, _)) = pages.next(once).await? {
            if let (Some(job), Ok(note)) =
                (self.link.names.job_of(&message.subject), serde_json::from_slice(&message.payload))
            {
                self.note(job, note, once).await;
            }
        }
        Ok(pages.last)
    }

    fn known(&self, job: Uuid) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }

    /// Takes an entry of a job's log.
    async fn take(&self, job: Uuid, message: Fetched) -> Result<(), FleetError> {
        // Its parts may be gone: then a whole entry comes soon.
        let Some((bytes, _)) = parts::open(&self.link, job, &message).await? else { return Ok(()) };
        let format = |source| FleetError::Format { job, source };
        let entry = Entry::decode(&bytes).map_err(format)?;
        let known = self.known(job);
        let decode = |record: &[u8]| JobRecord::decode(record).map_err(format);
        let mut asked = known.as_ref().and_then(|known| known.asked);
        let record = match (entry.what, known.as_ref().map(|known| known.record.clone())) {
            (What::Removed, _) => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
                self.store.remove(job, warn);
                self.manager.show(job, None);
                self.manager.relay(job, 0, crate::manager::unix_now(), EventKind::Removed);
                return Ok(());
            }
            (What::Whole(whole), before) => {
                let mut record = decode(&whole.record)?;
                asked = whole.wanted.map(Entry::wanted);
                if whole.owner.is_some() && record.state == JobState::Queued {
                    record.state = JobState::Running;
                }
                if before.is_none() {
                    let checkpoint = Checkpoint::decode(&whole.base).map_err(format)?;
                    let first = Change {
                        record: Some(record.clone()),
                        commit: Some(Arc::new(Commit::first(checkpoint))),
                    };
                    self.store.change(job, &first, warn);
                }
                record
            }
            // Of one whose first entry is gone, the next whole one tells.
            (_, None) => return Ok(()),
            (What::Claimed(_), Some(mut record)) => {
                if record.state == JobState::Queued {
                    record.state = JobState::Running;
                }
                record
            }
            (What::Changed(changes), Some(before)) => {
                match changes.iter().rev().find_map(|change| change.record.as_deref()) {
                    Some(record) => {
                        let mut record = decode(record)?;
                        revoke_pause(&mut record, asked.take());
                        record
                    }
                    None => before,
                }
            }
            (What::Wanted(code), Some(mut record)) => {
                record.wanted = Entry::wanted(code);
                asked = Some(record.wanted);
                record
            }
            (What::Released, Some(mut record)) => {
                // Whoever pauses it now knows of that.
                asked = None;
                record.state = JobState::Queued;
                record
            }
        };
        if known.as_ref().is_none_or(|known| known.record != record || known.is_stuck) {
            self.show(job, record.clone());
        }
        let events = known.map_or(0, |known| known.events);
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(job, Known { record, events, asked, is_stuck: false });
        Ok(())
    }

    fn show(&self, job: Uuid, record: JobRecord) {
        let change = Change { record: Some(record.clone()), commit: None };
        let manager = self.manager.clone();
        self.store.change(job, &change, move |written| {
            warn(written);
            manager.show(job, Some(record));
        });
    }

    /// Takes an event, or a log line, of a job.
    async fn note(&self, job: Uuid, note: Note, is_past: bool) {
        for _ in 0..if is_past { 0 } else { UNKNOWN_LOOKS } {
            if self.known(job).is_some() {
                break;
            }
            // The streams are followed one beside the other.
            tokio::time::sleep(UNKNOWN_WAIT).await;
        }
        match note {
            Note::Line { at, level, text } => {
                let level = LogLevel::from_code(level).unwrap_or(LogLevel::Error);
                self.store.append_log(job, at, level, &text);
            }
            Note::Event { at, data, .. } => {
                // One of a newer version is not for us.
                let Ok(kind) = serde_json::from_str::<EventKind>(data.get()) else { return };
                let number = {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(known) = known.get_mut(&job) else { return };
                    if let Some(shown) = known.stuck(&kind) {
                        self.show(job, shown);
                    }
                    known.events += u64::from(kind.is_kept());
                    known.events
                };
                if kind.is_kept() {
                    self.store.append_event(job, at, kind.name(), data.get());
                }
                if !is_past {
                    self.manager.relay(job, number, at, kind);
                }
            }
        }
    }
}

impl Known {
    /// How a job that runs is to be shown after an event that says that its worker can't write, or can again.
    fn stuck(&mut self, kind: &EventKind) -> Option<JobRecord> {
        let reason = match kind {
            EventKind::Paused { reason: Some(reason) } if self.record.state == JobState::Running => {
                Some(reason)
            }
            EventKind::Running { .. } if self.is_stuck => None,
            _ => return None,
        };
        self.is_stuck = reason.is_some();
        Some(match reason {
            Some(reason) => {
                JobRecord { state: JobState::Paused, reason: Some(reason.clone()), ..self.record.clone() }
            }
            None => self.record.clone(),
        })
    }
}

/// The messages of a stream, in order.
struct Pages {
    messages: pull::Ordered,
    /// Messages that are there and were not given.
    left: u64,
    last: u64,
}

impl Pages {
    async fn open(stream: &Stream, filter_subjects: Vec<String>, after: u64) -> Result<Self, FleetError> {
        let config = pull::OrderedConfig {
            filter_subjects,
            deliver_policy: match after {
                0 => DeliverPolicy::All,
                after => DeliverPolicy::ByStartSequence { start_sequence: after.saturating_add(1) },
            },
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(failed)?;
        let left = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(failed)?;
        Ok(Self { messages, left, last: after })
    }

    /// The next message, with its sequence. Where only those are wanted that are there, nothing behind the last of them.
    async fn next(&mut self, once: bool) -> Result<Option<(async_nats::Message, u64)>, FleetError> {
        if once && self.left == 0 {
            return Ok(None);
        }
        let Some(message) = self.messages.next().await else { return Ok(None) };
        let message: Message = message.map_err(failed)?;
        let (sequence, pending) = {
            let info = message.info().map_err(failed)?;
            (info.stream_sequence, info.pending)
        };
        (self.last, self.left) = (sequence, pending);
        Ok(Some((message.message, sequence)))
    }
}

fn failed(error: impl std::fmt::Display) -> FleetError {
    FleetError::server("following the fleet", error)
}

fn warn(result: Result<(), StoreError>) {
    if let Err(error) = result {
        log::warn!("what is shown of the fleet is not complete: {error}");
    }
}
