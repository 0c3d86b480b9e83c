//! What the export of a migration does around the author's function, seen on the fake host.

use serde::{Deserialize, Serialize};
use toehold_sdk::testing::{FakeHost, LogLine, Migrated};
use toehold_sdk::{LogLevel, Result, log};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Photos {
    folders: Vec<String>,
}

/// Versions 1 and 2 knew one folder, under two names.
fn from_older(version: u32, old: &[u8]) -> Result<Photos> {
    #[derive(Deserialize)]
    struct Old {
        #[serde(alias = "path")]
        folder: String,
    }
    if !(1..=2).contains(&version) {
        Err("there was no such version")?;
    }
    let old: Old = serde_json::from_slice(old)?;
    log(LogLevel::Info, format_args!("one folder: {}", old.folder));
    Ok(Photos { folders: vec![old.folder] })
}

fn migrate(from: u32, version: u32, old: &str) -> Migrated<Photos> {
    FakeHost::new().migrate(from_older, from, version, old.as_bytes())
}

fn error(migrated: &Migrated<Photos>) -> &str {
    assert_eq!((&migrated.state, &migrated.bytes), (&None, &None));
    match migrated.logs.as_slice() {
        [LogLine { level: LogLevel::Error, text }] => text,
        other => panic!("expected one error, found {other:?}"),
    }
}

#[test]
fn an_older_state_becomes_one_of_today() {
    for (from, old) in [(1, r#"{"path":"a"}"#), (2, r#"{"folder":"a"}"#)] {
        let migrated = migrate(from, 3, old);
        assert_eq!(migrated.bytes.as_deref(), Some(br#"{"folders":["a"]}"#.as_slice()));
        assert_eq!(migrated.state, Some(Photos { folders: vec!["a".into()] }));
        assert_eq!(migrated.logs, [LogLine { level: LogLevel::Info, text: "one folder: a".into() }]);
    }
}

#[test]
fn a_state_that_is_not_older_is_refused_before_the_author_sees_it() {
    for from in [3, 4, u32::MAX] {
        let migrated = migrate(from, 3, r#"{"folder":"a"}"#);
        let expected = format!(
            "a state of version {from} can't be migrated to version 3: only older states can be; \
             `state_version` in the manifest must be the `version` of #[job]"
        );
        assert_eq!(error(&migrated), expected);
    }
    assert_eq!(migrate(3, 3, "").bytes, None);
}

#[test]
fn what_the_author_refuses_is_logged() {
    assert_eq!(
        error(&migrate(0, 3, "{}")),
        "a state of version 0 can't be migrated to version 3: there was no such version"
    );
    assert_eq!(
        error(&migrate(1, 3, "{}")),
        "a state of version 1 can't be migrated to version 3: missing field `folder` at line 1 column 2"
    );
}

#[test]
fn a_state_that_cannot_be_written_is_refused() {
    #[derive(Default, Serialize, Deserialize)]
    struct Unwritable(std::collections::BTreeMap<Vec<u8>, u8>);
    let migration = |_, _: &[u8]| Ok(Unwritable([(vec![1], 2)].into()));
    let migrated = FakeHost::new().migrate(migration, 1, 2, b"{}");
    assert!(migrated.state.is_none() && migrated.bytes.is_none());
    assert_eq!(
        migrated.logs[0].text,
        "a state of version 1 can't be migrated to version 2: \
         the state can't be written as JSON: key must be a string"
    );
}

#[test]
fn no_state_is_the_default_state_in_every_version() {
    let migrated = migrate(1, 3, "");
    assert_eq!((migrated.bytes, migrated.state), (Some(Vec::new()), Some(Photos::default())));
    assert!(migrated.logs.is_empty());
}

#[test]
#[should_panic(expected = "what was migrated is no state of the job")]
fn a_state_that_the_job_could_not_read_fails_the_test() {
    #[derive(Default, Serialize, Deserialize)]
    struct OneWay {
        #[serde(rename(serialize = "new"))]
        old: u8,
    }
    FakeHost::new().migrate(|_, _| Ok(OneWay::default()), 1, 2, b"{}");
}
