//! Which workers are there: each says so in a bucket whose entries are forgotten after the lease.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use toehold::{UnixMillis, Uuid};

use super::{FleetError, connect::Link};

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// One run of its process.
    pub id: Uuid,
    /// What its operator calls it; its machine's name by default.
    pub name: String,
    /// Its process.
    pub process: u32,
    /// The version of Toehold.
    pub version: String,
    /// Jobs that it takes at a time.
    pub slots: usize,
    /// Jobs that it has.
    pub jobs: usize,
    /// When it started.
    pub started_at: UnixMillis,
}

/// Since when this process has been in touch with the servers without a gap.
#[derive(Debug)]
pub(super) struct Touch(Mutex<Times>);

#[derive(Debug)]
struct Times {
    since: Instant,
    last: Instant,
}

impl Touch {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Times { since: now, last: now }))
    }

    /// The servers have answered.
    pub(super) fn touched(&self, link: &Link) {
        let now = Instant::now();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(times.last) >= link.lease {
            // Whatever they forgot meanwhile says nothing of others, who may have been cut off as well.
            times.since = now;
        }
        times.last = now;
    }

    /// Whether this process would have seen it if others had shown signs of life.
    fn can_tell(&self, link: &Link) -> bool {
        let now = Instant::now();
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.duration_since(times.last) < link.lease && now.duration_since(times.since) >= link.lease / 2
    }
}

impl Link {
    /// Says that a worker is there.
    pub(super) async fn show(&self, status: &WorkerStatus) -> Result<(), FleetError> {
        let bytes = serde_json::to_vec(status).unwrap_or_default();
        let shown = self.workers.put(status.id.to_string(), bytes.into()).await;
        shown.map(drop).map_err(|error| FleetError::server("telling that this worker is there", error))
    }

    /// Says that a worker goes.
    pub(super) async fn hide(&self, worker: Uuid) {
        // Else it is forgotten after the lease.
        if let Err(error) = self.workers.delete(worker.to_string()).await {
            log::debug!("not told that this worker goes: {error}");
        }
    }

    /// Whether a worker is surely gone.
    pub(super) async fn is_gone(&self, worker: Uuid, touch: &Touch) -> bool {
        match self.workers.get(worker.to_string()).await {
            Ok(None) => touch.can_tell(self),
            Ok(Some(_)) | Err(_) => false,
        }
    }

    /// The workers that are there.
    pub(super) async fn workers(&self) -> Result<Vec<WorkerStatus>, FleetError> {
        let bucket = self.names.workers_bucket();
        let (stream, subject) = (format!("KV_{bucket}"), format!("$KV.{bucket}.>"));
        let mut workers = Vec::new();
        let mut after = 0;
        // Not with a watch of the bucket: each leaves a consumer behind for a while, and servers have only so many.
        loop {
            let batch = self.fetch(&stream, &subject, after).await?;
            // Of one that has gone there is an entry without anything in it.
            workers.extend(
                batch.messages.iter().filter_map(|entry| serde_json::from_slice(&entry.payload).ok()),
            );
            match batch.messages.last() {
                Some(last) if !batch.is_all => after = last.sequence,
                _ => break,
            }
        }
        workers.sort_by_key(|worker: &WorkerStatus| (worker.started_at, worker.id));
        Ok(workers)
    }
}
