use alloc::string::ToString;
use core::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toehold_abi::{Interrupt, LogLevel, ProgressStep};

use crate::{CallError, CheckpointError, Interrupted, Result, Uuid, log};
use crate::{border, call, checkpoint, interrupt, json};

/// A job's line to the host, for as long as it runs.
///
/// Reports ([`report_progress`](Self::report_progress), [`report_step`](Self::report_step),
/// [`add_warning`](Self::add_warning), the counters and the log) never fail and never stop the job.
#[derive(Debug)]
pub struct JobContext {
    job_id: Uuid,
    library_id: Uuid,
}

impl JobContext {
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self> {
        json::Scanner::whole(bytes, Self::scan)
            .map_err(|error| checkpoint::unreadable::<Self>("job context", bytes, &error))
    }

    /// By hand, since each guest has it: serde's way would take a kilobyte more.
    fn scan(scanner: &mut json::Scanner<'_>) -> Result<Self, json::Error> {
        let (mut job_id, mut library_id) = (None, None);
        scanner.open(b'{', "expected an object")?;
        let mut is_first = true;
        while scanner.more(&mut is_first, b'}')? {
            let key = scanner.string()?;
            scanner.colon()?;
            let id = match &*key {
                "job_id" => &mut job_id,
                "library_id" => &mut library_id,
                _ => {
                    scanner.skip()?;
                    continue;
                }
            };
            let text = scanner.string()?;
            *id = Some(text.parse().map_err(|_| json::Error::new("expected a hyphenated UUID"))?);
        }
        scanner.close(b'}')?;
        match (job_id, library_id) {
            (Some(job_id), Some(library_id)) => Ok(Self { job_id, library_id }),
            _ => Err(json::Error::new("expected `job_id` and `library_id`")),
        }
    }

    /// The job that this run belongs to. It stays the same when the job goes on elsewhere.
    #[must_use]
    pub fn job_id(&self) -> Uuid {
        self.job_id
    }

    /// The library that the job was started for, if there is one.
    #[must_use]
    pub fn library_id(&self) -> Option<Uuid> {
        // The ABI has an id there always: the nil UUID says that there is none.
        (*self.library_id.as_bytes() != [0; 16]).then_some(self.library_id)
    }

    /// Logs for whoever looks for a mistake.
    pub fn debug(&self, message: impl Display) {
        log(LogLevel::Debug, message);
    }

    /// Logs what goes on.
    pub fn info(&self, message: impl Display) {
        log(LogLevel::Info, message);
    }

    /// Logs that something is off while the job goes on. A person who looks at the job sees
    /// [`add_warning`](Self::add_warning) rather than this.
    pub fn warn(&self, message: impl Display) {
        log(LogLevel::Warn, message);
    }

    /// Logs that something failed. What the job returns as an error is logged without this.
    pub fn error(&self, message: impl Display) {
        log(LogLevel::Error, message);
    }

    /// Reports how far the job has come, from 0.0 to 1.0. Others are clamped by the host, NaN is dropped.
    pub fn report_progress(&self, progress: f32, message: impl AsRef<str>) {
        border::report_progress(&self.job_id, progress, message.as_ref());
    }

    /// Reports that `done` of the `total` items of a phase are done, which also gives the progress.
    ///
    /// Hosts that know of steps show them apart, others show `[PHASE DONE/TOTAL] MESSAGE`. Without a phase it is `""`;
    /// brackets in it become round ones. No items at all are progress 1.0.
    pub fn report_step(&self, phase: &str, done: u64, total: u64, message: impl AsRef<str>) {
        let step = ProgressStep { phase: Some(phase), done, total, message: message.as_ref() };
        self.report_progress(step.fraction(), step.to_string());
    }

    /// Makes the state durable: after `Ok`, the job never has to go back behind it.
    ///
    /// # Errors
    ///
    /// The state is not durable; an older checkpoint, if any, still is.
    pub fn checkpoint<S: Serialize + ?Sized>(&self, state: &S) -> Result<(), CheckpointError> {
        checkpoint::save(&self.job_id, state)
    }

    /// Looks whether the job should stop. To be asked often, at points where the state can be left as it is.
    ///
    /// # Errors
    ///
    /// The job should stop. Passed on with `?`, the SDK checkpoints the state and ends the run as interrupted.
    pub fn check_interrupt(&self) -> Result<(), Interrupted> {
        match self.interrupt() {
            Interrupt::None => Ok(()),
            interrupt => Err(Interrupted(interrupt)),
        }
    }

    /// Whether the job should stop, for jobs that have to tidy up first.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        interrupt::check(&self.job_id)
    }

    /// Keeps a non-fatal issue with the job, such as a file that was skipped.
    pub fn add_warning(&self, message: impl AsRef<str>) {
        border::add_warning(&self.job_id, message.as_ref());
    }

    /// Adds to the bytes processed.
    pub fn increment_bytes(&self, count: u64) {
        border::increment_bytes(&self.job_id, count);
    }

    /// Adds to the items processed.
    pub fn increment_items(&self, count: u64) {
        border::increment_items(&self.job_id, count);
    }

    /// Calls an operation of the host, such as `query:ping`, in a library or in none. The manifest must permit it.
    ///
    /// Input and reply are JSON. A job that has no use for the reply takes `serde::de::IgnoredAny` for `Out`.
    ///
    /// # Errors
    ///
    /// The operation failed or was refused, or its reply is not an `Out`.
    pub fn call<In, Out>(&self, method: &str, library_id: Option<Uuid>, input: &In) -> Result<Out, CallError>
    where
        In: Serialize + ?Sized,
        Out: DeserializeOwned,
    {
        call::call(method, library_id.as_ref(), input)
    }
}
