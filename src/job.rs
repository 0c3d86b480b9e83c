use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use toehold_abi::{Checkpointed, INIT, Interrupt, JobResult, LogLevel};
use wasmi::{Error, Func, ResumableCall, ResumableCallHostTrap, ResumableCallOutOfFuel, Val};

use crate::{
    Answer, Call, Checkpoint, Extension, Failure, FailureCause, Fault, JobContext, Millis, OutOfTurn,
    Outcome, Reply, StartError, Step,
    call::error_json,
    extension::Place,
    guest::{JobRole, Request, Role, Within},
    host_functions::charge,
    instance::{Instance, set_fuel, to_fault},
    meter::Meter,
    registry::{Entry, Registry},
    report::cut,
    start::{Base, context_json},
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
    /// Waits for the answer to a call.
    Calling(ResumableCallHostTrap, Arc<Call>),
    /// Waits for the answer to a checkpoint.
    Saving(ResumableCallHostTrap, Arc<Checkpoint>),
    Finished(Outcome),
}

/// Why the interpreter came back.
type Event = Result<ResumableCall, Error>;

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

    /// Runs the job for a slice of `fuel`, or for as much more as its next block of instructions needs.
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
            Phase::New => 0,
            Phase::Suspended(call) => call.required_fuel(),
        };
        self.meter.interrupt(interrupt != Interrupt::None);
        if interrupt != Interrupt::None && !(self.heeds(interrupt) && self.meter.has_grace(required)) {
            return Ok(self.stop(interrupt));
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
            _ => self.begin(),
        };
        let step = self.drive(event, now);
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
        if interrupt == Interrupt::None || (self.heeds(interrupt) && self.meter.has_grace(0)) {
            self.tell(interrupt);
        }
        let event = match answer {
            Ok(reply) => self.reply(call, reply),
            Err(answer) => Ok(self.return_to_guest(call, answer.code())),
        };
        let step = self.drive(event, now);
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
        Self::instantiate(extension, name, base, entry, place)
    }

    /// Calls `plugin_init`, or the job where there is none.
    fn begin(&mut self) -> Result<Event, Fault> {
        let Instance { store, instance } = &mut self.instance;
        let Some(init) = instance.get_func(&*store, INIT) else { return self.execute() };
        store.data_mut().within = Within::Init;
        self.results = init.ty(&*store).results().len().min(1);
        Ok(init.call_resumable(store, &[], &mut self.returned[..self.results]))
    }

    /// Hands over context and state, and calls the job's export.
    fn execute(&mut self) -> Result<Event, Fault> {
        let start = &self.base.start;
        let context = context_json(start.id, start.library);
        let state = start.state.clone();
        charge(&mut self.instance.store, context.len() + state.len());
        let (context_ptr, context_len) = self.input(context.as_bytes())?;
        let (state_ptr, state_len) = self.input(&state)?;
        self.instance.store.data_mut().within = Within::Execute;
        let Some(func) = self.export() else {
            return Err(Fault::Code { export: self.name.clone(), code: 0 });
        };
        let arguments = [context_ptr, context_len, state_ptr, state_len].map(Val::I32);
        self.results = 1;
        Ok(func.call_resumable(&mut self.instance.store, &arguments, &mut self.returned))
    }

    fn export(&self) -> Option<Func> {
        let job = self.extension.job(&self.name)?;
        self.instance.instance.get_func(&self.instance.store, &job.export)
    }

    /// A block of the guest's with these bytes, as pointer and length.
    fn input(&mut self, bytes: &[u8]) -> Result<(i32, i32), Fault> {
        if bytes.is_empty() {
            return Ok((0, 0));
        }
        let pointer = self.hand_over(&[bytes])?;
        let length = bytes.len() as u32; // At most `Limits::state_bytes`, and `hand_over` refused more than 4 GiB.
        if pointer == 0 {
            return Err(Fault::OutOfMemory { bytes: length });
        }
        Ok((pointer.cast_signed(), length.cast_signed()))
    }

    fn hand_over(&mut self, parts: &[&[u8]]) -> Result<u32, Fault> {
        self.meter.settle(&mut self.instance.store);
        let fuel = self.extension.limits().alloc_fuel.min(self.meter.left());
        let (pointer, used) = self.instance.hand_over(parts, fuel)?;
        self.meter.spend(used, &mut self.instance.store);
        Ok(pointer)
    }

    /// Writes a reply into the guest and returns from its call.
    fn reply(&mut self, call: ResumableCallHostTrap, reply: Reply) -> Result<Event, Fault> {
        let limit = self.extension.limits().reply_bytes;
        let json = match reply {
            Ok(json) if json.len() <= limit => json,
            Ok(json) => refusal(&format!("the reply has {} bytes, the limit is {limit}", json.len()), limit),
            Err(text) => refusal(&text, limit),
        };
        charge(&mut self.instance.store, json.len());
        let pointer = match u32::try_from(json.len()) {
            Ok(length) => self.hand_over(&[&length.to_le_bytes(), &json])?,
            Err(_) => 0,
        };
        Ok(self.return_to_guest(call, pointer.cast_signed()))
    }

    fn return_to_guest(&mut self, call: ResumableCallHostTrap, value: i32) -> Event {
        call.resume(&mut self.instance.store, &[Val::I32(value)], &mut self.returned[..self.results])
    }

    /// Takes the interpreter's word, and goes on for as long as the core can answer by itself.
    fn drive(&mut self, mut event: Result<Event, Fault>, now: Millis) -> Step {
        loop {
            self.meter.settle(&mut self.instance.store);
            let returned = match event {
                Ok(returned) => returned,
                Err(fault) => return self.fault(fault),
            };
            event = match returned {
                Ok(ResumableCall::OutOfFuel(call)) => {
                    self.phase = Phase::Suspended(call);
                    return Step::Yielded;
                }
                Ok(ResumableCall::HostTrap(call)) => match self.instance.store.data_mut().request.take() {
                    Some(Request::Refused(text)) => self.reply(call, Err(text)),
                    Some(Request::Call(request)) => {
                        match self.extension.shared().admit(&request.method, now) {
                            Ok(()) => {
                                let request = Arc::new(request);
                                self.phase = Phase::Calling(call, request.clone());
                                return Step::Call(request);
                            }
                            Err(text) => self.reply(call, Err(text)),
                        }
                    }
                    Some(Request::Checkpoint(state)) => {
                        let checkpoint = Arc::new(self.make_checkpoint(state));
                        self.phase = Phase::Saving(call, checkpoint.clone());
                        return Step::Checkpoint(checkpoint);
                    }
                    None => return self.trap(call.host_error()),
                },
                Ok(ResumableCall::Finished) => match self.finished() {
                    Some(outcome) => return self.finish(outcome),
                    None => self.execute(),
                },
                Err(error) => return self.trap(&error),
            };
        }
    }

    /// What the end of a guest's function means; `None` to call the job's export, for the first time or again.
    fn finished(&self) -> Option<Outcome> {
        let [Val::I32(code)] = self.returned else { return None };
        let fault = |export: String| self.failure(FailureCause::Fault(Fault::Code { export, code }));
        if self.instance.store.data().within == Within::Init {
            return (code != 0).then(|| fault(INIT.to_string()));
        }
        match JobResult::from_code(code) {
            Some(JobResult::Completed) => Some(Outcome::Completed),
            Some(JobResult::Interrupted) if self.context.control().interrupt() == Interrupt::Cancel => {
                Some(Outcome::Cancelled)
            }
            Some(JobResult::Interrupted) => {
                if !self.role().is_some_and(|role| role.told) {
                    // Nobody asked it to stop: it paused itself, and goes on once somebody resumes it. To enter it
                    // again at once could go on for ever.
                    self.context.control().pause();
                }
                Some(Outcome::Interrupted)
            }
            Some(JobResult::Failed) => Some(self.failure(FailureCause::Returned)),
            Some(JobResult::StepDone) => None,
            None => Some(fault(self.export_name())),
        }
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
    fn heeds(&self, interrupt: Interrupt) -> bool {
        let resumable = self.extension.job(&self.name).is_some_and(|job| job.resumable);
        self.role().is_some_and(|role| role.asks) && (resumable || interrupt == Interrupt::Cancel)
    }

    /// What the guest gets to hear when it asks.
    fn tell(&mut self, interrupt: Interrupt) {
        if let Some(role) = self.instance.store.data_mut().job() {
            role.interrupt = interrupt;
        }
    }

    fn export_name(&self) -> String {
        self.extension.job(&self.name).map_or_else(String::new, |job| job.export.clone())
    }

    fn trap(&mut self, error: &Error) -> Step {
        let within = self.instance.store.data().within;
        let export = if within == Within::Init { INIT.to_string() } else { self.export_name() };
        let limit = self.extension.limits().fuel_per_job;
        let fault = to_fault(self.instance.store.data_mut(), error, &export, limit);
        self.fault(fault)
    }

    fn fault(&mut self, fault: Fault) -> Step {
        let outcome = self.failure(FailureCause::Fault(fault));
        self.finish(outcome)
    }

    fn failure(&self, cause: FailureCause) -> Outcome {
        let mut lines = self.context.log_tail();
        lines.retain(|line| line.level == LogLevel::Error);
        let last_error = lines.pop().map(|line| line.text);
        Outcome::Failed(Failure { cause, last_error })
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

/// An error as a reply of at most `limit` bytes, if that holds any error at all.
fn refusal(text: &str, limit: usize) -> Vec<u8> {
    let json = error_json(text);
    if json.len() <= limit {
        return json;
    }
    // A byte takes up to 6 bytes in JSON, and the object around the text 12.
    error_json(&cut(text, limit.saturating_sub(12) / 6))
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Job").field("context", &self.context).finish_non_exhaustive()
    }
}
