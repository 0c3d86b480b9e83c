//! `plugin_init` at load, `plugin_cleanup` at unload, and the migration of a state: one call each, to its end, under fuel
//! of its own.

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};

use toehold_abi::{CLEANUP, INIT};
use wasmi::{Linker, Module, ResumableCall, Store, Val};

use crate::{
    Fault,
    call::error_json,
    extension::ExtensionShared,
    guest::{Guest, Registration, Request, Role, Within},
    instance::{Instance, set_fuel, to_fault},
    meter::{LONGEST_SLICE, for_many_locals},
    module::LoadError,
    pointer,
};

/// What `plugin_init` left behind.
pub(crate) struct Loaded {
    pub(crate) registrations: Vec<Registration>,
    /// Log lines that were over the limit.
    pub(crate) lines_dropped: u64,
}

/// Refused registrations that an error tells of.
const REFUSED: usize = 20;

/// Makes an instance, runs `plugin_init` in it, and gives what it registered.
#[inline(never)]
pub(crate) fn load(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
) -> Result<Loaded, LoadError> {
    let mut refused: Vec<String> = Vec::new();
    let init = |refused: &mut Vec<String>| {
        let mut instance = instantiate(shared, module, linker, Role::Load)?;
        let result = succeed(&mut instance, INIT, Within::Init);
        let registrations = core::mem::take(&mut instance.store.data_mut().registrations);
        let reasons = registrations.iter().filter_map(|registration| {
            let reason = registration.refused.as_ref()?;
            Some(registration.refusal(reason))
        });
        refused.extend(reasons.take(REFUSED));
        let (_, lines_dropped) = instance.store.data().lines;
        result.map(|()| Loaded { registrations, lines_dropped })
    };
    init(&mut refused).map_err(|fault| LoadError::Init { fault, refused })
}

/// Makes an instance as at load, and runs `plugin_cleanup` in it.
///
/// No instance is kept from load to unload for this, which would cost its memory all the while; `plugin_init` is
/// deterministic, so it leaves the new one as it left the first.
pub(crate) fn unload(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
) -> Result<(), Fault> {
    let mut instance = instantiate(shared, module, linker, Role::Unload)?;
    succeed(&mut instance, INIT, Within::Init)?;
    succeed(&mut instance, CLEANUP, Within::Cleanup)
}

/// Makes an instance as at load, and has the guest's `export` migrate a state of an older version. `None` if it can't.
#[inline(never)]
pub(crate) fn migrate(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
    export: &str,
    from_version: u32,
    state: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    let mut instance = instantiate(shared, module, linker, Role::Unload)?;
    succeed(&mut instance, INIT, Within::Init)?;
    let bytes = u32::try_from(state.len()).unwrap_or(u32::MAX);
    let (pointer, _) = instance.hand_over(&[state], shared.limits.alloc_fuel)?;
    if pointer == 0 && !state.is_empty() {
        return Err(Fault::OutOfMemory { bytes });
    }
    let arguments = [from_version, pointer, bytes].map(|argument| Val::I32(argument.cast_signed()));
    let block = call_to_end(&mut instance, export, Within::Migrate, &arguments)?.unwrap_or(0);
    if block == 0 {
        return Ok(None);
    }
    let memory: &[u8] = match instance.store.data().memory {
        Some(memory) => memory.data(&instance.store),
        None => &[],
    };
    pointer::migrated(memory, block.cast_unsigned()).map(|state| Some(state.to_vec()))
}

/// Calls an export that returns nothing or 0, if there is one.
fn succeed(instance: &mut Instance, export: &str, within: Within) -> Result<(), Fault> {
    match call_to_end(instance, export, within, &[])? {
        None | Some(0) => Ok(()),
        Some(code) => Err(Fault::Code { export: export.to_owned(), code }),
    }
}

#[inline(never)]
fn instantiate(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
    role: Role,
) -> Result<Instance, Fault> {
    let fuel = shared.limits.init_fuel;
    Instance::new(module, linker, shared.guest(role), fuel).map(|(instance, _)| instance)
}

/// Calls an export that returns an `i32` or nothing, if there is one, and gives what it returned.
fn call_to_end(
    instance: &mut Instance,
    export: &str,
    within: Within,
    arguments: &[Val],
) -> Result<Option<i32>, Fault> {
    let Instance { store, instance: handle } = &mut *instance;
    let Some(func) = handle.get_func(&*store, export) else { return Ok(None) };
    store.data_mut().within = within;
    let limit = for_many_locals(store.data().extension.limits.init_fuel, store.data().extension.most_locals);
    let mut budget = Budget { left: limit, granted: 0 };
    let mut results = [Val::I32(0)];
    let count = func.ty(&*store).results().len().min(1);
    let used_up = || Fault::Fuel { of: export.to_owned(), limit };
    budget.grant(store, 0).ok_or_else(used_up)?;
    let mut call = func.call_resumable(&mut *store, arguments, &mut results[..count]);
    loop {
        budget.settle(&mut instance.store);
        match call {
            Ok(ResumableCall::Finished) => break,
            Ok(ResumableCall::OutOfFuel(suspended)) => {
                budget.grant(&mut instance.store, suspended.required_fuel()).ok_or_else(used_up)?;
                call = suspended.resume(&mut instance.store, &mut results[..count]);
            }
            Ok(ResumableCall::HostTrap(trap)) => {
                // Jobs have calls; here each is refused.
                let value = match instance.store.data_mut().request.take() {
                    Some(Request::Refused(_, text)) => {
                        let json = error_json(&text);
                        let length = (json.len() as u32).to_le_bytes();
                        let fuel = instance.store.data().extension.limits.alloc_fuel;
                        let (pointer, used) = instance.hand_over(&[&length, &json], fuel)?;
                        budget.left = budget.left.saturating_sub(used);
                        Some(pointer.cast_signed())
                    }
                    Some(Request::Return(value)) => value,
                    _ => return Err(to_fault(instance.store.data_mut(), trap.host_error(), export, limit)),
                };
                budget.grant(&mut instance.store, 0).ok_or_else(used_up)?;
                let value = value.map(Val::I32);
                call = trap.resume(&mut instance.store, value.as_slice(), &mut results[..count]);
            }
            Err(error) => return Err(to_fault(instance.store.data_mut(), &error, export, limit)),
        }
    }
    match results {
        [Val::I32(value)] => Ok(Some(value)),
        _ => Ok(None),
    }
}

/// The fuel of one call, given out in slices.
struct Budget {
    left: u64,
    granted: u64,
}

impl Budget {
    /// Fills the store for a slice in which `required` is needed; `None` where not as much is left.
    fn grant(&mut self, store: &mut Store<Guest>, required: u64) -> Option<()> {
        if self.left == 0 || required > self.left.min(LONGEST_SLICE) {
            return None;
        }
        self.granted = self.left.min(LONGEST_SLICE);
        set_fuel(store, self.granted);
        Some(())
    }

    /// Takes off what was used since.
    fn settle(&mut self, store: &mut Store<Guest>) {
        let left = store.get_fuel().unwrap_or(0);
        let debt = core::mem::take(&mut store.data_mut().debt);
        self.left = self.left.saturating_sub(self.granted.saturating_sub(left)).saturating_sub(debt);
        self.granted = left;
    }
}
