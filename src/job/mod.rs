mod drive;

use alloc::{borrow::ToOwned, format, string::String, sync::Arc, vec::Vec};

use toehold_abi::{Checkpointed, Interrupt};
use wasmi::{ResumableCallHostTrap, ResumableCallOutOfFuel, Val};

use crate::{
    Answer, Call, Checkpoint, Extension, Fault, JobContext, Millis, OutOfTurn, Outcome, StartError, Step,
    extension::Place,
    guest::{JobRole, Role},
    instance::{Instance, set_fuel},
    meter::Meter,
    registry::{Entry, Registry},
    start::Base,
};

/// A job that runs: one instance of its extension, stepped slice by slice.
///
/// ```text
/// step(fuel) ──► Yielded      step again
///            ──► Paused       step again once it is resumed
///            ──► Call         ──► answer(Reply)        ──► …
///            ──► Checkpoint   ──► answer(Checkpointed) ──► …
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
    /// What the job goes on from: its dispatch, or the newest durable checkpoint.
    base: Base,
    phase: Phase,
    meter: Meter,
    /// What the guest's function that runs has returned, once it has. A `plugin_init` may return nothing: `results` is
    /// 0 then, and this 0 says that it went well.
    returned: [Val; 1],
    results: usize,
    entry: Entry,
    place: Place,
}

enum Phase {
    New,
    Suspended(ResumableCallOutOfFuel),
    /// A host function returns this value once there is a slice for it.
    Returning(ResumableCallHostTrap, Option<i32>),
    /// Waits for the answer to a call.
    Calling(ResumableCallHostTrap, Arc<Call>),
    /// Waits for the answer to a checkpoint.
    Saving(ResumableCallHostTrap, Arc<Checkpoint>),
    Finished(Outcome),
}

impl Job {
    pub(crate) fn enter(
        extension: &Extension,
        registry: &Registry,
        name: &str,
        base: Base,
    ) -> Result<Self, StartError> {
        extension.find_job(name)?;
        let limits = extension.limits();
        let bytes = base.start.state.len();
        if bytes > limits.state_bytes {
            return Err(StartError::StateTooLarge { bytes, limit: limits.state_bytes });
        }
        let place = extension
            .shared()
            .take_place()
            .ok_or(StartError::Concurrency { limit: limits.concurrent_jobs })?;
        let full_name = format!("{}:{name}", extension.id());
        let entry = registry
            .enter(base.start.id, extension.id(), full_name)
            .ok_or(StartError::Running(base.start.id))?;
        Self::instantiate(extension.clone(), name.to_owned(), base, entry, place)
    }

    fn instantiate(
        extension: Extension,
        name: String,
        base: Base,
        entry: Entry,
        place: Place,
    ) -> Result<Self, StartError> {
        let context = entry.context().clone();
        context.with_report(|report| report.clone_from(&base.report));
        let role = Role::Job(JobRole {
            context: context.clone(),
            calls: base.calls,
            interrupt: Interrupt::None,
            asks: false,
            told: false,
        });
        let limits = extension.limits();
        let mut meter = Meter::new(limits, base.fuel_used);
        let (module, linker) = extension.compiled();
        let fuel = limits.init_fuel.min(meter.left());
        let (instance, used) = Instance::new(module, linker, extension.shared().guest(role), fuel)
            .map_err(StartError::Instance)?;
        meter.add(used);
        context.set_fuel_used(meter.used());
        Ok(Self {
            instance,
            extension,
            context,
            name,
            base,
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
        &self.base.start.state
    }

    /// The call that the job waits for, if it waits for one.
    #[must_use]
    pub fn call(&self) -> Option<&Arc<Call>> {
        match &self.phase {
            Phase::Calling(_, call) => Some(call),
            _ => None,
        }
    }

    /// The checkpoint that the job waits for, if it waits for one.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        match &self.phase {
            Phase::Saving(_, checkpoint) => Some(checkpoint),
            _ => None,
        }
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
            Phase::Calling(..) | Phase::Saving(..) if interrupt == Interrupt::None => {
                return Err(OutOfTurn::Waits);
            }
            Phase::Calling(..) | Phase::Saving(..) => return Ok(self.stop(interrupt)),
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
        let step = self.drive(event.map(Some), now);
        Ok(self.settled(step))
    }

    /// Gives the job what it waits for, and goes on with what is left of its slice.
    ///
    /// # Errors
    /// [`OutOfTurn::NotAsked`] if the job does not wait for an answer of this kind.
    pub fn answer(&mut self, answer: Answer, now: Millis) -> Result<Step, OutOfTurn> {
        let interrupt = self.context.control().interrupt();
        let (call, answer) = match (core::mem::replace(&mut self.phase, Phase::New), answer) {
            (Phase::Calling(call, _), Answer::Reply(reply)) => (call, Ok(reply)),
            (Phase::Saving(call, checkpoint), Answer::Checkpointed(answer)) => {
                if answer == Checkpointed::Durable {
                    self.note_durable(&checkpoint);
                }
                (call, Err(answer))
            }
            (phase, _) => {
                self.phase = phase;
                return Err(OutOfTurn::NotAsked);
            }
        };
        self.meter.interrupt(interrupt != Interrupt::None);
        let goes_on = interrupt == Interrupt::None || (self.heeds(interrupt) && self.meter.has_grace(0));
        if goes_on {
            self.tell(interrupt);
        }
        let value = match answer {
            Ok(reply) => self.write_reply(reply),
            Err(answer) => Ok(answer.code()),
        };
        let step = match value {
            Ok(value) if goes_on => {
                let event = self.return_to_guest(call, Some(value));
                self.drive(event, now)
            }
            Ok(value) => {
                self.phase = Phase::Returning(call, Some(value));
                self.stop(interrupt)
            }
            Err(fault) => self.fault(fault),
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
        let Self { instance, extension, name, mut base, meter, entry, place, .. } = self;
        drop(instance); // Its memory may be needed for the next one.
        base.fuel_used = meter.used();
        // What was logged stays logged: another run is no way around the limit.
        let report = entry.context().report();
        (base.report.log_lines, base.report.log_lines_dropped) = (report.log_lines, report.log_lines_dropped);
        Self::instantiate(extension, name, base, entry, place)
    }

    fn make_checkpoint(&self, state: Vec<u8>) -> Checkpoint {
        let manifest = self.extension.manifest();
        let sequence = self.base.sequence.saturating_add(1);
        let mut report = self.context.report();
        report.checkpoints = sequence;
        Checkpoint {
            job_id: self.base.start.id,
            library: self.base.start.library,
            extension: manifest.id().to_owned(),
            extension_version: manifest.version().to_owned(),
            state_version: manifest.state_version(),
            module_hash: self.extension.module().hash,
            job: self.name.clone(),
            sequence,
            calls: self.role().map_or(0, |role| role.calls),
            fuel_used: self.meter.used(),
            limits: self.extension.limits().noticed(),
            report,
            state,
        }
    }

    fn note_durable(&mut self, checkpoint: &Checkpoint) {
        self.base.start.state.clone_from(&checkpoint.state);
        self.base.sequence = checkpoint.sequence;
        self.base.calls = checkpoint.calls;
        self.base.report.clone_from(&checkpoint.report);
        self.context.with_report(|report| report.checkpoints = checkpoint.sequence);
    }

    fn role(&self) -> Option<&JobRole> {
        match &self.instance.store.data().role {
            Role::Job(role) => Some(role),
            Role::Load | Role::Unload => None,
        }
    }

    /// Whether the guest can be expected to stop by itself: it asks, and can go on later from where it stopped.
    pub(crate) fn heeds(&self, interrupt: Interrupt) -> bool {
        let resumable = self.extension.job(&self.name).is_some_and(|job| job.resumable);
        self.role().is_some_and(|role| role.asks) && (resumable || interrupt == Interrupt::Cancel)
    }

    /// What the guest gets to hear when it asks.
    fn tell(&mut self, interrupt: Interrupt) {
        if let Some(role) = self.instance.store.data_mut().job() {
            role.interrupt = interrupt;
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
