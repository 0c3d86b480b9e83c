use alloc::string::ToString;
use core::sync::atomic::Ordering;

use toehold_abi::{ALLOC, MEMORY};
use wasmi::{
    Extern, Linker, Module, Store, TrapCode,
    errors::{ErrorKind, InstantiationError},
};

use crate::{
    engine::{Untranslated, error_text, untranslated},
    fault::Fault,
    guest::{Guest, Within},
    host_functions::Parked,
    meter::in_one_go,
    pointer,
};

/// A guest's own memory and globals, over code that all instances of its extension share.
pub(crate) struct Instance {
    pub(crate) store: Store<Guest>,
    pub(crate) instance: wasmi::Instance,
}

impl Instance {
    /// Makes an instance and runs its `start` function, with so much fuel. Also gives the fuel that it used.
    #[inline(never)]
    pub(crate) fn new(
        module: &Module,
        linker: &Linker<Guest>,
        guest: Guest,
        fuel: u64,
    ) -> Result<(Self, u64), Fault> {
        // Both calls that can't be cut into slices, `start` and `wasm_alloc`, are one slice.
        let fuel = in_one_go(fuel, guest.extension.most_locals);
        let mut store = Store::new(module.engine(), guest);
        store.limiter(|guest| &mut guest.limiter);
        set_fuel(&mut store, fuel);
        let instance = match linker.instantiate_and_start(&mut store, module) {
            Ok(instance) => instance,
            Err(error) => return Err(to_fault(store.data_mut(), &error, Within::Start.name(), fuel)),
        };
        let used = fuel - store.get_fuel().unwrap_or(0) + core::mem::take(&mut store.data_mut().debt);
        let memory = instance.get_export(&store, MEMORY).and_then(Extern::into_memory);
        let alloc = instance.get_typed_func(&store, ALLOC).ok();
        let guest = store.data_mut();
        guest.memory = memory;
        guest.alloc = alloc;
        guest.limiter.instantiated();
        Ok((Self { store, instance }, used))
    }

    /// Has the guest's `wasm_alloc` make a block for `parts`, one after the other, and copies them into it.
    ///
    /// Gives the block's address, or 0 where there is no `wasm_alloc` or it has no room; and the fuel that the guest
    /// used, of at most `fuel`. The fuel that was left before is left after.
    pub(crate) fn hand_over(&mut self, parts: &[&[u8]], fuel: u64) -> Result<(u32, u64), Fault> {
        let fuel = in_one_go(fuel, self.store.data().extension.most_locals);
        let Some(alloc) = self.store.data().alloc else { return Ok((0, 0)) };
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let Ok(bytes) = u32::try_from(total) else { return Ok((0, 0)) };
        let within = core::mem::replace(&mut self.store.data_mut().within, Within::Alloc);
        let left = self.store.get_fuel().unwrap_or(0);
        set_fuel(&mut self.store, fuel);
        let result = alloc.call(&mut self.store, bytes.cast_signed());
        let used = fuel - self.store.get_fuel().unwrap_or(0);
        set_fuel(&mut self.store, left);
        self.store.data_mut().within = within;
        let pointer = match result {
            Ok(pointer) => pointer.cast_unsigned(),
            Err(error) => return Err(to_fault(self.store.data_mut(), &error, ALLOC, fuel)),
        };
        if pointer != 0 {
            let memory = match self.store.data().memory {
                Some(memory) => memory.data_mut(&mut self.store),
                None => &mut [],
            };
            let mut block = pointer::block(memory, pointer, bytes)?;
            for part in parts {
                let (head, tail) = block.split_at_mut(part.len());
                head.copy_from_slice(part);
                block = tail;
            }
        }
        Ok((pointer, used))
    }
}

pub(crate) fn set_fuel(store: &mut Store<Guest>, fuel: u64) {
    // Fails only without fuel metering, which every engine of ours has.
    let _ = store.set_fuel(fuel);
}

/// What an error of the interpreter means, in the ABI's terms.
pub(crate) fn to_fault(guest: &mut Guest, error: &wasmi::Error, export: &str, fuel: u64) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(fault) = guest.limiter.fault() {
        return fault;
    }
    if let ErrorKind::Instantiation(InstantiationError::TooManyTables) = error.kind() {
        return Fault::Tables { limit: guest.extension.limits.tables };
    }
    if error.downcast_ref::<Parked>().is_some() {
        // Where it can't be resumed, only a host function that used up the fuel stops the interpreter.
        return Fault::Fuel { of: export.to_string(), limit: fuel };
    }
    let starved = &guest.extension.starved;
    match untranslated(error) {
        Some(Untranslated::NoMemory) => starved.store(true, Ordering::Relaxed),
        // Then this may be the same function.
        Some(Untranslated::TriedBefore) if starved.load(Ordering::Relaxed) => {}
        _ => return to_other_fault(guest, error, export, fuel),
    }
    Fault::HostFull { of: "the code of a function" }
}

fn to_other_fault(guest: &Guest, error: &wasmi::Error, export: &str, fuel: u64) -> Fault {
    match error.as_trap_code() {
        Some(TrapCode::OutOfSystemMemory) => Fault::HostFull { of: "the stack" },
        Some(TrapCode::StackOverflow) => {
            let limits = &guest.extension.limits;
            Fault::CallDepth { limit: limits.call_depth, stack_bytes: limits.stack_bytes }
        }
        Some(TrapCode::OutOfFuel) => Fault::Fuel { of: export.to_string(), limit: fuel },
        _ => Fault::Trap { export: export.to_string(), message: error_text(error) },
    }
}
