use alloc::{format, string::String, sync::Arc, vec::Vec};

use toehold_abi::{HostFunction, Interrupt, LogLevel};
use uuid::Uuid;
use wasmi::{Memory, TypedFunc};

use crate::{
    call::Call,
    extension::ExtensionShared,
    fault::Fault,
    journal::Journal,
    journal_entry::{CallDigest, Digest},
    limiter::Limiter,
    registry::JobContext,
    report::{LogLine, Report, cut},
};

/// What stands behind a guest's instance: the host functions find it in the interpreter's store.
pub(crate) struct Guest {
    pub(crate) extension: Arc<ExtensionShared>,
    pub(crate) limiter: Limiter,
    pub(crate) role: Role,
    /// The guest's function that the host is in: says what the host functions may do.
    pub(crate) within: Within,
    /// Known once the module is instantiated; its `start` function runs before.
    pub(crate) memory: Option<Memory>,
    pub(crate) alloc: Option<TypedFunc<i32, i32>>,
    /// What a host function has parked before it stopped the interpreter.
    pub(crate) request: Option<Request>,
    /// The jobs that `plugin_init` has named.
    pub(crate) registrations: Vec<Registration>,
    /// Fuel that host functions cost beyond what the slice had left.
    pub(crate) debt: u64,
    /// Fuel of the job's life once what the interpreter has left is used up.
    pub(crate) fuel_end: u64,
    /// Lines that were logged at load or unload, and those that were over the limit.
    pub(crate) lines: (u64, u64),
}

/// What an instance is for.
pub(crate) enum Role {
    /// To load an extension: what `plugin_init` registers counts.
    Load,
    /// To run a job.
    Job(JobRole),
    /// To unload an extension.
    Unload,
}

pub(crate) struct JobRole {
    pub(crate) context: Arc<JobContext>,
    /// The calls that the guest has made so far.
    pub(crate) calls: u64,
    /// What the guest is told when it asks, as of the start of its slice.
    pub(crate) interrupt: Interrupt,
    /// Whether the guest has asked in this run, and so can be expected to stop by itself.
    pub(crate) asks: bool,
    /// Whether the guest was told in this run to stop.
    pub(crate) told: bool,
    pub(crate) reentry: Reentry,
    pub(crate) journal: Journal,
}

/// When a guest that asks is told to pause though nobody wants it to stand still, to be entered again at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reentry {
    /// Whether somebody wants it, as of the start of the slice.
    pub(crate) wanted: bool,
    /// Whether it would shorten a journal or a replay that got too long.
    pub(crate) shortens: bool,
    /// Fuel of the job's life at which this run began.
    pub(crate) entered_at: u64,
    /// Whether this run was told so, for the sake of its journal or replay.
    pub(crate) was_told: bool,
}

/// The guest's function that the host has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    Start,
    Init,
    Execute,
    Alloc,
    Cleanup,
    Migrate,
}

/// A job that `plugin_init` named, and what it was told.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) export: String,
    pub(crate) resumable: bool,
    /// Why it was refused, if it was.
    pub(crate) refused: Option<String>,
}

/// What a host function wants of the world outside of the interpreter.
#[derive(Debug)]
pub(crate) enum Request {
    /// An operation of the shell.
    Call(CallDigest, Call),
    /// A reply that the core gives itself: the call was refused.
    Refused(CallDigest, String),
    /// Nothing: the slice is used up by what the host function cost, and it returns this in the next one.
    Return(Option<i32>),
    /// The guest's state for the store.
    Checkpoint(Vec<u8>),
    /// Nothing: the state is over its limit, and so not durable.
    StateTooLarge(Digest),
}

impl Registration {
    /// What to say of one that was refused for `reason`.
    pub(crate) fn refusal(&self, reason: &str) -> String {
        format!("register_job refused {:?}: {reason}", self.name)
    }
}

impl Within {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "the module's start function",
            Self::Init => "plugin_init",
            Self::Execute => "a job",
            Self::Alloc => "wasm_alloc",
            Self::Cleanup => "plugin_cleanup",
            Self::Migrate => "a migration",
        }
    }
}

impl Guest {
    pub(crate) fn new(extension: Arc<ExtensionShared>, limiter: Limiter, role: Role) -> Self {
        Self {
            extension,
            limiter,
            role,
            within: Within::Start,
            memory: None,
            alloc: None,
            request: None,
            registrations: Vec::new(),
            debt: 0,
            fuel_end: 0,
            lines: (0, 0),
        }
    }

    /// The job that runs, if it runs here.
    pub(crate) fn job(&mut self) -> Option<&mut JobRole> {
        match &mut self.role {
            Role::Job(job) => Some(job),
            Role::Load | Role::Unload => None,
        }
    }

    /// Checks that this is a place where a job's `function` may be called, and that `id` is the job's.
    pub(crate) fn check_job(&self, function: HostFunction, id: Uuid) -> Result<(), Fault> {
        match &self.role {
            Role::Job(job) if self.within == Within::Execute => {
                if job.context.id() == id {
                    Ok(())
                } else {
                    Err(Fault::ForeignJob { function, found: id })
                }
            }
            _ => Err(Fault::OutOfPlace { function, within: self.within.name() }),
        }
    }

    /// What the guest is told when it asks whether to stop, with so much fuel left in the interpreter. From then on it is expected
    /// to ask.
    ///
    /// That its journal or replay gets too long is looked at here and not between slices, so that it is told at the same place in
    /// whatever slices.
    pub(crate) fn ask(&mut self, fuel_left: u64) -> Interrupt {
        let fuel_used = self.fuel_end.saturating_sub(fuel_left).saturating_add(self.debt);
        let (journal_bytes, replay_fuel) =
            (self.extension.limits.journal_bytes, self.extension.limits.replay_fuel);
        self.job().map_or(Interrupt::None, |job| {
            job.asks = true;
            let fuel = fuel_used.saturating_sub(job.reentry.entered_at);
            let is_too_long =
                job.journal.bytes() > journal_bytes / 2 || (job.journal.has_effect() && fuel > replay_fuel);
            let shortens = job.reentry.shortens && is_too_long && !job.journal.is_replaying();
            let live = match job.interrupt {
                Interrupt::None if job.reentry.wanted || shortens => {
                    job.reentry.was_told |= shortens;
                    Interrupt::Pause
                }
                asked => asked,
            };
            let answer = job.journal.check(live);
            job.told |= answer != Interrupt::None;
            answer
        })
    }

    /// Whether the job gets again what it got before a crash.
    pub(crate) fn is_replaying(&self) -> bool {
        matches!(&self.role, Role::Job(job) if job.journal.is_replaying())
    }

    /// Changes the job's report; without a job, one that nobody sees.
    pub(crate) fn report<R>(&mut self, change: impl FnOnce(&mut Report) -> R) -> R {
        match self.job() {
            Some(job) => job.context.with_report(change),
            None => change(&mut Report::default()),
        }
    }

    /// Logs a progress, for those who follow a job's log at the debug level. It is no line of the guest's.
    pub(crate) fn log_progress(&self, fraction: f32, message: &str) {
        if let Role::Job(job) = &self.role
            && !job.journal.is_replaying()
        {
            log::debug!(target: job.context.job(), "{message} ({:.0} %)", fraction * 100.0);
        }
    }

    /// Logs a line of the guest's, within the limits of its job.
    pub(crate) fn log(&mut self, level: LogLevel, text: &str) {
        let text = cut(text, self.extension.limits.line_bytes);
        let at_load = matches!(self.role, Role::Load);
        if !at_load && matches!(self.within, Within::Start | Within::Init) && level != LogLevel::Error {
            return; // Each instance says this again; it was logged at load.
        }
        let target: &str = match &self.role {
            Role::Job(job) => {
                let line = LogLine { level, text: text.clone() };
                let replaying = job.journal.is_replaying();
                if !job.context.add_log_line(line, &self.extension.limits, replaying) || replaying {
                    return;
                }
                job.context.job()
            }
            Role::Load | Role::Unload => {
                let (logged, dropped) = &mut self.lines;
                if *logged >= self.extension.limits.log_lines {
                    *dropped += 1;
                    return;
                }
                *logged += 1;
                self.extension.id()
            }
        };
        let level = match level {
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Info => log::Level::Info,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Error => log::Level::Error,
        };
        log::log!(target: target, level, "{text}");
    }
}
