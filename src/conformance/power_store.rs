use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::fmt;

use spin::Mutex;
use uuid::Uuid;

use super::model::change_saved;
use crate::{Change, Saved, Store};

/// A store in memory that loses power when it is told to: what tests of a host run on.
///
/// All clones are one store. What was acknowledged outlives the power; of the change that was under way all is there or
/// nothing, as [`Cut`] says.
#[derive(Clone, Debug, Default)]
pub struct PowerStore {
    disk: Arc<Mutex<Disk>>,
}

/// How the power goes while a change or a removal is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it is there: it is forgotten.
    Forgotten,
    /// Once it is there, and before anybody is told.
    Unacknowledged,
}

/// The power is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerOff;

#[derive(Debug, Default)]
struct Disk {
    jobs: BTreeMap<Uuid, Saved>,
    /// Changes and removals that were asked for while there was power.
    operations: u64,
    /// Operations that the power lasts for, and how it goes at the next one.
    cut: Option<(u64, Cut)>,
    off: bool,
}

impl PowerStore {
    /// Cuts the power at the change or removal after the next `operations`.
    pub fn cut_after(&self, operations: u64, how: Cut) {
        self.disk.lock().cut = Some((operations, how));
    }

    /// Cuts the power now.
    pub fn power_off(&self) {
        self.disk.lock().off = true;
    }

    /// Gives power again, for good.
    pub fn power_on(&self) {
        let mut disk = self.disk.lock();
        disk.off = false;
        disk.cut = None;
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk.lock().off
    }

    /// Changes and removals so far, with the one that was cut.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk.lock().operations
    }

    fn read<T>(&self, read: impl FnOnce(&Disk) -> T) -> Result<T, PowerOff> {
        let disk = self.disk.lock();
        if disk.off { Err(PowerOff) } else { Ok(read(&disk)) }
    }

    fn write(&self, write: impl FnOnce(&mut BTreeMap<Uuid, Saved>)) -> Result<(), PowerOff> {
        let mut disk = self.disk.lock();
        if disk.off {
            return Err(PowerOff);
        }
        disk.operations = disk.operations.saturating_add(1);
        match &mut disk.cut {
            Some((0, how)) => {
                let how = *how;
                disk.off = true;
                if how == Cut::Unacknowledged {
                    write(&mut disk.jobs);
                }
                return Err(PowerOff);
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        write(&mut disk.jobs);
        Ok(())
    }
}

impl Store for PowerStore {
    type Error = PowerOff;

    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), PowerOff> {
        self.write(|jobs| change_saved(jobs.entry(job).or_default(), change))
    }

    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, PowerOff> {
        self.read(|disk| disk.jobs.get(&job).cloned())
    }

    fn jobs(&mut self) -> Result<Vec<Uuid>, PowerOff> {
        self.read(|disk| disk.jobs.keys().copied().collect())
    }

    fn remove(&mut self, job: Uuid) -> Result<(), PowerOff> {
        self.write(|jobs| drop(jobs.remove(&job)))
    }
}

impl fmt::Display for PowerOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the power is off")
    }
}

impl core::error::Error for PowerOff {}
