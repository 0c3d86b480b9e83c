use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};
use std_host::{DispatchError, JobStatus, Operations, toehold::Outcome};

use crate::support::*;

#[test]
fn test_dispatch_wasm_job() {
    let test = TestHost::new().loaded();
    let job = test.dispatch("test-extension:counter", r#"{"target": 10}"#);
    let ended = job.wait();
    assert_eq!(ended.outcome, Outcome::Completed);
    assert_eq!(job.status(), JobStatus::Completed);
    let progress = ended.report.progress.unwrap();
    assert_eq!((progress.fraction, progress.message.as_str()), (1.0, "Counted 10/10"));
    assert_eq!((ended.report.items, ended.report.checkpoints), (10, 1));
    let lines: Vec<_> = ended.log_tail.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["Starting counter (current: 0, target: 10)", "✓ Completed!"]);
    for n in 1..=10 {
        assert!(was_logged(&format!("Counted {n}/10 ")), "{n}");
    }
}

#[test]
fn wordcount_reads_real_files() {
    let test = TestHost::new().loaded();
    let ended = test.dispatch("test-extension:wordcount", "{}").wait();
    assert_eq!(ended.outcome, Outcome::Completed);
    let state: Value = serde_json::from_slice(&ended.state).unwrap();
    let files = state["files"].as_array().unwrap();
    let samples = root().join("test-extension/samples");
    let mut bytes = 0;
    for file in files {
        let content = std::fs::read(samples.join(file["name"].as_str().unwrap())).unwrap();
        let words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        assert_eq!((&file["bytes"], &file["words"]), (&json!(content.len()), &json!(words)), "{file}");
        bytes += content.len() as u64;
    }
    assert_eq!(files.len(), std::fs::read_dir(&samples).unwrap().count());
    assert_eq!((ended.report.items, ended.report.bytes), (files.len() as u64, bytes));
}

#[test]
fn a_job_reads_no_other_folders() {
    let test = TestHost::new().loaded();
    let ended = test.dispatch("test-extension:wordcount", r#"{"folder": "/etc"}"#).wait();
    let Outcome::Failed(failure) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(failure.to_string().contains("query:fs.list"), "{failure}");
}

#[test]
fn a_paused_job_goes_on_where_it_was() {
    let test = TestHost::new().loaded();
    let job = test.dispatch("test-extension:counter", r#"{"target": 3000}"#);
    let mut pauses = 0;
    let ended = loop {
        job.pause();
        match job.wait_until_stopped() {
            Some(ended) => break ended,
            None => pauses += 1,
        }
        assert_eq!(job.status(), JobStatus::Paused);
        let fuel_used = job.context().fuel_used();
        job.resume();
        while job.context().fuel_used() == fuel_used && job.status() == JobStatus::Running {
            std::thread::yield_now();
        }
    };
    assert!(pauses > 0, "the job was over before it could be paused");
    assert_eq!(ended.outcome, Outcome::Completed);
    assert_eq!(ended.report.items, 3000, "after {pauses} pauses");
    let state: Value = serde_json::from_slice(&ended.state).unwrap();
    assert_eq!(state["processed"], 3000);
}

#[test]
fn a_cancelled_job_ends() {
    let test = TestHost::new().loaded();
    let job = test.dispatch("test-extension:counter", r#"{"target": 4000000000}"#);
    job.cancel();
    assert_eq!(job.wait().outcome, Outcome::Cancelled);
    assert_eq!(job.status(), JobStatus::Cancelled);
    assert!(test.host.registry().list().is_empty());
}

#[test]
fn an_operation_that_takes_its_time_holds_up_nobody() {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let mut operations = Operations::built_in();
    operations
        .register("action:wait", move |_call, _input: Value| {
            entered.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            Ok::<_, String>("done")
        })
        .unwrap();
    let folder = Folder::new();
    let wait = "(i32.sub (i32.load (call $call (i32.const 16) (i32.const 11) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 6))";
    folder.add("waiter", &module(wait));
    let test = TestHost::with(|config| config.operations = operations).loaded();
    test.host.extensions().load(&folder.path().join("waiter")).unwrap();

    let waiter = test.dispatch("waiter:go", "");
    has_entered.recv().unwrap();
    // While it waits, another job runs to its end, and the waiter itself can be paused.
    assert_eq!(
        test.dispatch("test-extension:counter", r#"{"target": 10}"#).wait().outcome,
        Outcome::Completed
    );
    waiter.pause();
    assert_eq!(waiter.wait_until_stopped(), None);
    waiter.resume();
    release.send(()).unwrap();
    // The guest returns the reply's length less 6: 0, as `"done"` has 6 bytes.
    assert_eq!(waiter.wait().outcome, Outcome::Completed);

    let cancelled = test.dispatch("waiter:go", "");
    has_entered.recv().unwrap();
    cancelled.cancel();
    assert_eq!(cancelled.wait().outcome, Outcome::Cancelled);
    release.send(()).unwrap();
}

#[test]
fn names_that_name_nothing() {
    let test = TestHost::new().loaded();
    let error = |job: &str| test.host.dispatch(job, std_host::Dispatch::default()).unwrap_err();
    assert!(matches!(error("counter"), DispatchError::Name(_)));
    assert!(error("other:counter").to_string().contains("no extension \"other\""));
    assert!(
        error("test-extension:count")
            .to_string()
            .contains("its jobs are counter, wordcount, tally, draw, nap, family, spin, flaky, crash")
    );
}

#[test]
fn a_checkpoint_carries_a_job_to_another_host() {
    let test = TestHost::new().loaded();
    let job = test.dispatch("test-extension:counter", r#"{"target": 5000}"#);
    // Once it has checkpointed, it is cancelled and its file read.
    while job.context().report().checkpoints == 0 {
        std::thread::yield_now();
    }
    job.cancel();
    let first = job.wait();
    assert_eq!(first.outcome, Outcome::Cancelled);
    let path = test.host.checkpoints().path(job.id());
    let checkpoint = std_host::CheckpointFolder::read(&path).unwrap();

    let other = TestHost::new().loaded();
    let ended = other.host.resume(&checkpoint).unwrap().wait();
    assert_eq!((ended.outcome, ended.report.items), (Outcome::Completed, 5_000));
    assert!(ended.fuel_used > checkpoint.fuel_used);
}

#[test]
fn where_checkpoints_cannot_be_stored_the_guest_is_told() {
    let test = TestHost::with(|config| config.data = root().join("Cargo.toml")).loaded();
    let ended = test.dispatch("test-extension:counter", r#"{"target": 10}"#).wait();
    let Outcome::Failed(failure) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(failure.to_string().contains("could not make the checkpoint durable"), "{failure}");
    assert_eq!(ended.report.checkpoints, 0);
}

#[test]
fn the_jobs_of_an_extension_share_one_clock() {
    // The second job starts later, and still gets the second call of the minute.
    let folder = Folder::new();
    let call = "(drop (call $call (i32.const 16) (i32.const 11) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 0)";
    folder.add("caller", &module(call));
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = calls.clone();
    let mut operations = Operations::empty();
    operations
        .register("action:wait", move |_call, _input: Value| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, String>(1)
        })
        .unwrap();
    let test = TestHost::with(|config| {
        config.operations = operations;
        config.limits.requests_per_minute = 2;
    });
    test.host.extensions().load(&folder.path().join("caller")).unwrap();
    for _ in 0..3 {
        assert_eq!(test.dispatch("caller:go", "").wait().outcome, Outcome::Completed);
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_fresh_start_does_not_overwrite_a_checkpoint() {
    let test = TestHost::new().loaded();
    let id = std_host::toehold::Uuid::from_u128(5);
    let path = test.host.checkpoints().path(id);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"toe\x02 of a newer version").unwrap();
    let dispatch = std_host::Dispatch { id: Some(id), ..std_host::Dispatch::default() };
    let error = test.host.dispatch("test-extension:counter", dispatch).unwrap_err();
    assert!(matches!(error, DispatchError::Checkpoint { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"toe\x02 of a newer version");
}

#[test]
fn two_writers_of_a_job_never_leave_a_mix() {
    let test = TestHost::new().loaded();
    let job = test.dispatch("test-extension:counter", r#"{"target": 5000}"#);
    while job.context().report().checkpoints == 0 {
        std::thread::yield_now();
    }
    job.cancel();
    let _ = job.wait();
    let folder = test.host.checkpoints();
    let path = folder.path(job.id());
    let checkpoint = std_host::CheckpointFolder::read(&path).unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let mut checkpoint = checkpoint.clone();
                checkpoint.state = vec![writer; 50_000 * usize::from(writer + 1)];
                scope.spawn(move || (0..100).for_each(|_| folder.save(&checkpoint).unwrap()))
            })
            .collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std_host::CheckpointFolder::read(&path).unwrap();
        }
    });
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "no temporary file stays");
}
