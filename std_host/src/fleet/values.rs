//! Keys and values that extensions keep, in the stream `VALUES`: the last message of a subject is the key's value.
//!
//! Each put is a compare-and-set on the message before it. With the value go the calls that made it what it is, so that a call
//! that comes again changes nothing and gets the reply of then, and one that comes late, from a worker whose job has gone on
//! elsewhere, is refused.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::{DeliverPolicy, pull},
        stream::LastRawMessageErrorKind,
    },
};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use toehold::{CallKey, UnixMillis, Uuid};

use super::{
    FleetError,
    connect::Link,
    log::{error_code, is_full},
    names::key_of,
};
use crate::{
    manager::unix_now,
    store::{Effect, KeyReused, KvEntry, KvError, KvKey, KvList, KvValue, StoreError},
};

/// Calls that are remembered with a key in any case, and for how long those beyond them are.
const CALLS: usize = 64;
const CALLS_AGE_MS: u64 = 3_600_000;
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What is stored of a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// 0 where it is deleted.
    version: u64,
    value: Vec<u8>,
    /// Of each job its last call, the newest first.
    calls: Vec<Called>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Called {
    job: Uuid,
    /// When the job was dispatched: one with the same id may be dispatched once this one is removed.
    born: UnixMillis,
    number: u64,
    request: [u8; 32],
    /// The version that it made; of a delete, 1 if there was a key.
    reply: u64,
    at: UnixMillis,
}

impl Stored {
    /// What a call got that came before.
    fn known(&self, effect: Effect, born: UnixMillis) -> Result<Option<u64>, KvError> {
        let CallKey { job, number } = effect.key;
        match self.calls.iter().find(|call| call.job == job) {
            Some(call) if call.born < born => Ok(None),
            Some(call) if call.born > born => Err(StoreError::Lost { job }.into()),
            Some(call) if call.number == number && call.request == effect.request => Ok(Some(call.reply)),
            Some(call) if call.number == number => {
                Err(KeyReused { key: effect.key, before: call.request, now: effect.request }.into())
            }
            // Its job has gone on, elsewhere.
            Some(call) if call.number > number => Err(StoreError::Lost { job }.into()),
            _ => Ok(None),
        }
    }

    fn note(&mut self, effect: Effect, born: UnixMillis, reply: u64) {
        let CallKey { job, number } = effect.key;
        let now = unix_now();
        let mut index = 0_usize;
        self.calls.retain(|call| {
            index = index.saturating_add(1);
            let is_young = now.saturating_sub(call.at) < CALLS_AGE_MS;
            call.job != job && (index < CALLS || is_young)
        });
        self.calls.insert(0, Called { job, born, number, request: effect.request, reply, at: now });
    }
}

impl Link {
    /// Puts a value, once for each call. Gives the key's new version.
    pub(super) async fn put_value(
        &self,
        of: &KvKey,
        value: &[u8],
        effect: Effect,
        born: UnixMillis,
    ) -> Result<u64, KvError> {
        self.change_value(of, effect, born, |stored| {
            stored.version = stored.version.saturating_add(1);
            stored.value = value.to_vec();
            Some(stored.version)
        })
        .await
        .map(Option::unwrap_or_default)
    }

    /// Deletes a key, once for each call. Says whether it was there.
    pub(super) async fn delete_value(
        &self,
        of: &KvKey,
        effect: Effect,
        born: UnixMillis,
    ) -> Result<bool, KvError> {
        let deleted = self.change_value(of, effect, born, |stored| {
            let there = stored.version > 0;
            (stored.version, stored.value) = (0, Vec::new());
            there.then_some(1)
        });
        Ok(deleted.await?.is_some())
    }

    /// Changes a key, unless the call came before. `change` gives the reply, or nothing where nothing is to be changed.
    async fn change_value(
        &self,
        of: &KvKey,
        effect: Effect,
        born: UnixMillis,
        change: impl Fn(&mut Stored) -> Option<u64>,
    ) -> Result<Option<u64>, KvError> {
        let subject = self.names.value(&of.extension, &of.key);
        let mut wait = FIRST_WAIT;
        loop {
            let (last, mut stored) = self.stored(&subject).await.map_err(StoreError::from)?;
            if let Some(reply) = stored.known(effect, born)? {
                return Ok(Some(reply));
            }
            let Some(reply) = change(&mut stored) else { return Ok(None) };
            stored.note(effect, born, reply);
            let bytes = postcard::to_allocvec(&stored).map_err(|error| remote(&error.to_string(), false))?;
            if bytes.len() > self.longest {
                let text = format!(
                    "a value in a fleet may have {} bytes, this one has {}",
                    self.longest,
                    stored.value.len()
                );
                return Err(remote(&text, false).into());
            }
            let mut headers = HeaderMap::new();
            headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
            let sent = async {
                self.jetstream.publish_with_headers(subject.clone(), headers, bytes.into()).await?.await
            };
            let what = || format!("changing key {:?} of {}", of.key, of.extension);
            match self.unless_refused(what, &subject, sent).await.map_err(StoreError::from)? {
                Ok(_) => return Ok(Some(reply)),
                Err(error) if error_code(&error).is_some_and(is_full) => {
                    return Err(remote(&error.to_string(), true).into());
                }
                // Somebody else has put it; or it is there, which the next look tells.
                Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// A key's value, if there is one.
    pub(super) async fn value(&self, of: &KvKey) -> Result<Option<KvValue>, FleetError> {
        let (_, stored) = self.stored(&self.names.value(&of.extension, &of.key)).await?;
        let Stored { version, value, .. } = stored;
        Ok((version > 0).then_some(KvValue { version, value }))
    }

    /// As the leader has it, so that who has put it sees it.
    async fn stored(&self, subject: &str) -> Result<(u64, Stored), FleetError> {
        match self.values.get_last_raw_message_by_subject(subject).await {
            Ok(message) => {
                let stored = postcard::from_bytes(&message.payload);
                Ok((message.sequence, stored.map_err(|error| FleetError::server("reading a key", error))?))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok((0, Stored::default()))
            }
            Err(error) => Err(FleetError::server("reading a key", error)),
        }
    }

    /// An extension's keys.
    pub(super) async fn list_values(&self, list: &KvList) -> Result<Vec<KvEntry>, FleetError> {
        let failed = |error: &dyn std::fmt::Display| FleetError::server("reading the list of keys", error);
        let config = pull::OrderedConfig {
            filter_subject: self.names.values(&list.extension),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..pull::OrderedConfig::default()
        };
        let consumer = self.values.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut left = consumer.cached_info().num_pending;
        let mut messages = consumer.messages().await.map_err(|error| failed(&error))?;
        // Where the consumer had to be made anew, it goes on with all versions, and not only the last ones.
        let mut entries = BTreeMap::new();
        while left > 0 {
            let Some(message) = messages.try_next().await.map_err(|error| failed(&error))? else { break };
            left = message.info().map_err(|error| failed(&error))?.pending;
            let Some(key) = key_of(&message.subject) else { continue };
            let is_wanted =
                key.starts_with(&list.prefix) && list.after.as_ref().is_none_or(|after| key > *after);
            let Ok(stored) = postcard::from_bytes::<Stored>(&message.payload) else { continue };
            if is_wanted && stored.version > 0 {
                entries.insert(key, (stored.version, stored.value.len() as u64));
            } else {
                entries.remove(&key);
            }
        }
        let listed = entries.into_iter().take(list.limit);
        Ok(listed.map(|(key, (version, bytes))| KvEntry { key, version, bytes }).collect())
    }
}

fn remote(text: &str, full: bool) -> StoreError {
    StoreError::Remote { source: text.into(), full }
}

impl From<FleetError> for StoreError {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Fenced { job } => Self::Lost { job },
            FleetError::Exists { job } => Self::Exists { job },
            FleetError::Unknown { job } => Self::NoSuchJob { job },
            error => Self::Remote { full: matches!(error, FleetError::Full { .. }), source: Box::new(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(job: u128, number: u64, request: u8) -> Effect {
        Effect { key: CallKey { job: Uuid::from_u128(job), number }, request: [request; 32] }
    }

    #[test]
    fn a_call_that_comes_again_is_known_and_a_late_one_refused() {
        let mut stored = Stored::default();
        assert_eq!(stored.known(effect(1, 5, 0), 7).unwrap(), None);
        stored.note(effect(1, 5, 0), 7, 9);
        assert_eq!(stored.known(effect(1, 5, 0), 7).unwrap(), Some(9));
        assert!(matches!(stored.known(effect(1, 5, 1), 7), Err(KvError::KeyReused(_))));
        assert!(matches!(stored.known(effect(1, 4, 0), 7), Err(KvError::Store(StoreError::Lost { .. }))));
        assert_eq!(stored.known(effect(1, 6, 0), 7).unwrap(), None);
        assert_eq!(stored.known(effect(2, 5, 0), 7).unwrap(), None);
        // Another job with the id of one that was removed.
        assert_eq!(stored.known(effect(1, 1, 0), 8).unwrap(), None);
        assert!(matches!(stored.known(effect(1, 6, 0), 6), Err(KvError::Store(StoreError::Lost { .. }))));
    }

    #[test]
    fn old_calls_of_many_jobs_are_forgotten() {
        let mut stored = Stored::default();
        for job in 0..100 {
            stored.note(effect(job, 1, 0), 7, 1);
        }
        assert_eq!(stored.calls.len(), 100);
        stored.calls.iter_mut().for_each(|call| call.at = 0);
        stored.note(effect(200, 1, 0), 7, 1);
        assert_eq!(stored.calls.len(), CALLS);
        assert_eq!(stored.calls.first().map(|call| call.job), Some(Uuid::from_u128(200)));
    }
}
