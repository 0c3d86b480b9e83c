//! Modules to test with, and a shell that notes what it is asked.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use toehold::{
    Answer, Call, Called, Checkpoint, Commit, Extension, Job, JobContext, JobStart, Limits, LoadError,
    Manifest, NotDurable, Outcome, Permissions, Platform, Registry, Reply, Stopped, Uuid, run,
};

pub(crate) const SLICE: u64 = 100_000;

/// All host functions, a page of memory, an allocator that never frees, and places for ids: the context JSON's job id
/// as 16 bytes is at 64 once `$init_id` ran.
pub(crate) const PRELUDE: &str = r#"
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
    (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
    (import "spacedrive" "job_add_warning" (func $warn (param i32 i32 i32)))
    (import "spacedrive" "job_increment_bytes" (func $bytes (param i32 i64)))
    (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
    (import "spacedrive" "register_job" (func $register (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 4096))
    (func (export "wasm_alloc") (param $size i32) (result i32)
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get $size))))
    (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\07")
    (data (i32.const 80) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\08")
    (data (i32.const 96) "query:ping")
    (data (i32.const 112) "hello")
    (data (i32.const 120) "\ff\fe")
    (data (i32.const 128) "go")
    (data (i32.const 136) "execute_go")
"#;

/// The id that [`PRELUDE`] has at 64.
pub(crate) const ID: Uuid = Uuid::from_u128(7);

pub(crate) fn manifest() -> Manifest {
    let permissions = Permissions {
        methods: vec!["query:".to_owned(), "action:kv.".to_owned()],
        max_memory_mb: 1,
        ..Permissions::default()
    };
    Manifest::new("guest").unwrap().with_permissions(permissions)
}

/// A module of [`PRELUDE`] and `body`.
pub(crate) fn load(body: &str, limits: &Limits) -> Result<Extension, LoadError> {
    load_text(&format!("(module {PRELUDE} {body})"), limits)
}

pub(crate) fn load_text(text: &str, limits: &Limits) -> Result<Extension, LoadError> {
    Extension::load(manifest(), wat::parse_str(text).unwrap(), limits)
}

/// The job `go`, whose body this is.
pub(crate) fn job_body(body: &str) -> String {
    format!("(func (export \"execute_go\") (param i32 i32 i32 i32) (result i32) {body})")
}

/// The job `go` of [`PRELUDE`] with this body, ready to run.
pub(crate) fn job_with(body: &str, limits: &Limits) -> Job {
    start(&load(&job_body(body), limits).unwrap())
}

pub(crate) fn job(body: &str) -> Job {
    job_with(body, &Limits::default())
}

pub(crate) fn start(extension: &Extension) -> Job {
    extension.start(&Registry::default(), "go", with_state(b"")).unwrap()
}

pub(crate) fn with_state(state: &[u8]) -> JobStart {
    JobStart { id: ID, state: state.to_vec(), ..JobStart::default() }
}

/// Runs a job to its end on a [`Desk`].
pub(crate) fn finish(job: &mut Job) -> Outcome {
    match run(job, &mut Desk::default(), SLICE) {
        Stopped::Finished(outcome) => outcome,
        other => panic!("nobody stopped the job: {other:?}"),
    }
}

/// What a failed job's last words are; empty if it did not fail.
pub(crate) fn failure(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => failure.to_string(),
        _ => String::new(),
    }
}

/// The answer to a call.
pub(crate) fn reply(call: &Call, reply: Reply) -> Answer {
    Answer::Reply { call: call.key.number, reply }
}

/// The answer to a commit that was stored.
pub(crate) fn durable(commit: &Commit) -> Answer {
    Answer::Committed { commit: commit.number, durable: true }
}

/// A shell: notes calls and checkpoints, and answers each call with the next of `replies` or with `{}`.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) now: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) replies: VecDeque<Reply>,
    pub(crate) saved: Vec<Checkpoint>,
    pub(crate) full: bool,
}

impl Platform for Desk {
    fn now(&mut self) -> u64 {
        self.now
    }

    fn call(&mut self, call: &Arc<Call>) -> Called {
        self.calls.push((**call).clone());
        Called::Ready(self.replies.pop_front().unwrap_or(Ok(b"{}".to_vec())))
    }

    fn commit(&mut self, _job: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        if self.full {
            return Poll::Ready(Err(NotDurable::Refused));
        }
        self.saved.extend(commit.checkpoint.as_deref().cloned());
        Poll::Ready(Ok(()))
    }

    fn idle(&mut self, _until: Option<u64>) {
        unreachable!("every reply is ready at once");
    }
}
