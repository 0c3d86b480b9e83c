use std::collections::BTreeMap;

use toehold::CallKey;

use super::*;
use crate::store::{Effect, EffectError};

const EXTENSION: &str = "example";

fn effect(job: Uuid, number: u64, request: u8) -> Effect {
    Effect { key: CallKey { job, number }, request: [request; 32] }
}

fn put(store: &SqliteStore, key: &str, value: &[u8], effect: Option<Effect>) -> Result<u64, KvError> {
    wait(store, |done| store.kv_put(EXTENSION, key, value.to_vec(), effect, KvQuota::default(), done))
}

#[test]
fn a_call_that_comes_again_changes_nothing() {
    let folder = folder();
    let store = open(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    assert_eq!(put(&store, "a", b"1", Some(effect(job, 1, 7))).expect("it is put"), 1);
    assert_eq!(put(&store, "a", b"2", Some(effect(job, 2, 8))).expect("it is put"), 2);
    assert_eq!(put(&store, "a", b"1", Some(effect(job, 1, 7))).expect("it was put"), 1);
    let kept = store.reader().kv_get(EXTENSION, "a").expect("it can be read").expect("it is there");
    assert_eq!((kept.version, kept.value), (2, b"2".to_vec()));
    let error = put(&store, "a", b"3", Some(effect(job, 1, 9))).expect_err("the key was used for another");
    let KvError::KeyReused(reused) = &error else { panic!("{error}") };
    assert_eq!((reused.key.number, reused.before, reused.now), (1, [7; 32], [9; 32]));
    assert!(error.to_string().contains("0707") && error.to_string().contains("0909"), "{error}");
    let delete =
        |number| wait(&store, |done| store.kv_delete(EXTENSION, "a", Some(effect(job, number, 1)), done));
    assert!(delete(3).expect("it is deleted"));
    assert!(!delete(4).expect("there is none"));
    assert!(delete(3).expect("it was deleted"));
    let error = put(&store, "a", b"", Some(effect(id(9), 1, 1))).expect_err("no such job");
    assert!(matches!(error, KvError::Store(StoreError::NoSuchJob { .. })), "{error}");
}

#[test]
fn a_job_is_dispatched_once() {
    let folder = folder();
    let store = open(&folder);
    let parent = dispatch(&store, 1, JobState::Running);
    let child = |number: u128| (id(number), first(id(number), record("example:child", JobState::Queued)));
    let once = |number, changes: &[(Uuid, Change)]| {
        wait(&store, |done| store.change_once(effect(parent, number, 1), changes, b"2".to_vec(), done))
    };
    assert_eq!(store.reader().effect(effect(parent, 1, 1)).expect("it can be read"), None);
    let effected = once(1, &[child(2)]).expect("it is dispatched");
    assert_eq!((effected.reply.as_slice(), effected.repeated), (b"2".as_slice(), false));
    let effected = once(1, &[child(3)]).expect("it was dispatched");
    assert_eq!((effected.reply.as_slice(), effected.repeated), (b"2".as_slice(), true));
    // All of it or nothing: the second change is of no job.
    let error = once(2, &[child(4), (id(5), commit(b"a", None))]).expect_err("no such job");
    assert!(matches!(error, EffectError::Store(StoreError::NoSuchJob { .. })), "{error}");
    assert_eq!(store.reader().jobs().expect("it can be read"), [parent, id(2)]);
    assert_eq!(store.reader().effect(effect(parent, 1, 1)).expect("it can be read"), Some(b"2".to_vec()));
    assert_eq!(store.reader().effect(effect(parent, 2, 1)).expect("it can be read"), None);
    let reused = store.reader().effect(effect(parent, 1, 2)).expect_err("the key was used for another");
    assert!(matches!(reused, EffectError::KeyReused(_)), "{reused}");
}

#[test]
fn what_is_kept_has_a_quota() {
    let folder = folder();
    let store = open(&folder);
    let put = |key: &str, bytes: usize, quota| {
        wait(&store, |done| store.kv_put(EXTENSION, key, vec![0; bytes], None, quota, done))
    };
    let quota = KvQuota { bytes: 100, keys: 2 };
    put("a", 60, quota).expect("61 bytes");
    let error = put("b", 39, quota).expect_err("101 bytes");
    assert!(matches!(error, KvError::Quota { keys: 2, bytes: 101, max_bytes: 100, .. }), "{error}");
    put("b", 38, quota).expect("100 bytes");
    let error = put("c", 0, quota).expect_err("3 keys");
    assert!(matches!(error, KvError::Quota { keys: 3, max_keys: 2, .. }), "{error}");
    put("a", 10, quota).expect("less than it was");
    let usage = store.reader().kv_usage(EXTENSION).expect("it can be read");
    assert_eq!(usage, KvQuota { bytes: 50, keys: 2 });
    assert_eq!(store.reader().kv_usage("other").expect("it can be read"), KvQuota { bytes: 0, keys: 0 });
    // Under a quota that was lowered, what does not grow is still taken.
    let lowered = KvQuota { bytes: 10, keys: 1 };
    put("a", 9, lowered).expect("less than it was");
    put("a", 10, lowered).expect_err("more than it was");
}

/// What must be there.
#[derive(Default)]
struct Model {
    values: BTreeMap<String, (u64, Vec<u8>)>,
    /// Requests and what came of them, by the number of the call.
    effects: BTreeMap<u64, (u8, Done)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Done {
    Put(u64),
    Deleted(bool),
}

#[test]
fn effects_happen_once_whatever_comes_between() {
    let folder = folder();
    let mut store = open(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    let mut model = Model::default();
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut calls, mut newest_calls, mut sequence, mut repeated, mut reused) = (0, 0, 0, 0, 0);
    for step in 0..1_500_u64 {
        match random.below(20) {
            0 => {
                drop(store);
                store = open(&folder);
            }
            1 => {
                sequence += 1;
                change(&store, job, &commit(b"x", Some(checkpoint(job, sequence, calls, b""))))
                    .expect("room");
                newest_calls = calls;
            }
            2 => {
                // Behind the checkpoint that is the base now, calls are never made again.
                change(&store, job, &new_run(b"", None)).expect("room");
                for number in model.effects.keys().copied().filter(|number| *number <= newest_calls) {
                    // Whatever was asked then, it is not remembered.
                    assert_eq!(store.reader().effect(effect(job, number, 9)).expect("it can be read"), None);
                }
                model.effects.retain(|number, _| *number > newest_calls);
            }
            _ => {
                // A new call, or one that was made since the base.
                let number =
                    if random.below(3) == 0 { newest_calls + 1 + random.below(8) } else { calls + 1 };
                calls = calls.max(number);
                let (key, request) = (format!("key-{}", random.below(5)), random.below(3) as u8);
                let call = Some(effect(job, number, request));
                let before = model.effects.get(&number).cloned();
                repeated += u32::from(before.is_some());
                let deletes = request == 2;
                let found = if deletes {
                    wait(&store, |done| store.kv_delete(EXTENSION, &key, call, done)).map(Done::Deleted)
                } else {
                    put(&store, &key, &step.to_le_bytes(), call).map(Done::Put)
                };
                match before {
                    Some((known, done)) if known == request => assert_eq!(found.expect("it was done"), done),
                    Some(_) => {
                        reused += 1;
                        assert!(matches!(found, Err(KvError::KeyReused(_))), "{found:?}");
                    }
                    None => {
                        let done = if deletes {
                            Done::Deleted(model.values.remove(&key).is_some())
                        } else {
                            let value = model.values.entry(key).or_default();
                            *value = (value.0 + 1, step.to_le_bytes().to_vec());
                            Done::Put(value.0)
                        };
                        assert_eq!(found.expect("it is done"), done, "step {step}");
                        model.effects.insert(number, (request, done));
                    }
                }
            }
        }
        if step % 50 == 0 {
            compare(&store, &model);
        }
    }
    compare(&store, &model);
    assert!(
        repeated > 100 && reused > 20,
        "{repeated} calls came again, {reused} of them with another request"
    );
}

fn compare(store: &SqliteStore, model: &Model) {
    let listed = store.reader().kv_list(EXTENSION, "", None, 100).expect("it can be read");
    let keys: Vec<_> = listed.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, model.values.keys().cloned().collect::<Vec<_>>());
    for (key, (version, value)) in &model.values {
        let found = store.reader().kv_get(EXTENSION, key).expect("it can be read").expect("it is there");
        assert_eq!((found.version, &found.value), (*version, value));
    }
    let bytes = model.values.iter().map(|(key, (_, value))| key.len() + value.len()).sum::<usize>() as u64;
    let usage = store.reader().kv_usage(EXTENSION).expect("it can be read");
    assert_eq!(usage, KvQuota { bytes, keys: model.values.len() as u64 });
}

#[test]
fn keys_are_listed_in_order_by_prefix_and_page() {
    let folder = folder();
    let store = open(&folder);
    let keys = ["a", "a/1", "a/2", "a/2\u{10ffff}", "a/10", "a0", "b", "é", "", "a/\0", "%", "a_"];
    for key in keys {
        put(&store, key, key.as_bytes(), None).expect("there is room");
    }
    wait(&store, |done| store.kv_put("other", "a/3", vec![], None, KvQuota::default(), done)).expect("room");
    for prefix in ["", "a", "a/", "a/2", "b", "x", "%", "\u{e9}"] {
        let mut expected: Vec<_> = keys.iter().copied().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        for limit in [1, 2, 100] {
            let mut found: Vec<String> = Vec::new();
            loop {
                let after = found.last().map(String::as_str);
                let page = store.reader().kv_list(EXTENSION, prefix, after, limit).expect("it can be read");
                assert!(
                    page.len() <= limit && page.iter().all(|entry| entry.bytes == entry.key.len() as u64)
                );
                if page.is_empty() {
                    break;
                }
                found.extend(page.into_iter().map(|entry| entry.key));
            }
            assert_eq!(found, expected, "prefix {prefix:?}, {limit} at a time");
        }
    }
    assert_eq!(store.reader().kv_list(EXTENSION, "a/", Some("b"), 9).expect("it can be read"), []);
    let listed = store.reader().kv_list(EXTENSION, "b", Some("a"), 9).expect("it can be read");
    assert_eq!(listed.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["b"]);
}
