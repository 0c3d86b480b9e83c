//! The border to the host: one function for each host function, on plain Rust types.
//!
//! In WebAssembly they are the imports of the ABI; everywhere else a fake host stands in, so that all code above this
//! module is the same in tests and in the field.

#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::{
    Block, add_warning, call, check_interrupt, checkpoint, increment_bytes, increment_items, log,
    register_job, report_progress,
};
#[cfg(target_arch = "wasm32")]
pub use wasm::{execute, migrate};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::border::{
    Block, add_warning, call, check_interrupt, checkpoint, increment_bytes, increment_items, log,
    register_job, report_progress,
};

#[cfg(test)]
mod tests {
    use toehold_abi::{ALLOC, FREE, HostFunction, IMPORT_MODULE};

    // The attribute and the names in an `extern` block must be literals, so nothing but this ties them to the ABI.
    #[test]
    fn imports_and_exports_are_those_of_the_abi() {
        let source = include_str!("border/wasm.rs");
        assert!(source.contains(&format!("wasm_import_module = \"{IMPORT_MODULE}\"")));
        for function in HostFunction::ALL {
            let import = format!("        pub(super) fn {}(", function.name());
            assert!(source.contains(&import), "no import of {function}");
        }
        for export in [ALLOC, FREE] {
            assert!(source.contains(&format!("extern \"C\" fn {export}(")));
        }
    }
}
