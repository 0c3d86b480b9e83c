use alloc::vec::Vec;
use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use toehold::{Change, Saved, Store, Uuid};

use crate::{
    disk::Disk,
    flash::{FlashFault, Region},
    head::Addition,
    mounted::Mounted,
    packages::Install,
    store_error::{StoreError, Trouble},
    volume::Volume,
};

/// Jobs and packages on the first `BLOCKS` blocks of a NOR flash, safe against power cuts at any instant.
///
/// A block is what the flash erases at once, or as many of these as it takes for at least 512 bytes that 256 divides.
pub struct FlashStore<F: NorFlash + 'static, const BLOCKS: usize> {
    pub(crate) disk: Mounted<F, BLOCKS>,
    pub(crate) install: Option<Install>,
    /// Whether something may lie about that nobody needs.
    unswept: bool,
}

/// A flash that is not used, and why.
pub struct Refused<F> {
    /// The flash, as it is.
    pub flash: F,
    /// What is the matter with it.
    pub error: StoreError,
}

impl<F: NorFlash + 'static, const BLOCKS: usize> FlashStore<F, BLOCKS> {
    /// Opens the store on a flash. A blank flash becomes an empty store; one that holds anything else is left as it is.
    ///
    /// What a power cut has left half done is removed here.
    ///
    /// # Errors
    /// [`Refused`] gives the flash back and says what it holds, or why it can't be read.
    pub fn open(flash: F) -> Result<Self, Refused<F>> {
        Self::begin(flash, Volume::open)
    }

    /// Makes an empty store on a flash, whatever it holds. All that it holds is lost.
    ///
    /// Where the power goes meanwhile, it must be done again.
    ///
    /// # Errors
    /// [`Refused`], where the flash fails or is too small.
    pub fn format(flash: F) -> Result<Self, Refused<F>> {
        Self::begin(flash, Volume::format)
    }

    fn begin(
        flash: F,
        how: impl FnOnce(&mut Volume<F, BLOCKS>) -> Result<(), StoreError>,
    ) -> Result<Self, Refused<F>> {
        let mut volume = Volume::new(flash);
        if let Err(error) = how(&mut volume) {
            return Err(Refused { flash: volume.region.flash, error });
        }
        let mut store = Self { disk: Mounted::new(volume), install: None, unswept: true };
        // What can't be swept now lies in nobody's way.
        store.sweep();
        Ok(store)
    }

    /// The last thing that the flash could not do since the store was opened, although the store may have found a way around
    /// it: the first sign of wear.
    #[must_use]
    pub fn last_fault(&self) -> Option<FlashFault> {
        self.disk.fault()
    }

    pub(crate) fn sweep(&mut self) {
        if self.unswept {
            let keeps = self.install.is_some();
            let swept = self.disk.with(move |disk| {
                disk.sweep()?;
                if keeps { Ok(()) } else { disk.sweep_packages() }
            });
            self.unswept = swept.is_err();
        }
    }

    /// What a failed operation has left is removed.
    pub(crate) fn leave<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_err() {
            self.left_over();
        }
        done
    }

    /// Something may lie about that nobody needs: removes it, now or before the next change.
    pub(crate) fn left_over(&mut self) {
        self.unswept = true;
        self.sweep();
    }

    /// After an error in the last step of something, which makes it visible: whether it came about all the same. What makes
    /// littlefs report an error may come after that.
    pub(crate) fn came_about(
        &mut self,
        check: impl FnOnce(&Disk<'_, '_, Region<F, BLOCKS>>) -> Result<bool, Trouble> + 'static,
    ) -> bool {
        self.disk.with(check).unwrap_or(false)
    }
}

impl<F: NorFlash + 'static, const BLOCKS: usize> Store for FlashStore<F, BLOCKS> {
    type Error = StoreError;

    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), StoreError> {
        self.sweep();
        let ends = change.record.as_ref().is_some_and(|record| record.state.is_final());
        let change = Addition::new(change);
        let plan = self.disk.with(move |disk| disk.plan(job, change))?;
        let expected = plan.progress();
        match self.disk.with(move |disk| disk.write_change(job, plan, ends)) {
            Ok(pieces) => {
                if !pieces.is_empty() && self.disk.with(move |disk| disk.remove_pieces(job, &pieces)).is_err()
                {
                    self.left_over();
                }
                Ok(())
            }
            Err(error) => {
                let came_about = self.came_about(move |disk| Ok(disk.progress(job)? == Some(expected)));
                self.left_over();
                if came_about { Ok(()) } else { Err(error) }
            }
        }
    }

    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, StoreError> {
        self.disk.with(move |disk| disk.load(job))
    }

    fn jobs(&mut self) -> Result<Vec<Uuid>, StoreError> {
        self.disk.with(|disk| disk.jobs())
    }

    fn remove(&mut self, job: Uuid) -> Result<(), StoreError> {
        self.sweep();
        let removed = self.disk.with(move |disk| disk.remove_job(job));
        let is_gone = removed.is_ok() || self.came_about(move |disk| Ok(disk.progress(job)?.is_none()));
        // Its pieces go now, or later.
        self.left_over();
        if is_gone { Ok(()) } else { removed }
    }
}

impl<F> From<Refused<F>> for StoreError {
    fn from(refused: Refused<F>) -> Self {
        refused.error
    }
}

impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> core::error::Error for Refused<F> {}

impl<F: NorFlash + 'static, const BLOCKS: usize> fmt::Debug for FlashStore<F, BLOCKS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = Region::<F, BLOCKS>::BYTES;
        f.debug_struct("FlashStore").field("bytes", &bytes).finish_non_exhaustive()
    }
}
