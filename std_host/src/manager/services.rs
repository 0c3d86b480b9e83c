//! The operations that only a job manager has, since they need its store or its jobs:
//!
//! | method | input | output |
//! | --- | --- | --- |
//! | `action:kv.put` | `{"key": "a/b", "value": any}` | `{"version": 1}`: how often the key was put |
//! | `query:kv.get` | `{"key": "a/b"}` | `{"value": any, "version": 1}`; null and 0 where there is none |
//! | `action:kv.delete` | `{"key": "a/b"}` | `{"deleted": true}` |
//! | `query:kv.list` | `{"prefix": "a/", "after": "a/b", "limit": 100}` | `{"keys": [{"key", "version", "bytes"}]}` |
//! | `action:sleep` | `{"ms": 1000}` | `{"slept_ms": 1000}` |
//! | `action:jobs.dispatch` | `{"job": "counter", "state": any, "priority": "normal"}` | `{"job_id": "…"}` |
//! | `query:job.attempt` | none | `{"attempt": 1}` |
//!
//! - Keys and values belong to the extension; they outlive its jobs. Each effect is carried out once for each call,
//!   whatever crashes. `action:kv.get` and `action:kv.list` are the same as the queries.
//! - A sleep holds no thread, and goes on through a restart. It takes the time that it was asked for at most, also where
//!   the clock was put back meanwhile.
//! - A job may dispatch jobs of its own extension. They are cancelled with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use toehold::{Call, Millis, Priority, Reply, Sleep, Uuid};

use super::{
    Dispatch, Inner,
    entry::{Entry, unix_now},
};
use crate::store::{Effect, KvEntry, KvError, KvKey, KvList, KvValue, StoreError};

/// Keys that a list has at most.
const LIST_LIMIT: usize = 1_000;
/// Bytes of a key.
const KEY_BYTES: usize = 512;
/// Sleeps shorter than this are not noted: after a crash such a one starts again.
const NOTED_SLEEP: u64 = 1_000;
/// How long until something is offered again to a store that could not take it.
const AGAIN_MS: Millis = 500;

/// How an operation was begun.
pub(super) enum Started {
    Ready(Reply),
    Pending,
    Asleep {
        until: Millis,
        ms: u64,
    },
    /// It is not one of these.
    NotOurs,
}

#[derive(Deserialize)]
struct Put<'a> {
    key: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct SleepFor {
    ms: u64,
}

#[derive(Deserialize)]
struct Child {
    job: String,
    #[serde(default)]
    state: Option<Value>,
    #[serde(default)]
    library: Option<Uuid>,
    #[serde(default)]
    priority: Option<String>,
}

#[derive(Serialize)]
struct Got<'a> {
    value: &'a RawValue,
    version: u64,
}

#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    version: u64,
    bytes: u64,
}

/// Begins an operation, if it is one of these. `reply_to` is called with its reply, unless that is ready at once.
pub(super) fn start(
    manager: &Arc<Inner>,
    entry: &Arc<Entry>,
    call: &Arc<Call>,
    now: Millis,
    reply_to: impl FnOnce(Reply) + Send + 'static,
) -> Started {
    let reply_to = Box::new(reply_to);
    let started = match call.method.as_str() {
        "action:kv.put" | "action:kv.delete" => change_kv(manager, entry, call, reply_to),
        "action:kv.get" | "query:kv.get" => get(manager, call, reply_to),
        "action:kv.list" | "query:kv.list" => list(manager, call, reply_to),
        "action:sleep" => sleep(manager, entry, call, now),
        "query:job.attempt" => {
            let attempt = entry.lock().record.attempt;
            Ok(Started::ready(serde_json::json!({ "attempt": attempt })))
        }
        "action:jobs.dispatch" => dispatch(manager, call, reply_to),
        _ => Ok(Started::NotOurs),
    };
    started.unwrap_or_else(|error| Started::Ready(Err(format!("{}: {error}", call.method))))
}

impl Started {
    fn ready(value: Value) -> Self {
        Self::Ready(Ok(value.to_string().into_bytes()))
    }
}

type ReplyTo = Box<dyn FnOnce(Reply) + Send>;

/// Puts or deletes, once for each call.
fn change_kv(
    manager: &Arc<Inner>,
    entry: &Arc<Entry>,
    call: &Arc<Call>,
    reply_to: ReplyTo,
) -> Result<Started, String> {
    if call.method == "action:kv.put" {
        check_key(&input::<Put<'_>>(call)?.key)?;
    } else {
        check_key(&input::<Key>(call)?.key)?;
    }
    offer_kv(manager.clone(), entry.clone(), call.clone(), reply_to);
    Ok(Started::Pending)
}

/// Gives a change to the store, again and again while that has no room.
fn offer_kv(manager: Arc<Inner>, entry: Arc<Entry>, call: Arc<Call>, reply_to: ReplyTo) {
    let weak = Arc::downgrade(&manager);
    let again = (entry, call.clone());
    let done = move |result: Result<Value, KvError>| {
        let (entry, call) = again;
        let Some(manager) = weak.upgrade() else { return };
        match result {
            Err(KvError::Store(
                error @ (StoreError::Full { .. } | StoreError::Sqlite { .. } | StoreError::Remote { .. }),
            )) => {
                manager.stuck(&entry, Some(error.to_string()));
                let later = manager.clone();
                manager.after(AGAIN_MS, move || offer_kv(later, entry, call, reply_to));
            }
            // Nobody waits for its reply any more.
            Err(KvError::Store(StoreError::Lost { .. })) => {}
            result => {
                manager.stuck(&entry, None);
                let value = result.map(|value| value.to_string().into_bytes());
                reply_to(value.map_err(|error| format!("{}: {error}", call.method)));
            }
        }
    };
    let request: [u8; 32] = Sha256::new()
        .chain_update(&call.method)
        .chain_update([0])
        .chain_update(&call.payload)
        .finalize()
        .into();
    let effect = Effect { key: call.key, request };
    // Both were decoded before.
    match input::<Put<'_>>(&call) {
        Ok(put) if call.method == "action:kv.put" => {
            let value = put.value.get().as_bytes().to_vec();
            let done = move |result: Result<u64, KvError>| {
                done(result.map(|version| serde_json::json!({ "version": version })));
            };
            manager.jobs_at.kv_put(of_call(&call, &put.key), value, effect, manager.kv_quota, Box::new(done));
        }
        _ => {
            let key = input::<Key>(&call).map(|input| input.key).unwrap_or_default();
            let done = move |result: Result<bool, KvError>| {
                done(result.map(|deleted| serde_json::json!({ "deleted": deleted })));
            };
            manager.jobs_at.kv_delete(of_call(&call, &key), effect, Box::new(done));
        }
    }
}

fn get(manager: &Inner, call: &Arc<Call>, reply_to: ReplyTo) -> Result<Started, String> {
    let Key { key } = input(call)?;
    check_key(&key)?;
    let (method, of) = (call.method.clone(), of_call(call, &key));
    let done = move |found: Result<Option<KvValue>, StoreError>| {
        let found = found.map_err(|error| error.to_string());
        let json = found.and_then(|found| found.map_or(Ok(NO_VALUE.to_vec()), |found| got(&key, found)));
        reply_to(json.map_err(|error| format!("{method}: {error}")));
    };
    manager.jobs_at.kv_get(of, Box::new(done));
    Ok(Started::Pending)
}

const NO_VALUE: &[u8] = br#"{"value":null,"version":0}"#;

fn got(key: &str, found: KvValue) -> Result<Vec<u8>, String> {
    let version = found.version;
    // As it was put, whatever numbers it has and however deep it is.
    let value = String::from_utf8(found.value).ok().and_then(|text| RawValue::from_string(text).ok());
    let value = value.ok_or_else(|| format!("the value of {key:?} in the store is no JSON"))?;
    serde_json::to_vec(&Got { value: &value, version }).map_err(|error| error.to_string())
}

fn list(manager: &Inner, call: &Arc<Call>, reply_to: ReplyTo) -> Result<Started, String> {
    let List { prefix, after, limit } = input(call)?;
    let limit = limit.unwrap_or(LIST_LIMIT).min(LIST_LIMIT);
    let method = call.method.clone();
    let done = move |found: Result<Vec<KvEntry>, StoreError>| {
        let reply = found.map(|found| {
            let keys: Vec<Listed<'_>> = found
                .iter()
                .map(|one| Listed { key: &one.key, version: one.version, bytes: one.bytes })
                .collect();
            serde_json::json!({ "keys": keys }).to_string().into_bytes()
        });
        reply_to(reply.map_err(|error| format!("{method}: {error}")));
    };
    let of = KvList { extension: call.extension.clone(), prefix, after, limit };
    manager.jobs_at.kv_list(of, Box::new(done));
    Ok(Started::Pending)
}

fn of_call(call: &Call, key: &str) -> KvKey {
    KvKey { extension: call.extension.clone(), key: key.to_owned() }
}

fn sleep(manager: &Inner, entry: &Arc<Entry>, call: &Call, now: Millis) -> Result<Started, String> {
    let SleepFor { ms } = input(call)?;
    let clock = unix_now();
    let mut job = entry.lock();
    let left = match job.record.sleep {
        // It was asleep when the host went down.
        Some(sleep) if sleep.call == call.key.number => sleep.until.saturating_sub(clock).min(sleep.ms),
        _ => {
            if ms >= NOTED_SLEEP {
                job.record.sleep = Some(Sleep { call: call.key.number, ms, until: clock.saturating_add(ms) });
                manager.write(entry.id, &mut job);
            }
            ms
        }
    };
    Ok(Started::Asleep { until: now.saturating_add(left), ms })
}

fn dispatch(manager: &Arc<Inner>, call: &Arc<Call>, reply_to: ReplyTo) -> Result<Started, String> {
    let Child { job, state, library, priority } = input(call)?;
    let job = if job.contains(':') { job } else { format!("{}:{job}", call.extension) };
    if job.split_once(':').is_none_or(|(extension, _)| extension != call.extension) {
        return Err(format!(
            "{job} is no job of {}; a job may dispatch those of its own extension",
            call.extension
        ));
    }
    let priority = match priority {
        None => Priority::default(),
        Some(name) => Priority::from_name(&name)
            .ok_or_else(|| format!("{name:?} is no priority; they are low, normal and high"))?,
    };
    let state = state.map_or_else(Vec::new, |state| state.to_string().into_bytes());
    // The same call always means the same job, so to do it again does nothing.
    let id = Uuid::new_v5(&call.key.job, &call.key.number.to_le_bytes());
    let dispatch =
        Dispatch { id: Some(id), library, state, priority, attempts: None, parent: Some(call.key.job) };
    let (later, method) = (manager.clone(), call.method.clone());
    manager.spawn_blocking(move || {
        let dispatched = later.dispatch_child(&job, dispatch);
        reply_to(match dispatched {
            Ok(id) => Ok(serde_json::json!({ "job_id": id }).to_string().into_bytes()),
            Err(error) => Err(format!("{method}: {error}")),
        });
    });
    Ok(Started::Pending)
}

fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(format!("the key has {} bytes; it must have 1 to {KEY_BYTES}", key.len()));
    }
    Ok(())
}

fn input<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, String> {
    serde_json::from_slice(&call.payload).map_err(|error| {
        let shown: String = String::from_utf8_lossy(&call.payload).chars().take(80).collect();
        format!("the input can't be read: {error}; found `{shown}`")
    })
}
