//! Jobs that go on with another module of their extension.

use toehold::{Checkpoint, Extension, Limits, Manifest, Outcome, Registry, UpgradeError};

use crate::guests::*;

/// An extension whose job completes with as many items as the first byte of its state says.
fn version(state_version: u32, extra: &str) -> Extension {
    let job =
        job_body("(call $items (i32.const 64) (i64.extend_i32_u (i32.load8_u (local.get 2)))) (i32.const 0)");
    let module = wat::parse_str(format!("(module {PRELUDE} {job} {extra})")).unwrap();
    let manifest = format!(
        r#"{{"id": "guest", "name": "Guest", "version": "{state_version}.0.0", "description": "", "author": "",
            "wasm_file": "guest.wasm", "state_version": {state_version}}}"#
    );
    let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
    Extension::load(manifest, &module, &Limits::default()).unwrap()
}

/// A migration that adds one to each older version's first byte, from version 1 only.
const MIGRATE: &str = r#"(func (export "migrate_go") (param $from i32) (param $ptr i32) (param $len i32) (result i32)
    (if (i32.ne (local.get $from) (i32.const 1)) (then (return (i32.const 0))))
    (i32.store (i32.const 2000) (i32.const 1))
    (i32.store8 (i32.const 2004) (i32.add (i32.load8_u (local.get $ptr)) (i32.const 1)))
    (i32.const 2000))"#;

fn checkpoint(extension: &Extension, state: &[u8]) -> Checkpoint {
    extension.first_checkpoint("go", &with_state(state)).unwrap()
}

fn items(extension: &Extension, checkpoint: &Checkpoint) -> u64 {
    let mut job = extension.resume(&Registry::default(), checkpoint).unwrap();
    assert_eq!(finish(&mut job), Outcome::Completed);
    job.context().report().items
}

#[test]
fn a_state_of_the_same_version_is_taken_as_it_is() {
    let (old, new) = (version(3, ""), version(3, "(global i32 (i32.const 0))"));
    assert_ne!(old.module().hash, new.module().hash);
    let upgraded = new.upgrade(&checkpoint(&old, b"\x05")).unwrap();
    assert_eq!((upgraded.sequence, upgraded.module_hash), (0, new.module().hash), "it has not run yet");
    let later = Checkpoint { sequence: 4, ..checkpoint(&old, b"\x05") };
    assert_eq!(new.upgrade(&later).unwrap().sequence, 5);
    assert_eq!(items(&new, &upgraded), 5);
    assert_eq!(new.upgrade(&upgraded).unwrap(), upgraded, "it is of this module already");
}

#[test]
fn an_older_state_is_migrated() {
    let (old, new) = (version(1, ""), version(2, MIGRATE));
    let upgraded = new.upgrade(&checkpoint(&old, b"\x05")).unwrap();
    assert_eq!((upgraded.state_version, upgraded.extension_version.as_str()), (2, "2.0.0"));
    assert_eq!(items(&new, &upgraded), 6);
    assert_eq!(new.upgrade(&checkpoint(&old, b"")).unwrap().state, b"", "the default needs no migration");
}

#[test]
fn what_can_not_be_upgraded_says_why() {
    let refused = |old: &Extension, new: &Extension| new.upgrade(&checkpoint(old, b"\x05")).unwrap_err();
    let of = |fault: UpgradeError| fault.to_string();
    assert_eq!(refused(&version(0, ""), &version(1, MIGRATE)), UpgradeError::NoVersion);
    assert_eq!(
        refused(&version(1, ""), &version(2, "(global i32 (i32.const 0))")),
        UpgradeError::NoMigration { from: 1, to: 2 }
    );
    assert_eq!(refused(&version(3, ""), &version(2, MIGRATE)), UpgradeError::Refused { from: 3, to: 2 });
    let outside = MIGRATE.replace("    (i32.const 2000))", "    (i32.const 65534))");
    let error = of(refused(&version(1, ""), &version(2, &outside)));
    assert!(error.contains("lies outside of the guest's memory"), "{error}");
    let trap = MIGRATE.replace("(i32.store (i32.const 2000) (i32.const 1))", "(unreachable)");
    let error = of(refused(&version(1, ""), &version(2, &trap)));
    assert!(error.contains("migrate_go: trap"), "{error}");
    let endless = MIGRATE.replace("(i32.store (i32.const 2000) (i32.const 1))", "(loop (br 0))");
    let error = of(refused(&version(1, ""), &version(2, &endless)));
    assert!(error.contains("migrate_go: used up its fuel"), "{error}");
    let calls = MIGRATE
        .replace("(i32.store (i32.const 2000) (i32.const 1))", "(drop (call $interrupt (i32.const 64)))");
    let error = of(refused(&version(1, ""), &version(2, &calls)));
    assert!(error.contains("must not be called in a migration"), "{error}");
    let mut foreign = checkpoint(&version(1, ""), b"");
    foreign.extension = "other".to_owned();
    assert!(
        of(version(1, MIGRATE).upgrade(&foreign).unwrap_err()).contains("of extension other, not of guest")
    );
}
