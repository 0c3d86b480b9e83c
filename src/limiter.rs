use wasmi::{ResourceLimiter, errors::MemoryError};
use wasmi_core::LimiterError;

use crate::{Limits, NoticedLimits, fault::Fault};

/// Holds an instance to its limits of memory and tables. Growing over one is a fault; [`Limiter::fault`] says which.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: u64,
    tables: usize,
    table_elements: usize,
    instantiated: bool,
    /// What memory was to grow to last, in bytes.
    memory_asked: u64,
    refused: Option<Fault>,
}

/// Elements by which a table may grow at a time.
///
/// wasmi 2.0.0 charges fuel for 4 bytes an element, 64 bytes a unit. Where that fuel is not there, `table.grow` stops
/// without noting where it is, and the call resumes at an older place: the guest computes something else. Growth that
/// costs nothing never gets there; more of it fails with -1, which WebAssembly allows at any time.
const FREE_GROWTH: usize = 15;

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of_job(limits, limits.noticed())
    }

    /// The lower of what the job brought along and what this host gives: the guest can't tell, since going over either
    /// is a fault.
    pub(crate) fn of_job(limits: &Limits, job: NoticedLimits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes.min(job.memory_bytes),
            tables: limits.tables,
            table_elements: usize::try_from(job.table_elements)
                .map_or(limits.table_elements, |elements| limits.table_elements.min(elements)),
            instantiated: false,
            memory_asked: 0,
            refused: None,
        }
    }

    /// From now on growth comes from a call that is to be resumed.
    pub(crate) fn instantiated(&mut self) {
        self.instantiated = true;
    }

    /// The fault behind a growth that was refused, if one was.
    pub(crate) fn fault(&mut self) -> Option<Fault> {
        self.refused.take()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        // wasmi has looked at the module's own limit already, and the guest got -1. On hosts of 32 bits this number is
        // wrong for a limit of 4 GiB.
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        let asked = desired as u64;
        self.memory_asked = asked;
        if asked > self.memory_bytes {
            self.refused = Some(Fault::Memory { asked, limit: self.memory_bytes });
            return Err(LimiterError::ResourceLimiterDeniedAllocation);
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        if desired > self.table_elements {
            if maximum.is_some_and(|maximum| desired > maximum) {
                return Ok(false);
            }
            self.refused = Some(Fault::Table { asked: desired as u64, limit: self.table_elements as u64 });
            return Err(LimiterError::ResourceLimiterDeniedAllocation);
        }
        Ok(!self.instantiated || desired.saturating_sub(current) <= FREE_GROWTH)
    }

    /// A guest that got -1 here would do something else than on a host with more memory.
    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        if matches!(error, MemoryError::OutOfSystemMemory) {
            self.refused = Some(Fault::HostMemory { asked: self.memory_asked });
            return Err(LimiterError::ResourceLimiterDeniedAllocation);
        }
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        1
    }
}
