//! The file system on the flash, before a store is open.

use alloc::boxed::Box;

use embedded_storage::nor_flash::NorFlash;
use littlefs2::fs::{Allocation, Filesystem};

use crate::{
    disk::Disk,
    flash::Region,
    store_error::{StoreError, Trouble},
};

/// A region of flash, and the memory that littlefs needs to work on it. It is mounted for one operation at a time: between them the
/// flash may be looked at without littlefs.
pub(crate) struct Volume<F: NorFlash, const BLOCKS: usize> {
    pub(crate) region: Region<F, BLOCKS>,
    /// Not on the stack, where each function that it goes through would have room for it.
    pub(crate) allocation: Box<Allocation<Region<F, BLOCKS>>>,
}

impl<F: NorFlash, const BLOCKS: usize> Volume<F, BLOCKS> {
    pub(crate) fn new(flash: F) -> Self {
        Self { region: Region::new(flash), allocation: Box::new(Allocation::new()) }
    }

    /// Does some work on the mounted file system.
    pub(crate) fn with<T>(
        &mut self,
        work: impl FnOnce(&Disk<'_, '_, Region<F, BLOCKS>>) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.region.fault.set(None);
        let done = match Filesystem::mount(&mut self.allocation, &mut self.region) {
            Ok(fs) => work(&Disk::new(&fs)),
            Err(error) => Err(Trouble::Disk(error)),
        };
        done.map_err(|trouble| trouble.told(self.region.fault.get()))
    }

    /// Makes an empty file system.
    #[inline(never)]
    pub(crate) fn make(&mut self) -> Result<(), StoreError> {
        self.region.fault.set(None);
        let made = Filesystem::format(&mut self.region);
        made.map_err(|error| Trouble::Disk(error).told(self.region.fault.get()))
    }
}
