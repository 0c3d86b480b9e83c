mod drive;
mod durable;

use alloc::{borrow::ToOwned, format, string::String, sync::Arc, vec::Vec};

use toehold_abi::Interrupt;
use wasmi::{ResumableCallHostTrap, ResumableCallOutOfFuel, Val};

use self::{drive::Turn, durable::Then};
use crate::{
    Answer, Call, Checkpoint, Commit, Extension, Fault, JobContext, Millis, NoticedLimits, OutOfTurn,
    Outcome, Reply, StartError, Step,
    extension::Place,
    guest::{JobRole, Reentry, Role},
    instance::{Instance, set_fuel},
    journal::{Journal, Replayed},
    journal_entry::Digest,
    meter::Meter,
    registry::{Entry, Registry},
    start::Base,
};

/// A job that runs: one instance of its extension, stepped slice by slice.
///
/// ```text
/// step(fuel) ──► Yielded      step again
///            ──► Paused       step again once it is resumed
///            ──► Call         ──► answer(Reply)     ──► …
///            ──► Commit       ──► answer(Committed) ──► …
///            ──► Finished
/// ```
///
/// An answer goes on with what is left of the slice, so that a guest with many calls can't outrun an interrupt.
/// Dropping a job ends it wherever it is.
pub struct Job {
    instance: Instance,
    extension: Extension,
    context: Arc<JobContext>,
    name: String,
    /// What another run goes on from: the job's dispatch, or its newest durable checkpoint.
    newest: Base,
    limits: NoticedLimits,
    /// The state and the fuel that the job was entered with, and whether it was entered again only for a shorter journal.
    entered: (Digest, u64),
    reentered: bool,
    /// No commit of this run is stored yet.
    new_run: bool,
    commits: u64,
    checkpoint: Option<Arc<Checkpoint>>,
    /// The job was stopped while a commit was under way: what is pending may be stored already.
    is_cut: bool,
    phase: Phase,
    meter: Meter,
    /// What the guest's function that runs has returned, once it has. A `plugin_init` may return nothing: `results` is
    /// 0 then, and this 0 says that it went well.
    returned: [Val; 1],
    results: usize,
    entry: Entry,
    /// The job's place among those that run at a time, unless it has left it.
    place: Option<Place>,
}

enum Phase {
    New,
    Suspended(ResumableCallOutOfFuel),
    /// A host function returns this value once there is a slice for it.
    Returning(ResumableCallHostTrap, Option<i32>),
    /// Waits for the answer to a call.
    Calling(ResumableCallHostTrap, Arc<Call>),
    /// Waits for a commit to become durable, and what then.
    Committing(ResumableCallHostTrap, Arc<Commit>, Then),
    Finished(Outcome),
}

/// What a job waited for, with its answer.
enum Asked {
    Call(Arc<Call>, Reply),
    Commit(Then, bool),
}

impl Job {
    pub(crate) fn enter(
        extension: &Extension,
        registry: &Registry,
        name: &str,
        base: Base,
        journal: Journal,
    ) -> Result<Self, StartError> {
        extension.check_state(&base.start.state)?;
        let limits = extension.limits();
        let place = extension
            .shared()
            .take_place()
            .ok_or(StartError::Concurrency { limit: limits.concurrent_jobs })?;
        let full_name = format!("{}:{name}", extension.id());
        let entry = registry
            .enter(base.start.id, extension.id(), full_name)
            .ok_or(StartError::Running(base.start.id))?;
        Self::instantiate(extension.clone(), name.to_owned(), base, journal, entry, Some(place))
    }

    fn instantiate(
        extension: Extension,
        name: String,
        base: Base,
        journal: Journal,
        entry: Entry,
        place: Option<Place>,
    ) -> Result<Self, StartError> {
        let context = entry.context().clone();
        context.with_report(|report| report.clone_from(&base.report));
        let new_run = !journal.is_replaying();
        let resumable = extension.job(&name).is_some_and(|job| job.resumable);
        let journal = if resumable { journal } else { journal.replay_only() };
        let role = JobRole {
            context: context.clone(),
            calls: base.calls,
            interrupt: Interrupt::None,
            asks: false,
            told: false,
            reentry: Reentry::default(),
            journal,
        };
        let limits = extension.limits();
        let noticed = base.limits.unwrap_or_else(|| limits.noticed());
        let mut meter = Meter::new(limits, extension.module().shape.most_locals, base.fuel_used);
        let (module, linker) = extension.compiled();
        let fuel = limits.init_fuel.min(meter.left());
        let guest = extension.shared().guest_of_job(role, noticed);
        let (instance, used) = Instance::new(module, linker, guest, fuel).map_err(StartError::Instance)?;
        meter.add(used);
        context.set_fuel_used(meter.used());
        Ok(Self {
            instance,
            extension,
            context,
            name,
            limits: noticed,
            entered: (Digest::of(&base.start.state), base.fuel_used),
            reentered: false,
            new_run,
            commits: 0,
            checkpoint: None,
            is_cut: false,
            newest: base,
            phase: Phase::New,
            meter,
            returned: [Val::I32(0)],
            results: 1,
            entry,
            place,
        })
    }

    /// What others see of the job, and where they ask it to stop.
    #[must_use]
    pub fn context(&self) -> &Arc<JobContext> {
        &self.context
    }

    /// The extension that the job belongs to.
    #[must_use]
    pub fn extension(&self) -> &Extension {
        &self.extension
    }

    /// The state that the job goes on from: that of its newest durable checkpoint, else that of its dispatch.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        &self.newest.start.state
    }

    /// The call that the job waits for, if it waits for one.
    #[must_use]
    pub fn call(&self) -> Option<&Arc<Call>> {
        match &self.phase {
            Phase::Calling(_, call) => Some(call),
            _ => None,
        }
    }

    /// The commit that the job waits for, if it waits for one.
    #[must_use]
    pub fn commit(&self) -> Option<&Arc<Commit>> {
        match &self.phase {
            Phase::Committing(_, commit, _) => Some(commit),
            _ => None,
        }
    }

    /// The newest checkpoint of this run that is durable, or was when the run that is replayed made it.
    #[must_use]
    pub fn newest_checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        self.checkpoint.as_ref()
    }

    /// What a replay has given to the guest since this was called last; nothing unless
    /// [`Extension::replay`](crate::Extension::replay) made the job.
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<Replayed> {
        self.journal_mut().map(Journal::take_trace).unwrap_or_default()
    }

    /// Whether the job gets again what it got before a crash. Then nothing that it does has an effect.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.instance.store.data().is_replaying()
    }

    /// Gives the job's place among those that run at a time to others. It must not be stepped until it has one again.
    pub fn leave_place(&mut self) {
        self.place = None;
    }

    /// Takes a place among those that run at a time, unless the job has one. Says whether it has one now.
    pub fn take_place(&mut self) -> bool {
        if self.place.is_none() {
            self.place = self.extension.shared().take_place();
        }
        self.place.is_some()
    }

    /// Bytes of linear memory that the job has now.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.instance.store.data().memory.map_or(0, |memory| memory.data_size(&self.instance.store))
    }

    /// Runs the job for a slice of `fuel`, at most 1,000,000, or for as much more as its next block of instructions needs.
    ///
    /// The thread needs 2 MiB of stack, and for jobs with more than 64 MiB of memory 1 MiB for each 64 MiB.
    ///
    /// A job that was asked to stop gets no more slices, unless it asks for interrupts itself: then it is told, and
    /// gets [`grace_fuel`](crate::Limits::grace_fuel) to checkpoint and return. `now` is a clock that only goes
    /// forward, in milliseconds, the same for all jobs of an extension: its limit of requests per minute needs it.
    ///
    /// # Errors
    /// [`OutOfTurn::Waits`] while the job waits for an answer and nobody asked it to stop.
    pub fn step(&mut self, fuel: u64, now: Millis) -> Result<Step, OutOfTurn> {
        let interrupt = self.context.control().interrupt();
        let required = match &self.phase {
            Phase::Finished(outcome) => return Ok(Step::Finished(outcome.clone())),
            Phase::Calling(..) | Phase::Committing(..) if interrupt == Interrupt::None => {
                return Err(OutOfTurn::Waits);
            }
            Phase::Calling(..) | Phase::Committing(..) => {
                self.is_cut |= matches!(self.phase, Phase::Committing(..)) && interrupt == Interrupt::Cancel;
                return Ok(self.stop(interrupt));
            }
            Phase::New | Phase::Returning(..) => 0,
            Phase::Suspended(call) => call.required_fuel(),
        };
        self.meter.interrupt(interrupt != Interrupt::None);
        if interrupt != Interrupt::None && !(self.heeds(interrupt) && self.meter.has_grace(required)) {
            return Ok(self.stop(interrupt));
        }
        if let Some(limit) = self.meter.too_long(required) {
            return Ok(self.fault(Fault::Block { required, limit }));
        }
        let Some(grant) = self.meter.grant(fuel, required) else {
            let limit = self.extension.limits().fuel_per_job;
            return Ok(self.fault(Fault::Fuel { of: self.context.job().to_owned(), limit }));
        };
        self.tell(interrupt);
        set_fuel(&mut self.instance.store, grant);
        let event = match core::mem::replace(&mut self.phase, Phase::New) {
            Phase::Suspended(call) => {
                Ok(call.resume(&mut self.instance.store, &mut self.returned[..self.results]))
            }
            Phase::Returning(call, value) => Ok(self.resume_from_host(call, value)),
            _ => self.begin(),
        };
        let step = self.drive(event.map(Turn::Event), now);
        Ok(self.settled(step))
    }

    /// Gives the job what it waits for, and goes on with what is left of its slice.
    ///
    /// # Errors
    /// [`OutOfTurn::NotAsked`] if the job does not wait for this very answer.
    pub fn answer(&mut self, answer: Answer, now: Millis) -> Result<Step, OutOfTurn> {
        let interrupt = self.context.control().interrupt();
        let (call, asked) = match (core::mem::replace(&mut self.phase, Phase::New), answer) {
            (Phase::Calling(trap, call), Answer::Reply { call: number, reply })
                if call.key.number == number =>
            {
                (trap, Asked::Call(call, reply))
            }
            (Phase::Committing(trap, commit, then), Answer::Committed { commit: number, durable })
                if commit.number == number =>
            {
                (trap, Asked::Commit(then, durable))
            }
            (phase, _) => {
                self.phase = phase;
                return Err(OutOfTurn::NotAsked);
            }
        };
        self.meter.interrupt(interrupt != Interrupt::None);
        if matches!(asked, Asked::Commit(..)) {
            self.meter.committed();
        }
        let goes_on = interrupt == Interrupt::None || (self.heeds(interrupt) && self.meter.has_grace(0));
        if goes_on {
            self.tell(interrupt);
        }
        let turn = match asked {
            Asked::Call(request, reply) => self.replied(call, &request, reply),
            Asked::Commit(then, durable) => self.committed(call, then, durable),
        };
        let step = match turn {
            // What it got is kept for when it goes on.
            Ok(Turn::Return(call, value)) if !goes_on => {
                self.phase = Phase::Returning(call, value);
                self.stop(interrupt)
            }
            Ok(Turn::Step(Step::Call(_))) if !goes_on => self.stop(interrupt),
            turn => self.drive(turn, now),
        };
        Ok(self.settled(step))
    }

    /// Starts the next run of a job, from its newest durable checkpoint or from its dispatch, in a new instance.
    ///
    /// This is how a job that was interrupted goes on. Its context stays: a pause still holds until it is resumed.
    ///
    /// # Errors
    /// [`StartError::Instance`] if the instance can't be made, for want of memory or of fuel.
    pub fn next_run(self) -> Result<Self, StartError> {
        let told_to_reenter = self.role().is_some_and(|role| role.reentry.was_told);
        let Self { instance, extension, name, mut newest, meter, entry, place, commits, entered, .. } = self;
        drop(instance); // Its memory may be needed for the next one.
        newest.fuel_used = meter.used();
        // What was logged stays logged: another run is no way around the limit.
        let report = entry.context().report();
        (newest.report.log_lines, newest.report.log_lines_dropped) =
            (report.log_lines, report.log_lines_dropped);
        entry.context().control().reentered();
        let mut next = Self::instantiate(extension, name, newest, Journal::default(), entry, place)?;
        next.commits = commits;
        next.reentered = told_to_reenter && entered.0 == next.entered.0;
        Ok(next)
    }

    fn role(&self) -> Option<&JobRole> {
        match &self.instance.store.data().role {
            Role::Job(role) => Some(role),
            Role::Load | Role::Unload => None,
        }
    }

    /// Whether the guest can be expected to stop by itself: it asks, and can go on later from where it stopped.
    pub(crate) fn heeds(&self, interrupt: Interrupt) -> bool {
        self.role().is_some_and(|role| role.asks) && (self.is_resumable() || interrupt == Interrupt::Cancel)
    }

    /// Whether the job can go on from a checkpoint.
    fn is_resumable(&self) -> bool {
        self.extension.job(&self.name).is_some_and(|job| job.resumable)
    }

    /// What the guest gets to hear when it asks.
    fn tell(&mut self, interrupt: Interrupt) {
        let before = self.role().map(|role| role.reentry).unwrap_or_default();
        let reentry = self.reentry(before);
        let guest = self.instance.store.data_mut();
        guest.fuel_end = self.meter.end();
        if let Some(role) = guest.job() {
            role.interrupt = interrupt;
            role.reentry = reentry;
        }
    }

    fn stop(&mut self, interrupt: Interrupt) -> Step {
        match interrupt {
            Interrupt::Cancel => self.finish(Outcome::Cancelled),
            Interrupt::Pause | Interrupt::None => Step::Paused,
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.phase = Phase::Finished(outcome.clone());
        Step::Finished(outcome)
    }

    fn settled(&mut self, step: Step) -> Step {
        self.meter.settle(&mut self.instance.store);
        self.context.set_fuel_used(self.meter.used());
        step
    }
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Job").field("context", &self.context).finish_non_exhaustive()
    }
}
