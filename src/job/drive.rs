//! The way between the interpreter and a job's steps: what the guest's functions are called with, and what it means
//! that the interpreter came back.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use toehold_abi::{INIT, Interrupt, JobResult, LogLevel};
use wasmi::{Error, Func, ResumableCall, ResumableCallHostTrap, Val};

use super::{Job, Phase};
use crate::{
    Failure, FailureCause, Fault, Millis, Outcome, Reply, Step,
    call::error_json,
    guest::{Request, Within},
    host_functions::charge,
    instance::{Instance, to_fault},
    report::cut,
    start::context_json,
};

/// Why the interpreter came back.
pub(super) type Event = Result<ResumableCall, Error>;

/// What is next for a job.
pub(super) enum Turn {
    /// The interpreter came back.
    Event(Event),
    /// A host function returns this to the guest.
    Return(ResumableCallHostTrap, Option<i32>),
    /// The job stands still.
    Step(Step),
}

impl Job {
    /// Calls `plugin_init`, or the job where there is none.
    pub(super) fn begin(&mut self) -> Result<Event, Fault> {
        let Instance { store, instance } = &mut self.instance;
        let Some(init) = instance.get_func(&*store, INIT) else { return self.execute() };
        store.data_mut().within = Within::Init;
        self.results = init.ty(&*store).results().len().min(1);
        Ok(init.call_resumable(store, &[], &mut self.returned[..self.results]))
    }

    /// Hands over context and state, and calls the job's export.
    fn execute(&mut self) -> Result<Event, Fault> {
        let start = &self.newest.start;
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

    /// What the guest gets for a reply: JSON, within the limit.
    pub(super) fn reply_json(&self, reply: Reply) -> Vec<u8> {
        let limit = self.extension.limits().reply_bytes;
        match reply {
            Ok(json) if json.len() <= limit => json,
            Ok(json) => refusal(&format!("the reply has {} bytes, the limit is {limit}", json.len()), limit),
            Err(text) => refusal(&text, limit),
        }
    }

    /// Writes a reply into the guest. Where it is, or 0.
    pub(super) fn write_reply(&mut self, json: &[u8]) -> Result<i32, Fault> {
        charge(&mut self.instance.store, json.len());
        let pointer = match u32::try_from(json.len()) {
            Ok(length) => self.hand_over(&[&length.to_le_bytes(), json])?,
            Err(_) => 0,
        };
        Ok(pointer.cast_signed())
    }

    pub(super) fn resume_from_host(&mut self, call: ResumableCallHostTrap, value: Option<i32>) -> Event {
        let value = value.map(Val::I32);
        call.resume(&mut self.instance.store, value.as_slice(), &mut self.returned[..self.results])
    }

    /// Takes the interpreter's word, and goes on for as long as the core can answer by itself.
    pub(super) fn drive(&mut self, mut turn: Result<Turn, Fault>, now: Millis) -> Step {
        loop {
            self.meter.settle(&mut self.instance.store);
            turn = match turn {
                Err(fault) => return self.fault(fault),
                Ok(Turn::Step(step)) => return step,
                Ok(Turn::Return(call, value)) if self.meter.is_spent() => {
                    // In the next slice: a guest with many calls must not outrun an interrupt.
                    self.phase = Phase::Returning(call, value);
                    return Step::Yielded;
                }
                Ok(Turn::Return(call, value)) => Ok(Turn::Event(self.resume_from_host(call, value))),
                Ok(Turn::Event(Ok(ResumableCall::OutOfFuel(call)))) => {
                    self.phase = Phase::Suspended(call);
                    return Step::Yielded;
                }
                Ok(Turn::Event(Ok(ResumableCall::HostTrap(call)))) => {
                    match self.instance.store.data_mut().request.take() {
                        Some(Request::Call(digest, request)) => self.called(call, digest, Ok(request), now),
                        Some(Request::Refused(digest, text)) => self.called(call, digest, Err(text), now),
                        Some(Request::Checkpoint(state)) => self.checkpoint(call, state),
                        Some(Request::StateTooLarge(state)) => self.state_too_large(call, state),
                        Some(Request::Return(value)) => Ok(Turn::Return(call, value)),
                        None => return self.trap(call.host_error()),
                    }
                }
                Ok(Turn::Event(Ok(ResumableCall::Finished))) => match self.finished() {
                    Some(outcome) => return self.ended(outcome),
                    None => self.execute().map(Turn::Event),
                },
                Ok(Turn::Event(Err(error))) => return self.trap(&error),
            };
        }
    }

    /// A run that is over; on replay, it must be over where it was before.
    fn ended(&mut self, outcome: Outcome) -> Step {
        match self.journal().map_or(Ok(()), |journal| journal.end()) {
            Ok(()) => self.finish(outcome),
            Err(diverged) => self.fault(diverged.into()),
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

    pub(super) fn fault(&mut self, fault: Fault) -> Step {
        let outcome = self.failure(FailureCause::Fault(fault));
        self.finish(outcome)
    }

    fn failure(&self, cause: FailureCause) -> Outcome {
        let mut lines = self.context.log_tail();
        lines.retain(|line| line.level == LogLevel::Error);
        let last_error = lines.pop().map(|line| line.text);
        Outcome::Failed(Failure { cause, last_error })
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
