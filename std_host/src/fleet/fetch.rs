//! Messages of one subject of a stream, many with one request.

use std::time::Duration;

use async_nats::{StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Serialize;

use super::{FleetError, connect::Link};

/// Messages, and bytes of them, that a server sends for one request.
const BATCH: u32 = 256;
const BATCH_BYTES: u32 = 4 << 20;
/// How long the next of them may take.
const TIME: Duration = Duration::from_secs(4);

/// What one request gives.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<Fetched>,
    /// Whether there is no more, as far as the server that answered knows.
    pub(super) is_all: bool,
}

/// A message of a stream.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

#[derive(Serialize)]
struct Request<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: u32,
    max_bytes: u32,
}

impl Link {
    /// The first messages of a subject behind sequence `after`, in order; none where there are none. The server that answers may
    /// be a little behind.
    pub(super) async fn fetch(&self, stream: &str, subject: &str, after: u64) -> Result<Batch, FleetError> {
        let to = format!("{}.DIRECT.GET.{stream}", self.api);
        let what = || format!("reading {subject}");
        self.unless_refused(what, &to, self.fetch_from(to.clone(), subject, after)).await?
    }

    async fn fetch_from(&self, to: String, subject: &str, after: u64) -> Result<Batch, FleetError> {
        let failed = |error: &dyn std::fmt::Display| FleetError::server(format!("reading {subject}"), error);
        let request = Request {
            seq: after.saturating_add(1),
            next_by_subj: subject,
            batch: BATCH,
            max_bytes: BATCH_BYTES,
        };
        let request = serde_json::to_vec(&request).map_err(|error| failed(&error))?;
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let sent = self.client.publish_with_reply(to, inbox, request.into()).await;
        sent.map_err(|error| failed(&error))?;
        let mut fetched = Vec::new();
        loop {
            let answer = tokio::time::timeout(TIME, answers.next()).await;
            let answer = answer
                .map_err(|_| failed(&"no answer"))?
                .ok_or_else(|| failed(&"the connection is closed"))?;
            match answer.status {
                None | Some(StatusCode::OK) => {}
                Some(StatusCode::NOT_FOUND) => return Ok(Batch { messages: fetched, is_all: true }),
                // The end of what one request gives.
                Some(status) if status.as_u16() == 204 => {
                    let left = answer.headers.as_ref().and_then(|headers| headers.get("Nats-Num-Pending"));
                    let is_all = left.is_some_and(|left| left.as_str() == "0");
                    return Ok(Batch { messages: fetched, is_all });
                }
                Some(status) => {
                    let description = answer.description.unwrap_or_default();
                    return Err(failed(&format!("{status} {description}")));
                }
            }
            let sequence = answer.headers.as_ref().and_then(|headers| headers.get(header::NATS_SEQUENCE));
            let sequence = sequence.and_then(|sequence| sequence.as_str().parse().ok());
            let sequence = sequence.ok_or_else(|| failed(&"an answer without a sequence"))?;
            fetched.push(Fetched { sequence, payload: answer.payload });
        }
    }
}
