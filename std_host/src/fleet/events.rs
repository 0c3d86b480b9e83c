//! Events and log lines of jobs, for whoever wants to see them. Nothing waits for them: what comes faster than it can be sent is
//! dropped and counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use toehold::{LogLevel, UnixMillis, Uuid};
use tokio::sync::mpsc;

use super::connect::Link;

/// Events that wait to be sent.
const WAITING: usize = 8_192;

/// An event, or a log line, of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Note {
    Event { at: UnixMillis, kind: String, data: Box<RawValue> },
    Line { at: UnixMillis, level: i32, text: String },
}

/// Where notes are put.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    sender: mpsc::Sender<(Uuid, Note)>,
    dropped: Arc<AtomicU64>,
}

impl Notes {
    /// Begins to send what is put here.
    pub(super) fn start(link: &Link, runtime: &tokio::runtime::Handle) -> Self {
        let (sender, mut notes) = mpsc::channel::<(Uuid, Note)>(WAITING);
        let link = link.clone();
        runtime.spawn(async move {
            while let Some((job, note)) = notes.recv().await {
                let subject = match note {
                    Note::Event { .. } => link.names.events(job),
                    Note::Line { .. } => link.names.lines(job),
                };
                let Ok(bytes) = serde_json::to_vec(&note) else { continue };
                if bytes.len() > link.longest {
                    continue;
                }
                // Not acknowledged: it waits only until the connection has taken it.
                if let Err(error) = link.client.publish(subject, bytes.into()).await {
                    log::debug!("an event of job {job} is lost: {error}");
                }
            }
        });
        Self { sender, dropped: Arc::default() }
    }

    pub(super) fn event(&self, job: Uuid, at: UnixMillis, kind: &str, data: &str) {
        let Ok(data) = RawValue::from_string(data.to_owned()) else { return };
        self.put(job, Note::Event { at, kind: kind.to_owned(), data });
    }

    pub(super) fn line(&self, job: Uuid, at: UnixMillis, level: LogLevel, text: &str) {
        self.put(job, Note::Line { at, level: level.code(), text: text.to_owned() });
    }

    fn put(&self, job: Uuid, note: Note) {
        if self.sender.try_send((job, note)).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed);
            if dropped.is_multiple_of(1_000) {
                log::warn!(
                    "events come faster than they can be sent; {} were dropped",
                    dropped.saturating_add(1)
                );
            }
        }
    }
}
