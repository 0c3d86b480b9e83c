use core::fmt;
use std::rc::Rc;

use serde_json::{Value, json};
use toehold_abi::Interrupt;

use super::border;
use super::run::{Loaded, Migrated, Run};
use crate::{Extension, JobContext, Result, State, Uuid, checkpoint, glue};

/// A host that does as a test tells it.
///
/// By default it permits no operation, never interrupts, and makes every checkpoint durable. What it is told holds for
/// each [`run`](Self::run) anew.
#[derive(Clone, Debug)]
#[must_use]
pub struct FakeHost {
    script: Script,
}

/// A reply, or `None` for no reply at all.
type Reply = Option<core::result::Result<Value, String>>;

pub(super) type Operation = Rc<dyn Fn(Value) -> Reply>;

#[derive(Clone)]
pub(super) struct Script {
    pub(super) job_id: Uuid,
    pub(super) library_id: Uuid,
    operations: Vec<(String, Operation)>,
    pub(super) stop: Option<(u64, Interrupt)>,
    /// How many checkpoints become durable; all without it.
    pub(super) durable: Option<usize>,
    pub(super) refused_jobs: Vec<String>,
}

impl FakeHost {
    /// A host that gives a job its ids and nothing else.
    pub fn new() -> Self {
        let mut job_id = [0; 16];
        job_id[15] = 1;
        let mut library_id = [0; 16];
        library_id[15] = 2;
        Self {
            script: Script {
                job_id: Uuid::from_bytes(job_id),
                library_id: Uuid::from_bytes(library_id),
                operations: Vec::new(),
                stop: None,
                durable: None,
                refused_jobs: Vec::new(),
            },
        }
    }

    /// Gives the job this id.
    pub fn job_id(mut self, id: Uuid) -> Self {
        self.script.job_id = id;
        self
    }

    /// Starts the job for this library.
    pub fn library_id(mut self, id: Uuid) -> Self {
        self.script.library_id = id;
        self
    }

    /// Defines an operation: what it replies to its input, or with which message it fails.
    pub fn on(
        self,
        method: impl Into<String>,
        operation: impl Fn(Value) -> core::result::Result<Value, String> + 'static,
    ) -> Self {
        self.define(method.into(), Rc::new(move |input| Some(operation(input))))
    }

    /// Defines an operation whose reply does not fit into the guest's memory.
    pub fn no_reply_on(self, method: impl Into<String>) -> Self {
        self.define(method.into(), Rc::new(|_| None))
    }

    /// Lets this many checks for interrupts pass, and answers each further one with "pause".
    pub fn interrupt_after(mut self, checks: u64) -> Self {
        self.script.stop = Some((checks, Interrupt::Pause));
        self
    }

    /// Lets this many checks for interrupts pass, and answers each further one with "cancel".
    pub fn cancel_after(mut self, checks: u64) -> Self {
        self.script.stop = Some((checks, Interrupt::Cancel));
        self
    }

    /// Makes this many checkpoints durable, and no further one.
    pub fn durable_checkpoints(mut self, count: usize) -> Self {
        self.script.durable = Some(count);
        self
    }

    /// Refuses to register the job of this name.
    pub fn refuse_job(mut self, name: impl Into<String>) -> Self {
        self.script.refused_jobs.push(name.into());
        self
    }

    /// Runs a job from this state to its end, or to where it is interrupted.
    ///
    /// # Panics
    ///
    /// With the job's own panic, and where the state can't be written as JSON.
    pub fn run<S: State>(&self, job: impl FnOnce(&JobContext, &mut S) -> Result<()>, state: S) -> Run<S> {
        let state = serde_json::to_vec(&state).expect("the state can't be written as JSON");
        self.run_from(job, &state)
    }

    /// Runs a job from the bytes of a checkpoint; no bytes are the default state.
    ///
    /// # Panics
    ///
    /// With the job's own panic.
    pub fn run_from<S: State>(
        &self,
        job: impl FnOnce(&JobContext, &mut S) -> Result<()>,
        state: &[u8],
    ) -> Run<S> {
        let ctx = json!({
            "job_id": self.script.job_id,
            "library_id": self.script.library_id,
            "unknown": "hosts may add keys",
        });
        self.run_raw(job, ctx.to_string().as_bytes(), state)
    }

    /// Runs a job on the very bytes that a host would hand over.
    ///
    /// # Panics
    ///
    /// With the job's own panic.
    pub fn run_raw<S: State>(
        &self,
        job: impl FnOnce(&JobContext, &mut S) -> Result<()>,
        ctx: &[u8],
        state: &[u8],
    ) -> Run<S> {
        let mut left = None;
        let (result, record) = border::with_host(self.script.clone(), || {
            glue::execute(ctx.to_vec(), state.to_vec(), |ctx, state: &mut S| {
                let outcome = job(ctx, state);
                // A host never sees the state of a job that completed, but its author's test may want to.
                left = serde_json::to_value(&*state).ok();
                outcome
            })
        });
        let state = left.and_then(|state| serde_json::from_value(state).ok());
        Run::new(result, state, record)
    }

    /// Loads an extension: its jobs are registered and its `init` runs.
    ///
    /// # Panics
    ///
    /// With the panic of the extension's own `init`.
    pub fn load<E: Extension>(&self) -> Loaded {
        let (code, record) = border::with_host(self.script.clone(), || glue::init(E::JOBS, E::init));
        Loaded { code, jobs: record.jobs, logs: record.logs }
    }

    /// Migrates the bytes of a state that version `from` of a job wrote to `version`, the one of `#[job]`.
    ///
    /// # Panics
    ///
    /// With the migration's own panic, and where the job could not read the state that comes of it.
    pub fn migrate<S: State>(
        &self,
        migration: impl FnOnce(u32, &[u8]) -> Result<S>,
        from: u32,
        version: u32,
        old: &[u8],
    ) -> Migrated<S> {
        let (bytes, record) =
            border::with_host(self.script.clone(), || glue::migrate(version, from, old.to_vec(), migration));
        let state = bytes.as_deref().map(|bytes| match checkpoint::restore(bytes) {
            Ok(state) => state,
            Err(error) => panic!("what was migrated is no state of the job: {error}"),
        });
        Migrated { state, bytes, logs: record.logs }
    }

    fn define(mut self, method: String, operation: Operation) -> Self {
        self.script.operations.retain(|(known, _)| *known != method);
        self.script.operations.push((method, operation));
        self
    }
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    pub(super) fn operation(&self, method: &str) -> Option<Operation> {
        let known = self.operations.iter().find(|(known, _)| known == method);
        known.map(|(_, operation)| Rc::clone(operation))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&String> = self.operations.iter().map(|(method, _)| method).collect();
        f.debug_struct("Script")
            .field("job_id", &self.job_id)
            .field("library_id", &self.library_id)
            .field("operations", &methods)
            .field("stop", &self.stop)
            .field("durable", &self.durable)
            .field("refused_jobs", &self.refused_jobs)
            .finish()
    }
}
