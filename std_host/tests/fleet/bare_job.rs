//! A job for those who write its log and never run it.

use toehold::{
    Checkpoint, Extension, Interrupt, JobRecord, JobStart, JobState, Limits, Manifest, Priority, Report,
};

/// As another host gave it away, before its first step.
pub(crate) fn bare_job() -> (JobRecord, Checkpoint) {
    let module = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "execute_run") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#,
    )
    .unwrap();
    let manifest = Manifest::new("bare").unwrap();
    let extension = Extension::load(manifest, &module, &Limits::default()).unwrap();
    let checkpoint = extension.first_checkpoint("run", &JobStart::default()).unwrap();
    let record = JobRecord {
        job: "bare:run".to_owned(),
        module_hash: checkpoint.module_hash,
        library: None,
        parent: None,
        state: JobState::Queued,
        wanted: Interrupt::None,
        priority: Priority::Normal,
        reason: None,
        attempt: 1,
        attempts: 1,
        retry_at: None,
        sleep: None,
        created_at: 0,
        started_at: None,
        ended_at: None,
        report: Report::default(),
        fuel_used: 0,
        last_words: None,
    };
    (record, checkpoint)
}
