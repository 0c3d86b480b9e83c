//! The log of each job: one subject of the stream `JOBS`, where each entry says after which one it comes.
//!
//! The server takes an entry only if the last one of the subject is that which the writer knows. So of two that write at the
//! same time one wins, and who has missed an entry of others hears so. That is all that fencing is: a claim is an entry, so a
//! worker whose job was claimed by another can't write any more.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{PublishError, PublishErrorKind},
        stream::LastRawMessageErrorKind,
    },
};
use futures_util::TryStreamExt;
use toehold::{FormatError, Uuid};

use super::{
    FleetError,
    connect::Link,
    entry::{Entry, What},
    parts,
    state::{Found, Place},
};

/// How long to wait before something is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Times in a row that the server says that an entry does not come after the last one, and there is no other, until the job is
/// taken for gone.
const MOST_CONFLICTS: u32 = 20;
/// For how long it stays known that a job was removed: for those who were not connected.
const REMOVED_TIME: Duration = Duration::from_secs(24 * 3_600);

/// What came of writing an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// It is there.
    Done,
    /// It is not, and never will be: others have written meanwhile.
    Behind,
}

/// What the server said to a message.
enum Sent {
    /// It is the entry of this sequence.
    Written(u64),
    /// It does not come after the last entry; or nobody knows whether it was written.
    Unknown(String),
    /// It was refused, for now at least, since there is no room.
    Full(String),
    /// It was refused for good.
    Refused(String),
}

impl Link {
    /// What the log of a job comes to.
    pub(super) async fn read(&self, job: Uuid) -> Result<Found, FleetError> {
        let mut found = Found::UNREAD;
        self.read_on(job, &mut found).await?;
        Ok(found)
    }

    /// As [`Link::read`], with all that was written before: whichever server answers, it is as new as the leader.
    pub(super) async fn read_newest(&self, job: Uuid) -> Result<Found, FleetError> {
        let what = || format!("reading job {job}");
        let mut wait = FIRST_WAIT;
        let newest = loop {
            match self.jobs.get_last_raw_message_by_subject(&self.names.job(job)).await {
                Ok(message) => break message.sequence,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break 0,
                Err(error) if wait >= LONGEST_WAIT => return Err(FleetError::server(what(), error)),
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        };
        let (mut found, mut wait) = (Found::UNREAD, FIRST_WAIT);
        loop {
            self.read_on(job, &mut found).await?;
            if found.last() >= newest {
                return Ok(found);
            }
            if wait >= LONGEST_WAIT {
                return Err(FleetError::server(what(), "the server that answers is far behind the others"));
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }

    /// Reads on behind what is known. Says whether there was anything.
    pub(super) async fn read_on(&self, job: Uuid, found: &mut Found) -> Result<bool, FleetError> {
        let before = found.last();
        self.follow(job, found, |_| ()).await?;
        Ok(found.last() > before)
    }

    /// As [`Link::read_on`], and shows each entry before it is added.
    async fn follow(
        &self,
        job: Uuid,
        found: &mut Found,
        mut each: impl FnMut(&Entry),
    ) -> Result<(), FleetError> {
        let mut wait = FIRST_WAIT;
        loop {
            let after = found.last();
            match self.follow_once(job, found, &mut each).await {
                Ok(true) => return Ok(()),
                Ok(false) if found.last() > after => wait = FIRST_WAIT,
                // Parts are gone: so is their entry by now, since a whole one has come after it.
                Ok(false) if wait < LONGEST_WAIT => {}
                Ok(false) => {
                    let source = FormatError::Damaged { what: "entry in parts" };
                    return Err(FleetError::Format { job, source });
                }
                Err(FleetError::Server { .. }) if wait < LONGEST_WAIT => {}
                Err(error) => return Err(error),
            }
            if wait > FIRST_WAIT || found.last() == after {
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2);
            }
        }
    }

    /// Adds what one request gives. Says whether that is all that there is.
    async fn follow_once(
        &self,
        job: Uuid,
        found: &mut Found,
        each: &mut impl FnMut(&Entry),
    ) -> Result<bool, FleetError> {
        let subject = self.names.job(job);
        let batch = self.fetch(&self.names.jobs_stream(), &subject, found.last()).await?;
        for message in batch.messages {
            let Some((bytes, at)) = parts::open(self, job, &message).await? else { return Ok(false) };
            let entry = Entry::decode(&bytes).map_err(|source| FleetError::Format { job, source })?;
            each(&entry);
            add(job, found, entry, at)?;
        }
        Ok(batch.is_all)
    }

    /// Writes an entry behind the last one that `found` knows, unless others have written meanwhile. `found` is how it stands
    /// then. It takes as long as it takes: while no server answers, nobody knows whether it was written.
    ///
    /// Comes back with an error only where nothing was written.
    pub(super) async fn write(
        &self,
        job: Uuid,
        entry: &Entry,
        found: &mut Found,
    ) -> Result<Wrote, FleetError> {
        let packed = parts::pack(self, job, entry).await?;
        let what = || format!("writing job {job}");
        let (mut wait, mut conflicts) = (FIRST_WAIT, 0_u32);
        loop {
            let known = found.last();
            match self.send(job, entry, packed.bytes.clone(), known).await? {
                Sent::Written(sequence) => {
                    add(job, found, entry.clone(), packed.at(sequence))?;
                    return Ok(Wrote::Done);
                }
                Sent::Full(reason) => return Err(FleetError::Full { what: what(), reason }),
                Sent::Refused(reason) => return Err(FleetError::server(what(), reason)),
                Sent::Unknown(reason) => {
                    // Others may have written, or it was this entry and only the answer was lost.
                    let mut is_there = false;
                    let read = self
                        .follow(job, found, |next| {
                            is_there |= next.write == entry.write && next.epoch == entry.epoch;
                        })
                        .await;
                    match read {
                        // Whoever has written behind it is seen with the next entry.
                        _ if is_there => return Ok(Wrote::Done),
                        _ if found.last() > known => return Ok(Wrote::Behind),
                        Err(error @ FleetError::Format { .. }) => return Err(error),
                        _ => {}
                    }
                    conflicts = conflicts.saturating_add(1);
                    if conflicts >= MOST_CONFLICTS && self.is_behind(job, known).await {
                        return Err(FleetError::Fenced { job });
                    }
                    if wait >= LONGEST_WAIT && conflicts.is_multiple_of(8) {
                        log::warn!("{}: {reason}; it is tried again", what());
                    }
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Whether the leader itself has another last entry than `last`, or none.
    async fn is_behind(&self, job: Uuid, last: u64) -> bool {
        match self.jobs.get_last_raw_message_by_subject(&self.names.job(job)).await {
            Ok(message) => message.sequence != last,
            Err(error) => error.kind() == LastRawMessageErrorKind::NoMessageFound && last > 0,
        }
    }

    async fn send(
        &self,
        job: Uuid,
        entry: &Entry,
        bytes: bytes::Bytes,
        last: u64,
    ) -> Result<Sent, FleetError> {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
        if matches!(entry.what, What::Whole(_) | What::Removed) {
            headers.insert(async_nats::header::NATS_ROLLUP, "sub");
        }
        if entry.what == What::Removed {
            headers.insert("Nats-TTL", format!("{}s", REMOVED_TIME.as_secs()));
        }
        let subject = self.names.job(job);
        let acknowledged =
            async { self.jetstream.publish_with_headers(subject.clone(), headers, bytes).await?.await };
        let what = || format!("writing job {job}");
        Ok(match self.unless_refused(what, &subject, acknowledged).await? {
            Ok(ack) => Sent::Written(ack.sequence),
            Err(error) => Sent::of(&error),
        })
    }

    /// All jobs that there are, with the last entry of each.
    pub(super) async fn all_jobs(&self) -> Result<Vec<Uuid>, FleetError> {
        let failed = |error: &dyn std::fmt::Display| FleetError::server("reading the list of jobs", error);
        let config = pull::OrderedConfig {
            filter_subject: self.names.all_jobs(),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..pull::OrderedConfig::default()
        };
        let consumer = self.jobs.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut left = consumer.cached_info().num_pending;
        // Where the consumer had to be made anew, it goes on with all entries, and not only the last ones.
        let mut jobs = BTreeSet::new();
        let mut messages = consumer.messages().await.map_err(|error| failed(&error))?;
        while left > 0 {
            let Some(message) = messages.try_next().await.map_err(|error| failed(&error))? else { break };
            left = message.info().map_err(|error| failed(&error))?.pending;
            let Some(job) = self.names.job_of(&message.subject) else { continue };
            if matches!(Entry::decode(&message.payload), Ok(Entry { what: What::Removed, .. })) {
                jobs.remove(&job);
            } else {
                jobs.insert(job);
            }
        }
        Ok(jobs.into_iter().collect())
    }
}

fn add(job: Uuid, found: &mut Found, entry: Entry, at: Place) -> Result<(), FleetError> {
    let before = std::mem::replace(found, Found::UNREAD);
    *found = before.apply(entry, at).map_err(|source| FleetError::Format { job, source })?;
    Ok(())
}

impl Sent {
    fn of(error: &PublishError) -> Self {
        match (error.kind(), error_code(error)) {
            (PublishErrorKind::MaxPayloadExceeded, _) => Self::Refused(error.to_string()),
            (_, Some(code)) if is_full(code) => Self::Full(error.to_string()),
            (_, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)) => Self::Refused(error.to_string()),
            // A wrong sequence comes now and then for the only writer with the right one, too.
            _ => Self::Unknown(error.to_string()),
        }
    }
}

/// The number that JetStream gives an error.
pub(super) fn error_code(error: &PublishError) -> Option<ErrorCode> {
    use std::error::Error;
    let source = error.source()?.downcast_ref::<async_nats::jetstream::Error>()?;
    Some(source.error_code())
}

/// Whether an error says that there is no room: messages or bytes that a stream, an account or a disk may have.
pub(super) fn is_full(code: ErrorCode) -> bool {
    matches!(code.0, 10_002 | 10_023 | 10_047 | 10_077)
}

/// Settings of a consumer that everybody shares.
pub(super) fn shared(name: &str, filter: String, lease: Duration) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter,
        ack_policy: AckPolicy::Explicit,
        ack_wait: lease,
        // Each job that runs is one.
        max_ack_pending: -1,
        ..pull::Config::default()
    }
}
