//! The border outside of WebAssembly: the fake host that runs a job on this thread.

use core::cell::RefCell;

use toehold_abi::{Checkpointed, Interrupt, LogLevel, Registered};

use super::host::Script;
use super::run::{Call, LogLine, Progress, Record};
use crate::{JobInfo, Uuid};

/// In WebAssembly a block of the guest's memory, here just bytes.
pub(crate) type Block = Vec<u8>;

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

struct Session {
    script: Script,
    record: Record,
}

/// Runs `guest` on a host that follows the script, and tells what happened.
///
/// # Panics
///
/// Where a fake host runs on this thread already.
pub(super) fn with_host<T>(script: Script, guest: impl FnOnce() -> T) -> (T, Record) {
    // A panic of the guest must not leave its host behind for the next test on this thread.
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            SESSION.take();
        }
    }
    let session = Session { script, record: Record::default() };
    let before = SESSION.replace(Some(session));
    assert!(before.is_none(), "a FakeHost runs on this thread already");
    let leave = Leave;
    let result = guest();
    let record = SESSION.take().map(|session| session.record);
    drop(leave);
    (result, record.unwrap_or_default())
}

fn session<T>(ask: impl FnOnce(&mut Session) -> T) -> T {
    SESSION.with_borrow_mut(|session| match session {
        Some(session) => ask(session),
        None => panic!("outside of WebAssembly the host's functions need toehold_sdk::testing::FakeHost"),
    })
}

pub(crate) fn log(level: LogLevel, text: &str) {
    session(|host| {
        host.record.logs.push(LogLine { level, text: text.into() });
    });
}

pub(crate) fn report_progress(job_id: &Uuid, fraction: f32, message: &str) {
    session(|host| {
        host.own(job_id);
        if !fraction.is_nan() {
            host.record
                .progress
                .push(Progress { fraction: fraction.clamp(0.0, 1.0), message: message.into() });
        }
    });
}

pub(crate) fn checkpoint(job_id: &Uuid, state: &[u8]) -> i32 {
    session(|host| {
        host.own(job_id);
        let taken = host.record.checkpoints.len();
        if host.script.durable.is_some_and(|durable| taken >= durable) {
            host.record.refused_checkpoints += 1;
            return Checkpointed::NotDurable.code();
        }
        host.record.checkpoints.push(state.into());
        Checkpointed::Durable.code()
    })
}

pub(crate) fn check_interrupt(job_id: &Uuid) -> i32 {
    session(|host| {
        host.own(job_id);
        let interrupt = match host.script.stop {
            Some((after, interrupt)) if host.record.checks >= after => interrupt,
            _ => Interrupt::None,
        };
        host.record.checks += 1;
        interrupt.code()
    })
}

pub(crate) fn add_warning(job_id: &Uuid, message: &str) {
    session(|host| {
        host.own(job_id);
        host.record.warnings.push(message.into());
    });
}

pub(crate) fn increment_bytes(job_id: &Uuid, count: u64) {
    session(|host| {
        host.own(job_id);
        host.record.bytes += count;
    });
}

pub(crate) fn increment_items(job_id: &Uuid, count: u64) {
    session(|host| {
        host.own(job_id);
        host.record.items += count;
    });
}

pub(crate) fn register_job(job: &JobInfo) -> i32 {
    session(|host| {
        let jobs = &mut host.record.jobs;
        let duplicate = jobs.iter().any(|known| known.name == job.name);
        if duplicate || host.script.refused_jobs.iter().any(|name| name == job.name) {
            return Registered::Refused.code();
        }
        jobs.push(*job);
        Registered::Done.code()
    })
}

pub(crate) fn call(method: &str, library_id: Option<&Uuid>, payload: &[u8]) -> Option<Block> {
    let input: serde_json::Value = serde_json::from_slice(payload).expect("the SDK only sends JSON");
    let operation = session(|host| {
        host.record.calls.push(Call {
            method: method.into(),
            library_id: library_id.copied(),
            input: input.clone(),
        });
        host.script.operation(method)
    });
    // Outside of the session: an operation that panics or asserts must not meet a borrowed host.
    let reply = match operation {
        Some(operation) => operation(input)?,
        None => Err(format!("{method} is not permitted")),
    };
    let reply = reply.unwrap_or_else(|message| serde_json::json!({ "error": message }));
    Some(reply.to_string().into_bytes())
}

impl Session {
    /// A host ends a job that gives another one's id.
    fn own(&self, job_id: &Uuid) {
        assert_eq!(*job_id, self.script.job_id, "a foreign job id");
    }
}
