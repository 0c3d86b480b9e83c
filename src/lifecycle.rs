//! `plugin_init` at load and `plugin_cleanup` at unload: one call each, to its end, under fuel of its own.

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};

use toehold_abi::{CLEANUP, INIT};
use wasmi::{Linker, Module, ResumableCall, Store, Val};

use crate::{
    Fault,
    call::error_json,
    extension::ExtensionShared,
    guest::{Guest, Registration, Request, Role, Within},
    instance::{Instance, set_fuel, to_fault},
    meter::LONGEST_SLICE,
    module::LoadError,
};

/// What `plugin_init` left behind.
pub(crate) struct Loaded {
    pub(crate) registrations: Vec<Registration>,
    /// Log lines that were over the limit.
    pub(crate) lines_dropped: u64,
}

/// Makes an instance, runs `plugin_init` in it, and gives what it registered.
pub(crate) fn load(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
) -> Result<Loaded, LoadError> {
    let mut refused: Vec<String> = Vec::new();
    let init = |refused: &mut Vec<String>| {
        let mut instance = instantiate(shared, module, linker, Role::Load)?;
        let result = call_to_end(&mut instance, INIT, Within::Init);
        let registrations = core::mem::take(&mut instance.store.data_mut().registrations);
        let reasons = registrations.iter().filter_map(|registration| {
            let reason = registration.refused.as_ref()?;
            Some(registration.refusal(reason))
        });
        refused.extend(reasons);
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
    call_to_end(&mut instance, INIT, Within::Init)?;
    call_to_end(&mut instance, CLEANUP, Within::Cleanup)
}

fn instantiate(
    shared: &Arc<ExtensionShared>,
    module: &Module,
    linker: &Linker<Guest>,
    role: Role,
) -> Result<Instance, Fault> {
    let fuel = shared.limits.init_fuel;
    Instance::new(module, linker, shared.guest(role), fuel).map(|(instance, _)| instance)
}

/// Calls an export of type `() -> i32` or `()`, if there is one.
fn call_to_end(instance: &mut Instance, export: &str, within: Within) -> Result<(), Fault> {
    let Instance { store, instance: handle } = &mut *instance;
    let Some(func) = handle.get_func(&*store, export) else { return Ok(()) };
    store.data_mut().within = within;
    let limit = store.data().extension.limits.init_fuel;
    let mut budget = Budget { left: limit, granted: 0 };
    let mut results = [Val::I32(0)];
    let count = func.ty(&*store).results().len().min(1);
    let used_up = || Fault::Fuel { of: export.to_owned(), limit };
    budget.grant(store, 0).ok_or_else(used_up)?;
    let mut call = func.call_resumable(&mut *store, &[], &mut results[..count]);
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
                    Some(Request::Refused(text)) => {
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
        [Val::I32(0)] => Ok(()),
        [Val::I32(code)] => Err(Fault::Code { export: export.to_owned(), code }),
        _ => Ok(()),
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
