use alloc::{string::String, vec::Vec};

use toehold_abi::{Signature, ValueType};
use wasmi::{
    CompilationMode, Config, CustomFuelCosts, Engine, Error, FuncType, OperatorCost, ValType,
    errors::ErrorKind,
};

use crate::{Limits, meter::BULK_BYTES_PER_FUEL};

/// An interpreter for one extension: its call depth is the extension's, and it frees its code when it is dropped.
#[inline(never)]
pub(crate) fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // Functions are validated at load and translated when they are first called. Translation costs no fuel: else
        // a job's fuel would depend on what other jobs have run, and a call that ran out in the middle of a
        // translation could not be resumed.
        .compilation_mode(CompilationMode::LazyTranslation)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BULK_BYTES_PER_FUEL,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        // Each `memory.grow` and `table.grow` leaves a frame on the host's stack until the slice ends, since wasmi 2.0.0
        // calls on from them instead of jumping. So they cost as much as an operator can, see `meter::LONGEST_SLICE`.
        .operator_cost(OperatorCost { memory_grow: u8::MAX, table_grow: u8::MAX, ..OperatorCost::default() })
        .ignore_custom_sections(true)
        .set_max_recursion_depth(limits.call_depth);
    let stack_bytes = limits.stack_bytes.max(MIN_STACK_BYTES);
    config.set_min_stack_height(MIN_STACK_BYTES).set_max_stack_height(stack_bytes);
    // One memory, with 32-bit addresses, is what the ABI's pointers can name. Tail calls are off for a mistake of
    // wasmi 2.0.0: where a guest tail-calls a host function that stops the interpreter, the answer ends up in the
    // wrong place of the guest's stack.
    //
    // A page of 64 KiB is more than a board has to spare: small guests count their memory in bytes. Every host takes
    // them, so that their jobs can move.
    //
    // Where modules are not validated wasmi has no such switches: whoever signs a package has validated it with them.
    #[cfg(feature = "validate")]
    config.wasm_multi_memory(false).wasm_tail_call(false).wasm_custom_page_sizes(true);
    Engine::new(&config)
}

const MIN_STACK_BYTES: usize = 1_000;

/// A signature of the ABI as the interpreter has it.
pub(crate) fn func_type(signature: Signature) -> FuncType {
    let convert = |types: &[ValueType]| -> Vec<ValType> {
        types
            .iter()
            .map(|value_type| match value_type {
                ValueType::I32 => ValType::I32,
                ValueType::I64 => ValType::I64,
                ValueType::F32 => ValType::F32,
            })
            .collect()
    };
    FuncType::new(convert(signature.params), convert(signature.results))
}

/// What the interpreter says of an error: all of it, or only which trap it is where the build has no room for the text.
pub(crate) fn error_text(error: &Error) -> String {
    #[cfg(feature = "error-text")]
    return alloc::string::ToString::to_string(error);
    #[cfg(not(feature = "error-text"))]
    String::from(
        error
            .as_trap_code()
            .map_or("this build has no text for why (feature error-text)", |trap| trap.trap_message()),
    )
}

/// Why a function could not be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untranslated {
    /// There was no memory for it.
    NoMemory,
    /// It was tried before, perhaps for another instance, and did not succeed then: wasmi tries once.
    TriedBefore,
    /// It has more of something than wasmi can do.
    Unfit,
}

/// Why a function could not be translated, if that is what the error says. wasmi 2.0.0 has no names for it, only texts.
pub(crate) fn untranslated(error: &Error) -> Option<Untranslated> {
    let ErrorKind::Translation(_) = error.kind() else { return None };
    // Modules are validated, so where there is no text this is the likeliest.
    if cfg!(not(feature = "error-text")) {
        return Some(Untranslated::NoMemory);
    }
    let text = error_text(error);
    Some(if text.contains("out of system memory") {
        Untranslated::NoMemory
    } else if text.contains("lazy function compilation") {
        Untranslated::TriedBefore
    } else {
        Untranslated::Unfit
    })
}
