//! The nine host functions, each with its effect on the job or as a request for the shell.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};

use toehold_abi::{EXECUTE_SIGNATURE, HostFunction, IMPORT_MODULE, LogLevel, Registered};
use wasmi::{Caller, Extern, FuncType, Linker, Memory, errors::LinkerError};

use crate::{
    call::{Call, CallKey},
    engine::func_type,
    fault::Fault,
    guest::{Guest, Registration, Request, Role, Within},
    journal_entry::{CallDigest, Digest},
    pointer::Claim,
    report::cut,
};

/// Fuel that a call of any host function costs, besides what its bytes cost. About what the host spends on one.
const CALL_FUEL: u64 = 32;
/// Bytes of a guest that a host function reads or writes for a unit of fuel.
const BYTES_PER_FUEL: u64 = 16;
/// Bytes of a method's name.
const METHOD_BYTES: usize = 256;
/// Jobs that an extension may register, and refused ones that are remembered.
const REGISTRATIONS: usize = 256;
/// Bytes of a name that was refused, as far as it is told of.
const TOLD_BYTES: usize = 100;

type Env<'a> = Caller<'a, Guest>;
type Result<T, E = wasmi::Error> = core::result::Result<T, E>;

/// What a host function returns to its guest: nothing, or an integer.
trait Answer: Copy {
    fn value(self) -> Option<i32>;
}

impl Answer for () {
    fn value(self) -> Option<i32> {
        None
    }
}

impl Answer for i32 {
    fn value(self) -> Option<i32> {
        Some(self)
    }
}

/// Stops the interpreter, so that the shell can see to [`Guest::request`].
#[derive(Debug)]
pub(crate) struct Parked;

impl core::fmt::Display for Parked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the guest waits for the host")
    }
}

impl wasmi::errors::HostError for Parked {}

/// Links all nine.
pub(crate) fn link(linker: &mut Linker<Guest>) -> Result<(), LinkerError> {
    use HostFunction as F;
    linker
        .func_wrap(IMPORT_MODULE, F::Call.name(), call)?
        .func_wrap(IMPORT_MODULE, F::Log.name(), log)?
        .func_wrap(IMPORT_MODULE, F::ReportProgress.name(), report_progress)?
        .func_wrap(IMPORT_MODULE, F::Checkpoint.name(), checkpoint)?
        .func_wrap(IMPORT_MODULE, F::CheckInterrupt.name(), check_interrupt)?
        .func_wrap(IMPORT_MODULE, F::AddWarning.name(), add_warning)?
        .func_wrap(IMPORT_MODULE, F::IncrementBytes.name(), increment_bytes)?
        .func_wrap(IMPORT_MODULE, F::IncrementItems.name(), increment_items)?
        .func_wrap(IMPORT_MODULE, F::RegisterJob.name(), register_job)?;
    Ok(())
}

/// Links an import that no host has: it faults once it is called.
pub(crate) fn link_stub(
    linker: &mut Linker<Guest>,
    module: &str,
    name: &str,
    ty: &FuncType,
) -> Result<(), LinkerError> {
    let (owned_module, owned_name) = (module.to_owned(), name.to_owned());
    linker.func_new(module, name, ty.clone(), move |_, _, _| {
        Err(fault(Fault::Unlinked { module: owned_module.clone(), name: owned_name.clone() }))
    })?;
    Ok(())
}

/// Charges a guest for what a host function did to so many of its bytes.
///
/// Where the slice has not enough fuel left, the rest becomes a debt that counts as used, and [`done`] ends the slice:
/// the interpreter looks at its fuel only from block to block, and a block can call the host thousands of times. So a
/// job uses the same fuel in whatever slices, and a guest that keeps the host busy runs out of its slice.
#[inline]
pub(crate) fn charge(mut env: impl wasmi::AsContextMut<Data = Guest>, bytes: usize) {
    let cost = CALL_FUEL + bytes as u64 / BYTES_PER_FUEL;
    let mut env = env.as_context_mut();
    let left = env.get_fuel().unwrap_or(0);
    env.data_mut().debt += cost.saturating_sub(left);
    // Fails only without fuel metering, which every engine of ours has.
    let _ = env.set_fuel(left.saturating_sub(cost));
}

/// Charges a guest for what it hands over, as far as there can be so much: one that claims more than its memory ends for it, and
/// pays no more than for all of it.
#[inline]
fn charge_for<const N: usize>(env: &mut Env<'_>, claims: [Claim; N]) {
    let memory = env.data().memory.map_or(0, |memory| memory.data_size(&*env));
    let bytes = claims.iter().fold(0_usize, |sum, claim| sum.saturating_add(claim.len().min(memory)));
    charge(env, bytes);
}

fn call(
    mut env: Env<'_>,
    method_ptr: i32,
    method_len: i32,
    library_ptr: i32,
    payload_ptr: i32,
    payload_len: i32,
) -> Result<i32> {
    const FUNCTION: HostFunction = HostFunction::Call;
    let method = Claim::bytes(FUNCTION, "method", method_ptr, method_len);
    let payload = Claim::bytes(FUNCTION, "payload", payload_ptr, payload_len);
    charge_for(&mut env, [method, payload]);
    let request = with_memory(&mut env, |memory, guest| {
        let payload = payload.read(memory)?;
        let name = method.read(memory)?;
        let mut digest = CallDigest {
            number: guest.job().map_or(0, |job| job.calls),
            method: String::from_utf8_lossy(name.get(..METHOD_BYTES).unwrap_or(name)).into_owned(),
            library: None,
            payload: Digest::of(payload),
            refused: true,
        };
        if name.len() > METHOD_BYTES {
            let text = format!("the method's name has {} bytes, the limit is {METHOD_BYTES}", name.len());
            return Ok(Request::Refused(digest, text));
        }
        let method_name = method.read_str(memory)?;
        let library = match library_ptr {
            0 => None,
            pointer => Some(Claim::uuid(FUNCTION, "library_id", pointer).read_uuid(memory)?),
        };
        digest.library = library;
        let limit = guest.extension.limits.payload_bytes;
        let job = match &mut guest.role {
            Role::Job(job) if guest.within == Within::Execute => job,
            _ if guest.within == Within::Init => {
                let text = format!("{method_name}: operations can be called by jobs, not in plugin_init");
                return Ok(Request::Refused(digest, text));
            }
            _ => return Err(Fault::OutOfPlace { function: FUNCTION, within: guest.within.name() }),
        };
        job.calls = job.calls.saturating_add(1);
        digest.number = job.calls;
        let refused = if payload.len() > limit {
            format!("{method_name}: the payload has {} bytes, the limit is {limit}", payload.len())
        } else if let Err(refused) = guest.extension.permit(method_name, library) {
            refused
        } else {
            digest.refused = false;
            let call = Call {
                key: CallKey { job: job.context.id(), number: job.calls },
                extension: guest.extension.id().to_owned(),
                method: method_name.to_owned(),
                library,
                payload: copy(payload)?,
            };
            return Ok(Request::Call(digest, call));
        };
        Ok(Request::Refused(digest, refused))
    })?;
    park(env, request)
}

/// A guest says how much there is to copy, so it is the guest that fails where there is no room for it.
fn copy(bytes: &[u8]) -> core::result::Result<Vec<u8>, Fault> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| Fault::HostMemory { asked: bytes.len() as u64 })?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

fn log(mut env: Env<'_>, level: i32, ptr: i32, len: i32) -> Result<()> {
    let text = Claim::bytes(HostFunction::Log, "ptr", ptr, len);
    charge_for(&mut env, [text]);
    with_memory(&mut env, |memory, guest| {
        guest.log(LogLevel::from_code(level).unwrap_or(LogLevel::Info), text.read_str(memory)?);
        Ok(())
    })?;
    done(env, ())
}

fn report_progress(
    mut env: Env<'_>,
    job_id_ptr: i32,
    progress: f32,
    message_ptr: i32,
    message_len: i32,
) -> Result<()> {
    const FUNCTION: HostFunction = HostFunction::ReportProgress;
    let message = Claim::bytes(FUNCTION, "message", message_ptr, message_len);
    charge_for(&mut env, [message]);
    with_job(&mut env, FUNCTION, job_id_ptr, |memory, guest| {
        let limit = guest.extension.limits.line_bytes;
        let message = message.read_str(memory)?;
        guest.log_progress(progress, &cut(message, limit));
        if !guest.report(|report| report.set_progress(progress, message, limit)) {
            guest.log(LogLevel::Warn, "job_report_progress: NaN was refused; progress is 0.0 to 1.0");
        }
        Ok(())
    })?;
    done(env, ())
}

fn checkpoint(mut env: Env<'_>, job_id_ptr: i32, state_ptr: i32, state_len: i32) -> Result<i32> {
    const FUNCTION: HostFunction = HostFunction::Checkpoint;
    let state = Claim::bytes(FUNCTION, "state", state_ptr, state_len);
    charge_for(&mut env, [state]);
    let request = with_job(&mut env, FUNCTION, job_id_ptr, |memory, guest| {
        let state = state.read(memory)?;
        let limit = guest.extension.limits.state_bytes;
        // On replay the journal knows what became of it, wherever the limit was then.
        if state.len() > limit && !guest.is_replaying() {
            let text = format!("job_checkpoint: the state has {} bytes, the limit is {limit}", state.len());
            guest.log(LogLevel::Warn, &text);
            return Ok(Request::StateTooLarge(Digest::of(state)));
        }
        Ok(Request::Checkpoint(copy(state)?))
    })?;
    park(env, request)
}

fn check_interrupt(mut env: Env<'_>, job_id_ptr: i32) -> Result<i32> {
    charge(&mut env, 0);
    let left = env.get_fuel().unwrap_or(0);
    let code =
        with_job(&mut env, HostFunction::CheckInterrupt, job_id_ptr, |_, guest| Ok(guest.ask(left).code()))?;
    done(env, code)
}

fn add_warning(mut env: Env<'_>, job_id_ptr: i32, message_ptr: i32, message_len: i32) -> Result<()> {
    const FUNCTION: HostFunction = HostFunction::AddWarning;
    let message = Claim::bytes(FUNCTION, "message", message_ptr, message_len);
    charge_for(&mut env, [message]);
    with_job(&mut env, FUNCTION, job_id_ptr, |memory, guest| {
        let (line, count) = (guest.extension.limits.line_bytes, guest.extension.limits.warnings);
        let message = cut(message.read_str(memory)?, line);
        guest.report(|report| report.add_warning(message, count));
        Ok(())
    })?;
    done(env, ())
}

fn increment_bytes(env: Env<'_>, job_id_ptr: i32, count: i64) -> Result<()> {
    increment(env, HostFunction::IncrementBytes, job_id_ptr, count)
}

fn increment_items(env: Env<'_>, job_id_ptr: i32, count: i64) -> Result<()> {
    increment(env, HostFunction::IncrementItems, job_id_ptr, count)
}

fn increment(mut env: Env<'_>, function: HostFunction, job_id_ptr: i32, count: i64) -> Result<()> {
    charge(&mut env, 0);
    with_job(&mut env, function, job_id_ptr, |_, guest| {
        let Ok(count) = u64::try_from(count) else {
            guest.report(|report| report.refused = report.refused.saturating_add(1));
            guest.log(LogLevel::Warn, &format!("{function}: the negative count {count} was refused"));
            return Ok(());
        };
        guest.report(|report| {
            let sum = match function {
                HostFunction::IncrementBytes => &mut report.bytes,
                _ => &mut report.items,
            };
            *sum = sum.saturating_add(count);
        });
        Ok(())
    })?;
    done(env, ())
}

fn register_job(
    mut env: Env<'_>,
    name_ptr: i32,
    name_len: i32,
    export_ptr: i32,
    export_len: i32,
    resumable: i32,
) -> Result<i32> {
    const FUNCTION: HostFunction = HostFunction::RegisterJob;
    let name = Claim::bytes(FUNCTION, "name", name_ptr, name_len);
    let export = Claim::bytes(FUNCTION, "export", export_ptr, export_len);
    charge_for(&mut env, [name, export]);
    let (name, export) = with_memory(&mut env, |memory, guest| {
        if guest.within != Within::Init {
            return Err(Fault::OutOfPlace { function: FUNCTION, within: guest.within.name() });
        }
        let limit = guest.extension.limits.line_bytes;
        Ok((cut(name.read_str(memory)?, limit), cut(export.read_str(memory)?, limit)))
    })?;
    let signature = match env.get_export(&export) {
        Some(Extern::Func(func)) => Some(func.ty(&env) == func_type(EXECUTE_SIGNATURE)),
        _ => None,
    };
    let registrations = &mut env.data_mut().registrations;
    let refused = if registrations.len() >= REGISTRATIONS {
        return done(env, Registered::Refused.code());
    } else if !is_job_name(&name) {
        Some("a job's name is 1 to 64 bytes, without ':', white space and control characters".to_string())
    } else if registrations.iter().any(|other| other.refused.is_none() && other.name == name) {
        Some("it is registered already".to_string())
    } else {
        match signature {
            None => Some(format!("the module exports no function `{}`", cut(&export, TOLD_BYTES))),
            Some(false) => {
                let export = cut(&export, TOLD_BYTES);
                Some(format!("the export `{export}` is not of type {EXECUTE_SIGNATURE}"))
            }
            Some(true) => None,
        }
    };
    let code = if refused.is_none() { Registered::Done } else { Registered::Refused };
    // One that is not refused is shorter.
    let name = cut(&name, TOLD_BYTES);
    registrations.push(Registration { name, export, resumable: resumable != 0, refused });
    done(env, code.code())
}

/// Names end up in `EXTENSION_ID:NAME`, on command lines and in logs.
pub(crate) fn is_job_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

/// Ends a host function that was answered in place.
#[inline]
fn done<T: Answer>(env: Env<'_>, answer: T) -> Result<T> {
    if env.data().debt == 0 {
        return Ok(answer);
    }
    park(env, Request::Return(answer.value()))
}

fn park<T>(mut env: Env<'_>, request: Request) -> Result<T> {
    env.data_mut().request = Some(request);
    Err(wasmi::Error::host(Parked))
}

#[inline]
fn with_memory<T>(env: &mut Env<'_>, f: impl FnOnce(&[u8], &mut Guest) -> Result<T, Fault>) -> Result<T> {
    // A `start` function runs before anybody could note where the memory is.
    let memory: Option<Memory> = match env.data().memory {
        Some(memory) => Some(memory),
        None => env.get_export(toehold_abi::MEMORY).and_then(Extern::into_memory),
    };
    match memory {
        Some(memory) => {
            let (bytes, guest) = memory.data_and_store_mut(env);
            f(bytes, guest)
        }
        None => f(&[], env.data_mut()),
    }
    .map_err(fault)
}

/// Like [`with_memory`], for a function that only the running job may call, with its own id.
#[inline]
fn with_job<T>(
    env: &mut Env<'_>,
    function: HostFunction,
    job_id_ptr: i32,
    f: impl FnOnce(&[u8], &mut Guest) -> Result<T, Fault>,
) -> Result<T> {
    with_memory(env, |memory, guest| {
        let id = Claim::uuid(function, "job_id", job_id_ptr).read_uuid(memory)?;
        guest.check_job(function, id)?;
        f(memory, guest)
    })
}

fn fault(fault: Fault) -> wasmi::Error {
    wasmi::Error::host(fault)
}
