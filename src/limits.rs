use crate::{NoticedLimits, manifest::Permissions};

/// What an extension and its jobs may use at most.
///
/// A host configures one set for all extensions; [`Limits::lowered_by`] then lowers it to what a manifest asks for, so
/// that the lower of the two counts. The defaults suit a server; a board sets most of them far lower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a module.
    pub module_bytes: usize,
    /// Bytes of a job's linear memory. Growing beyond is a fault.
    pub memory_bytes: u64,
    /// Tables of an instance.
    pub tables: usize,
    /// Elements of each table. Growing beyond is a fault.
    pub table_elements: usize,
    /// Calls that may stand on top of each other in a guest.
    pub call_depth: usize,
    /// Bytes of the interpreter's value stack, which parameters and locals of all calls share (8 bytes each).
    pub stack_bytes: usize,
    /// Fuel that a job may use in its whole life. One unit is about one instruction.
    pub fuel_per_job: u64,
    /// Fuel of `plugin_init` at load and of `plugin_cleanup`, each. A `start` function gets at most 1,000,000 of it.
    pub init_fuel: u64,
    /// Fuel of one call of the guest's `wasm_alloc`, at most 1,000,000. Of this and of `init_fuel`, a module gets half where one of
    /// its functions has 1,024 locals, a third from 2,048 on, and so forth: setting them to zero costs no fuel.
    pub alloc_fuel: u64,
    /// Fuel that a job which has asked for interrupts gets to checkpoint and return once it is asked to stop. Each commit takes a
    /// sixteenth of it besides. Less, where a function of the module has more than 48 locals, since its fuel may take longer.
    /// 0 stops every job at the end of its slice, and tells none.
    pub grace_fuel: u64,
    /// Calls of operations in a minute, by all jobs of an extension together.
    pub requests_per_minute: u32,
    /// Jobs of an extension that run at a time.
    pub concurrent_jobs: u32,
    /// Bytes of a call's payload.
    pub payload_bytes: usize,
    /// Bytes of a reply's JSON.
    pub reply_bytes: usize,
    /// Bytes of the journal of a run: of all replies since the job was last entered, about. At half of it a job is asked
    /// to checkpoint and is entered again; over it a job that has had an effect since its checkpoint ends as a fault.
    pub journal_bytes: usize,
    /// Fuel since a job with effects was last entered, after which it is asked to checkpoint and is entered again: a
    /// replay after a crash takes as much, and what is used until the job does as it is asked.
    pub replay_fuel: u64,
    /// Bytes of the state that a job is dispatched with or checkpoints.
    pub state_bytes: usize,
    /// Bytes of a log line, a warning or a progress message; longer ones are cut.
    pub line_bytes: usize,
    /// Log lines of a job; later ones are counted and dropped.
    pub log_lines: u64,
    /// Warnings that are kept with a job, 1,000 at most; later ones are counted and dropped.
    pub warnings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes: 16 << 20,
            memory_bytes: 512 << 20,
            tables: 16,
            table_elements: 1 << 17,
            call_depth: 1_000,
            stack_bytes: 1 << 20,
            fuel_per_job: u64::MAX,
            init_fuel: 100_000_000,
            alloc_fuel: 1_000_000,
            grace_fuel: 4_000_000,
            requests_per_minute: u32::MAX,
            concurrent_jobs: 1_024,
            payload_bytes: 1 << 20,
            reply_bytes: 4 << 20,
            journal_bytes: 16 << 20,
            replay_fuel: 2_000_000_000,
            state_bytes: 1 << 20,
            line_bytes: 4 << 10,
            log_lines: 10_000,
            warnings: 100,
        }
    }
}

impl Limits {
    /// These limits, lowered where a manifest asks for less.
    #[must_use]
    pub fn lowered_by(&self, permissions: &Permissions) -> Self {
        let rates = permissions.rate_limits;
        Self {
            memory_bytes: self.memory_bytes.min(u64::from(permissions.max_memory_mb) << 20),
            fuel_per_job: self.fuel_per_job.min(permissions.fuel_per_job.unwrap_or(u64::MAX)),
            requests_per_minute: self.requests_per_minute.min(rates.requests_per_minute),
            concurrent_jobs: self.concurrent_jobs.min(rates.concurrent_jobs),
            ..self.clone()
        }
    }

    /// Those of them that a guest can notice.
    #[must_use]
    pub fn noticed(&self) -> NoticedLimits {
        NoticedLimits {
            memory_bytes: self.memory_bytes,
            table_elements: self.table_elements as u64,
            call_depth: self.call_depth as u64,
            stack_bytes: self.stack_bytes as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_host_and_manifest_counts() {
        let mut permissions =
            Permissions { max_memory_mb: 1, fuel_per_job: Some(7), ..Permissions::default() };
        permissions.rate_limits.concurrent_jobs = 5_000;
        let host = Limits { concurrent_jobs: 3, ..Limits::default() };
        let limits = host.lowered_by(&permissions);
        assert_eq!(limits.memory_bytes, 1 << 20);
        assert_eq!(limits.fuel_per_job, 7);
        assert_eq!(limits.concurrent_jobs, 3);
        assert_eq!(limits.requests_per_minute, 1_000);
    }
}
