//! Extensions to measure with.

use toehold::{Extension, Job, JobStart, Limits, Manifest, Permissions, RateLimits, Registry, Uuid};

/// The id that the guests have in their memory, at 64.
pub(crate) const ID: Uuid = Uuid::from_u128(7);

/// The job that the text guests export, as `execute_go`.
pub(crate) const JOB: &str = "go";

/// A module with imports, memory and allocator, and the job `go` with this body.
pub(crate) fn module(body: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module
            (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
            (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
            (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
            (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
            (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
            (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\07")
            (data (i32.const 96) "query:ping")
            (data (i32.const 112) "{{\"text\":\"hello\"}}")
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
                (local $i i32)
                {body}
                (i32.const 0)))"#
    ))
}

pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}

/// A manifest that lets a guest do as it likes.
pub(crate) fn manifest() -> Manifest {
    let permissions = Permissions {
        methods: vec!["query:".to_owned()],
        rate_limits: RateLimits { requests_per_minute: u32::MAX, concurrent_jobs: u32::MAX },
        ..Permissions::default()
    };
    Manifest::new("bench").expect("a good id").with_permissions(permissions)
}

/// Limits that no guest here meets; no job is told of an interrupt, each is stopped at the end of its slice.
pub(crate) fn limits() -> Limits {
    Limits { log_lines: u64::MAX, grace_fuel: 0, ..Limits::default() }
}

pub(crate) fn load(module: &[u8]) -> Extension {
    Extension::load(manifest(), module, &limits()).expect("the module is an extension")
}

pub(crate) fn start(extension: &Extension) -> Job {
    start_as(extension, &Registry::default(), JOB, ID)
}

pub(crate) fn start_as(extension: &Extension, registry: &Registry, job: &str, id: Uuid) -> Job {
    let start = JobStart { id, ..JobStart::default() };
    extension.start(registry, job, start).expect("the job starts")
}
