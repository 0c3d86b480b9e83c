use crate::signature::{Signature, ValueType};

/// The module that every host function is imported from.
pub const IMPORT_MODULE: &str = "spacedrive";

/// The guest's memory, which all pointers lie in. Required.
pub const MEMORY: &str = "memory";
/// `(size: i32) -> i32`: the guest hands out a block, or 0 for out of memory. Required where the host hands over bytes.
pub const ALLOC: &str = "wasm_alloc";
/// `(ptr, size: i32)`: the guest takes a block back. Optional.
pub const FREE: &str = "wasm_free";
/// `() -> i32` or `()`: runs once in each new instance; non-zero fails it. Optional.
pub const INIT: &str = "plugin_init";
/// `() -> i32` or `()`: runs once at unload. Optional.
pub const CLEANUP: &str = "plugin_cleanup";
/// What the name of a job's export starts with.
pub const EXECUTE_PREFIX: &str = "execute_";
/// What the name of the export begins with that migrates older states of the job whose export is `execute_` and the same
/// rest. Optional (ABI 1.1, only guests made with Toehold's SDK).
pub const MIGRATE_PREFIX: &str = "migrate_";

/// A function that the host gives to guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostFunction {
    /// Calls an operation of the host.
    Call,
    /// Writes a log line.
    Log,
    /// Reports how far the job has come.
    ReportProgress,
    /// Makes the job's state durable.
    Checkpoint,
    /// Asks whether the job should stop.
    CheckInterrupt,
    /// Keeps a non-fatal issue with the job.
    AddWarning,
    /// Adds to the bytes processed.
    IncrementBytes,
    /// Adds to the items processed.
    IncrementItems,
    /// Names a job of the extension; only inside `plugin_init`.
    RegisterJob,
}

impl HostFunction {
    /// All nine, in the order of the ABI's table.
    pub const ALL: [Self; 9] = [
        Self::Call,
        Self::Log,
        Self::ReportProgress,
        Self::Checkpoint,
        Self::CheckInterrupt,
        Self::AddWarning,
        Self::IncrementBytes,
        Self::IncrementItems,
        Self::RegisterJob,
    ];

    /// The name that guests import it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "spacedrive_call",
            Self::Log => "spacedrive_log",
            Self::ReportProgress => "job_report_progress",
            Self::Checkpoint => "job_checkpoint",
            Self::CheckInterrupt => "job_check_interrupt",
            Self::AddWarning => "job_add_warning",
            Self::IncrementBytes => "job_increment_bytes",
            Self::IncrementItems => "job_increment_items",
            Self::RegisterJob => "register_job",
        }
    }

    /// The signature that a guest must import it with.
    #[must_use]
    pub const fn signature(self) -> Signature {
        use ValueType::{F32, I32, I64};
        const fn of(params: &'static [ValueType], results: &'static [ValueType]) -> Signature {
            Signature { params, results }
        }
        match self {
            Self::Call | Self::RegisterJob => of(&[I32, I32, I32, I32, I32], &[I32]),
            Self::Log | Self::AddWarning => of(&[I32, I32, I32], &[]),
            Self::ReportProgress => of(&[I32, F32, I32, I32], &[]),
            Self::Checkpoint => of(&[I32, I32, I32], &[I32]),
            Self::CheckInterrupt => of(&[I32], &[I32]),
            Self::IncrementBytes | Self::IncrementItems => of(&[I32, I64], &[]),
        }
    }

    /// The host function of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

impl core::fmt::Display for HostFunction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_function() {
        for function in HostFunction::ALL {
            assert_eq!(HostFunction::from_name(function.name()), Some(function));
        }
        assert_eq!(HostFunction::from_name("spacedrive_exec"), None);
    }
}
