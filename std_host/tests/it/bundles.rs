//! Jobs that are carried elsewhere, replayed at a desk, or moved to another version of their extension.

use serde_json::json;
use std_host::manager::{
    Dispatch, EventKind, ImportError, ImportOptions, JobHandle, Manager, ManagerConfig, ReplayEnd, replay,
};
use toehold::{Bundle, FormatError, JobRecord, JobState, Limits, Outcome, Replayed, Uuid};

use crate::{
    jobs::{Data, block_on, dispatch, kv, wait_for_items},
    support::{Folder, manifest},
};

/// A job that was paused on its way, and its bundle.
fn half_way(data: &Data, job: &str, state: &serde_json::Value, items: u64) -> (JobHandle, Manager) {
    let manager = data.open();
    let job = dispatch(&manager, job, state);
    wait_for_items(&job, items);
    block_on(job.pause()).unwrap();
    let status = block_on(job.wait_until_stopped());
    assert_eq!(status.state, JobState::Paused, "{status:?}");
    (job, manager)
}

#[test]
fn a_job_goes_on_on_another_host() {
    let (here, there) = (Data::new(), tempfile::tempdir().unwrap());
    let (job, manager) = half_way(&here, "tally", &json!({ "target": 300 }), 20);
    let done = job.status().report.items;
    let bundle = Bundle::decode(&manager.export(job.id(), true).unwrap().encode()).unwrap();

    let manager = Manager::open(ManagerConfig { workers: 1, ..ManagerConfig::new(there.path()) }).unwrap();
    let imported = block_on(manager.import(&bundle, ImportOptions::default())).unwrap();
    assert_eq!(imported.status().state, JobState::Paused, "it was paused there");
    assert_eq!(imported.status().report.items, done);
    let error = block_on(manager.import(&bundle, ImportOptions::default())).unwrap_err();
    assert!(matches!(error, ImportError::Exists(id) if id == job.id()), "{error}");
    block_on(imported.resume()).unwrap();
    let status = block_on(imported.wait());
    assert_eq!((status.state, status.report.items), (JobState::Completed, 300), "{status:?}");
    // What it had put before stands at the other host, the rest here; nothing twice.
    let puts = kv(&manager, "tally/");
    assert!(puts.iter().all(|(_, version, _)| *version == 1));
    assert_eq!(puts.len() as u64, 300 - done);
}

#[test]
fn a_bundle_without_its_module_needs_the_extension() {
    let (here, there) = (Data::new(), tempfile::tempdir().unwrap());
    let (job, manager) = half_way(&here, "tally", &json!({ "target": 3_000 }), 20);
    let bundle = manager.export(job.id(), false).unwrap();
    let other = Manager::open(ManagerConfig::new(there.path())).unwrap();
    let error = block_on(other.import(&bundle, ImportOptions::default())).unwrap_err();
    assert!(matches!(error, ImportError::NoModule { .. }), "{error}");
    assert!(other.job(job.id()).is_err());
    other.add_extension(&crate::support::root().join("test-extension")).unwrap();
    let imported = block_on(other.import(&bundle, ImportOptions { paused: true })).unwrap();
    assert_eq!(imported.status().state, JobState::Paused);
    assert!(matches!(
        replay(&bundle, None, &Limits::default()),
        Err(std_host::manager::ReplayError::NoModule { .. })
    ));
}

#[test]
fn a_replay_comes_to_the_same_bytes_step_by_step() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "draw", &json!({}));
    let status = block_on(job.wait());
    assert_eq!(status.state, JobState::Completed);
    let bundle = manager.export(job.id(), true).unwrap();
    let replayed = replay(&bundle, None, &Limits::default()).unwrap();
    assert!(replayed.same_bytes);
    assert_eq!(replayed.end, ReplayEnd::Outcome(Outcome::Completed));
    assert_eq!((replayed.fuel_used, &replayed.report), (status.fuel_used, &status.report));
    let calls: Vec<&str> = replayed
        .steps
        .iter()
        .filter_map(|step| match step {
            Replayed::Call { call, .. } => Some(call.method.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(calls[..2], ["query:random.bytes", "query:time.now"]);
    assert_eq!(calls[2..], ["action:kv.put"; 20]);
    let payload = replayed.steps.iter().find_map(|step| match step {
        Replayed::Call { call, payload, .. } if call.number == 3 => Some(payload.clone()),
        _ => None,
    });
    let put: serde_json::Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    assert_eq!(put["value"], kv(&manager, "draw/").iter().find(|(key, ..)| key.ends_with("/0")).unwrap().2);
}

#[test]
fn a_job_that_failed_elsewhere_fails_at_the_desk() {
    let data = Data::new();
    let manager = data.open();
    let job = dispatch(&manager, "flaky", &json!({ "fail_times": 9 }));
    assert_eq!(block_on(job.wait()).state, JobState::Failed);
    let bundle = manager.export(job.id(), true).unwrap();
    let replayed = replay(&bundle, None, &Limits::default()).unwrap();
    let ReplayEnd::Outcome(Outcome::Failed(failure)) = &replayed.end else { panic!("{:?}", replayed.end) };
    assert_eq!(Some(failure.to_string()), job.status().reason);
}

#[test]
fn a_bad_bundle_is_refused_and_leaves_nothing() {
    let data = Data::new();
    let (job, manager) = half_way(&data, "tally", &json!({ "target": 3_000 }), 20);
    let good = manager.export(job.id(), false).unwrap();
    let bytes = good.encode();
    for cut in [0, 3, 4, bytes.len() / 2, bytes.len() - 1] {
        assert!(Bundle::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut newer = bytes.clone();
    newer[3] += 1;
    assert!(matches!(Bundle::decode(&newer), Err(FormatError::Newer { what: "bundle", .. })));
    assert!(matches!(Bundle::decode(&good.newest), Err(FormatError::Foreign { expected: "bundle" })));
    let mixed = Bundle { job_id: Uuid::nil(), ..good.clone() };
    assert!(Bundle::decode(&mixed.encode()).is_err(), "its checkpoints are another job's");
    let torn = Bundle { journal: good.journal[..good.journal.len() - 1].to_vec(), ..good };
    assert!(torn.journal.len() > 10 && Bundle::decode(&torn.encode()).is_err());
}

/// A module whose job `go` asks whether to stop for ever, until its state starts with `stop`.
fn waiting(stop: u8, extra: &str) -> Vec<u8> {
    waiting_after(1, stop, extra)
}

/// As [`waiting`], after so many rounds in which it asks nothing.
fn waiting_after(rounds: u32, stop: u8, extra: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
            (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
            (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\07")
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (local $rounds i32)
                (if (i32.and (i32.ne (local.get 3) (i32.const 0))
                             (i32.eq (i32.load8_u (local.get 2)) (i32.const {stop}))) (then (return (i32.const 0))))
                (local.set $rounds (i32.const {rounds}))
                (loop (br_if 0 (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
                (loop (br_if 0 (i32.eqz (call $interrupt (i32.const 64)))))
                (i32.store8 (i32.const 100) (i32.const 1))
                (drop (call $checkpoint (i32.const 64) (i32.const 100) (i32.const 1)))
                (i32.const 1)) {extra})"#
    );
    wat::parse_str(text).unwrap()
}

const MIGRATE: &str = r#"(func (export "migrate_go") (param i32 i32 i32) (result i32)
    (i32.store (i32.const 200) (i32.const 1))
    (i32.store8 (i32.const 204) (i32.add (i32.load8_u (local.get 1)) (i32.const 1)))
    (i32.const 200))"#;

fn waiting_extension(folder: &Folder, state_version: u32, module: &[u8]) -> std::path::PathBuf {
    let manifest = manifest("waiting").replacen('{', &format!("{{\"state_version\": {state_version}, "), 1);
    folder.add_files("waiting", &manifest, module)
}

/// Runs a job of `old`, replaces the extension by `new` while it runs, and gives the job.
fn replaced(old: (u32, Vec<u8>), new: (u32, Vec<u8>)) -> (Manager, JobHandle, tempfile::TempDir) {
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    let manager = Manager::open(ManagerConfig { workers: 1, ..ManagerConfig::new(data.path()) }).unwrap();
    manager.add_extension(&waiting_extension(&folder, old.0, &old.1)).unwrap();
    let id = Some(Uuid::from_u128(7));
    let job = block_on(manager.dispatch("waiting:go", Dispatch { id, ..Dispatch::default() })).unwrap();
    while job.status().fuel_used < 1_000 {
        std::thread::yield_now();
    }
    manager.add_extension(&waiting_extension(&folder, new.0, &new.1)).unwrap();
    (manager, job, data)
}

#[test]
fn a_running_job_goes_on_on_a_new_version_with_the_same_state() {
    let (_manager, job, _data) = replaced((3, waiting(99, "")), (3, waiting(1, "")));
    let status = block_on(job.wait());
    assert_eq!(status.state, JobState::Completed, "{status:?}");
    let mut events = block_on(job.events(0)).unwrap();
    let mut upgraded = false;
    while let Some(event) = block_on(events.next()).unwrap() {
        upgraded |= matches!(event.kind, EventKind::Upgraded { .. });
    }
    assert!(upgraded);
}

#[test]
fn a_running_job_goes_on_on_a_new_version_that_migrates_its_state() {
    let (_manager, job, _data) = replaced((1, waiting(99, "")), (2, waiting(2, MIGRATE)));
    assert_eq!(block_on(job.wait()).state, JobState::Completed);
}

#[test]
fn a_job_that_stands_still_in_memory_goes_on_on_a_new_version() {
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    let manager = Manager::open(ManagerConfig { workers: 1, ..ManagerConfig::new(data.path()) }).unwrap();
    manager.add_extension(&waiting_extension(&folder, 3, &waiting_after(30_000_000, 99, ""))).unwrap();
    let id = Some(Uuid::from_u128(7));
    let job = block_on(manager.dispatch("waiting:go", Dispatch { id, ..Dispatch::default() })).unwrap();
    while job.status().fuel_used < 1_000 {
        std::thread::yield_now();
    }
    // It has not asked yet, so it stops where it is.
    block_on(job.pause()).unwrap();
    assert_eq!(block_on(job.wait_until_stopped()).state, JobState::Paused);
    let old = job.status().module;
    manager.add_extension(&waiting_extension(&folder, 3, &waiting(1, ""))).unwrap();
    block_on(job.resume()).unwrap();
    let status = block_on(job.wait());
    assert_eq!(status.state, JobState::Completed, "{status:?}");
    assert_ne!(status.module, old);
}

#[test]
fn a_job_that_is_to_be_cancelled_is_cancelled_where_it_is_imported() {
    let (here, there) = (Data::new(), Data::new());
    let manager = here.open_with(|config| config.workers = 0);
    let job = dispatch(&manager, "tally", &json!({ "target": 300 }));
    let mut bundle = manager.export(job.id(), true).unwrap();
    let mut record = JobRecord::decode(&bundle.record).unwrap();
    (record.state, record.wanted) = (JobState::Running, toehold::Interrupt::Cancel);
    bundle.record = record.encode();
    let manager = there.open();
    let imported = block_on(manager.import(&bundle, ImportOptions { paused: true })).unwrap();
    assert_eq!(block_on(imported.wait_until_stopped()).state, JobState::Cancelled);
    assert_eq!(kv(&manager, "tally/"), []);
}

#[test]
fn a_running_job_stays_on_its_module_where_the_new_one_can_not_take_its_state() {
    for (old, new) in [(0, 0), (1, 2), (0, 1)] {
        let (manager, job, data) = replaced((old, waiting(99, "")), (new, waiting(1, "")));
        let module = job.status().module;
        block_on(job.pause()).unwrap();
        assert_eq!(block_on(job.wait_until_stopped()).state, JobState::Paused);
        let id = job.id();
        drop((manager, job));
        // After a restart too: the store still has the module.
        let manager = Manager::open(ManagerConfig { workers: 1, ..ManagerConfig::new(data.path()) }).unwrap();
        let job = manager.job(id).unwrap();
        block_on(job.resume()).unwrap();
        let fuel = job.status().fuel_used;
        while job.status().fuel_used < fuel + 1_000 {
            assert_eq!(job.status().reason, None);
            std::thread::yield_now();
        }
        assert_eq!(job.status().module, module);
        block_on(job.cancel()).unwrap();
        assert_eq!(block_on(job.wait()).state, JobState::Cancelled);
    }
}

/// The test extension with a section more, which does nothing but make it another module.
fn another_version(folder: &Folder) -> std::path::PathBuf {
    let root = crate::support::root().join("test-extension");
    let mut module = std::fs::read(root.join("test_extension.wasm")).unwrap();
    module.extend_from_slice(&[0, 2, 1, b'x']);
    let manifest = std::fs::read_to_string(root.join("manifest.json")).unwrap();
    folder.add_files("other", &manifest.replace("test_extension.wasm", "module.wasm"), &module)
}

#[test]
fn a_module_that_a_bundle_brings_does_not_get_what_the_installed_one_has() {
    let (here, folder) = (Data::new(), Folder::new());
    let (job, manager) = half_way(&here, "tally", &json!({ "target": 3_000 }), 20);
    let bundle = manager.export(job.id(), true).unwrap();
    drop((job, manager));
    let other = another_version(&folder);

    let there = tempfile::tempdir().unwrap();
    let open = || Manager::open(ManagerConfig { workers: 1, ..ManagerConfig::new(there.path()) }).unwrap();
    let manager = open();
    manager.add_extension(&other).unwrap();
    let error = block_on(manager.import(&bundle, ImportOptions::default())).unwrap_err();
    assert!(matches!(error, ImportError::Brought { .. }), "{error}");
    assert!(manager.job(bundle.job_id).is_err(), "nothing was imported");
    manager.remove_extension("test-extension").unwrap();

    // Where none is installed it may run, with nothing that an operator gives; and no longer once one is.
    let paused = ImportOptions { paused: true };
    let imported = block_on(manager.import(&bundle, paused)).unwrap();
    manager.add_extension(&other).unwrap();
    drop((imported, manager));
    let manager = open();
    let imported = manager.job(bundle.job_id).unwrap();
    let stored = manager.reader().module(&JobRecord::decode(&bundle.record).unwrap().module_hash);
    assert!(stored.unwrap().unwrap().brought);
    let error = block_on(manager.import(&Bundle { job_id: Uuid::new_v4(), ..bundle.clone() }, paused));
    assert!(error.is_err());
    drop((imported, manager));

    // The operator installs that very version: now it is trusted.
    let manager = open();
    manager.add_extension(&crate::support::root().join("test-extension")).unwrap();
    let imported = manager.job(bundle.job_id).unwrap();
    block_on(imported.resume()).unwrap();
    assert_eq!(block_on(imported.wait()).state, JobState::Completed);
}
