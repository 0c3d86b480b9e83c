use wasmi::Store;

use crate::{Limits, guest::Guest};

/// Fuel after which the interpreter gives back the host's stack, at the latest.
///
/// With wasmi 2.0.0 a `memory.grow` or `table.grow` takes some 180 bytes of it until then. They cost 255 units each, so
/// that a million units are less than 4,000 of them, and under 1 MiB of stack.
pub(crate) const LONGEST_SLICE: u64 = 1_000_000;

/// Locals whose zeroing takes as long as what costs a unit of fuel, where a guest does nothing but calls.
///
/// Measured on x86-64: 20,000 locals made a slice of nothing but calls 800 times as long as one of an endless loop.
const LOCALS_PER_FUEL: u32 = 24;

/// Bytes that a bulk memory operation moves for a unit of fuel.
pub(crate) const BULK_BYTES_PER_FUEL: u32 = 64;

/// Commits that use up a job's grace, if its fuel does not: one checkpoint is what it needs, and a few effects may be under way.
const GRACE_COMMITS: u64 = 16;

/// Locals of a function up to which a call that must come to its end gets all of its fuel. Few modules have more.
const MANY_LOCALS: u32 = 1_024;

/// The fuel of what is not cut into slices: `start` and `wasm_alloc`.
pub(crate) fn in_one_go(fuel: u64, most_locals: u32) -> u64 {
    for_many_locals(fuel.min(LONGEST_SLICE), most_locals)
}

/// What is left of fuel that somebody waits for, where the module has functions of very many locals. To run out of it is a
/// fault, so others keep theirs.
pub(crate) fn for_many_locals(fuel: u64, most_locals: u32) -> u64 {
    fuel / u64::from(1 + most_locals / MANY_LOCALS)
}

/// Counts a job's fuel: in slices of whatever size, the sum is the same.
#[derive(Debug)]
pub(crate) struct Meter {
    used: u64,
    limit: u64,
    /// What the interpreter's store was last set to or seen at.
    granted: u64,
    /// What a block of instructions, or one bulk operation on all of the memory, may need at once.
    longest_block: u64,
    /// What a job that is asked to stop has left, and what it gets when it is asked.
    grace: Option<u64>,
    full_grace: u64,
    longest_slice: u64,
}

impl Meter {
    /// For a job of a module whose functions have so many locals at most.
    pub(crate) fn new(limits: &Limits, most_locals: u32, used: u64) -> Self {
        // How much longer a unit of fuel may take than it should. Twice as long is nothing that anybody would notice.
        let longer = u64::from(1 + most_locals / LOCALS_PER_FUEL);
        let bounded = |fuel: u64| fuel.min(fuel.saturating_mul(2) / longer);
        Self {
            used,
            limit: limits.fuel_per_job,
            granted: 0,
            longest_block: LONGEST_SLICE.max(limits.memory_bytes / u64::from(BULK_BYTES_PER_FUEL)),
            grace: None,
            full_grace: bounded(limits.grace_fuel),
            longest_slice: bounded(LONGEST_SLICE).max(1),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// What is left of the job's fuel.
    pub(crate) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Starts the grace when somebody asks the job to stop, and ends it when that is taken back.
    pub(crate) fn interrupt(&mut self, asked: bool) {
        self.grace = match self.grace {
            _ if !asked => None,
            None => Some(self.full_grace),
            going_on => going_on,
        };
    }

    /// Whether the job may go on for another block of `required` fuel, as far as its grace goes.
    pub(crate) fn has_grace(&self, required: u64) -> bool {
        self.grace.is_none_or(|left| left > 0 && left >= required)
    }

    /// Something became durable for a job that was asked to stop: that takes the host far longer than the guest's fuel says.
    pub(crate) fn committed(&mut self) {
        if let Some(grace) = &mut self.grace {
            *grace = grace.saturating_sub((self.full_grace / GRACE_COMMITS).max(1));
        }
    }

    /// What a block may need at once, if `required` is more.
    pub(crate) fn too_long(&self, required: u64) -> Option<u64> {
        (required > self.longest_block).then_some(self.longest_block)
    }

    /// What will be used once what is granted is used up.
    pub(crate) fn end(&self) -> u64 {
        self.used.saturating_add(self.granted)
    }

    /// Whether nothing is left of the slice.
    pub(crate) fn is_spent(&self) -> bool {
        self.granted == 0
    }

    /// A slice of `fuel`, or of `required` where that is more; `None` once the job's fuel is used up.
    pub(crate) fn grant(&mut self, fuel: u64, required: u64) -> Option<u64> {
        let left = self.left();
        // Exactly at the limit a guest still gets back from a host function, to whatever costs the next unit: so it ends at
        // the same place in any slices.
        if self.used > self.limit || required > left {
            return None;
        }
        let slice = self.grace.map_or(fuel, |grace| fuel.min(grace)).min(self.longest_slice);
        self.granted = slice.max(required).min(left);
        Some(self.granted)
    }

    /// Notes what the guest has used since, with what host functions charged it beyond its slice.
    pub(crate) fn settle(&mut self, store: &mut Store<Guest>) {
        let left = store.get_fuel().unwrap_or(0);
        let debt = core::mem::take(&mut store.data_mut().debt);
        self.add(self.granted.saturating_sub(left).saturating_add(debt));
        self.granted = left;
        store.data_mut().fuel_end = self.end();
    }

    /// Notes fuel that was used outside of the slice, and takes it from what is left of that. After [`Meter::settle`].
    pub(crate) fn spend(&mut self, used: u64, store: &mut Store<Guest>) {
        self.add(used);
        self.granted = self.granted.saturating_sub(used);
        crate::instance::set_fuel(store, self.granted);
        store.data_mut().fuel_end = self.end();
    }

    pub(crate) fn add(&mut self, used: u64) {
        self.used = self.used.saturating_add(used);
        if let Some(grace) = &mut self.grace {
            *grace = grace.saturating_sub(used);
        }
    }
}
