//! Installed packages: each is a file. What is in them, and whether it is damaged, is not the store's business: they have a checksum
//! of their own.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;
use littlefs2::{
    driver::Storage,
    io::Write,
    path,
    path::{Path, PathBuf},
};

use crate::{
    Depot, PackageFile, Room,
    disk::{Disk, PACKAGES},
    flash::Region,
    store::FlashStore,
    store_error::{StoreError, Trouble},
};

/// A package that was begun.
#[derive(Default)]
pub(crate) struct Install {
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Bytes that are written.
    written: usize,
}

/// Bytes that are gathered before they are written: each time a block is erased, besides those that are filled.
const BUFFER_BYTES: usize = 4096;
/// A package until it is installed. No id begins with a dot.
const NEW: &Path = path!("/packages/.new");

impl<F: NorFlash + 'static, const BLOCKS: usize> Depot for FlashStore<F, BLOCKS> {
    fn packages(&mut self) -> Result<Vec<PackageFile>, StoreError> {
        self.sweep();
        self.disk.with(|disk| disk.packages())
    }

    fn read_package(&mut self, id: &str, range: Range<usize>) -> Result<Option<Vec<u8>>, StoreError> {
        let Ok(path) = package_path(id) else { return Ok(None) };
        self.sweep();
        self.disk.with(move |disk| disk.read_range(&path, range))
    }

    fn begin_package(&mut self) -> Result<(), StoreError> {
        self.abort_package()?;
        self.install = Some(Install::default());
        Ok(())
    }

    /// Up to 4 KiB are gathered in memory. After an error the package is given up.
    fn write_package(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut install = self.install.take().ok_or(StoreError::NotInstalling)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BUFFER_BYTES.saturating_sub(install.buffer.len()).min(rest.len());
            let (now, later) = rest.split_at(room);
            let reserved = install.buffer.try_reserve(now.len());
            if reserved.is_err() {
                return self.leave(Err(StoreError::Memory { bytes: now.len() }));
            }
            install.buffer.extend_from_slice(now);
            rest = later;
            if install.buffer.len() >= BUFFER_BYTES {
                self.flush(&mut install)?;
            }
        }
        self.install = Some(install);
        Ok(())
    }

    fn read_begun_package(&mut self, range: Range<usize>) -> Result<Vec<u8>, StoreError> {
        let mut install = self.install.take().ok_or(StoreError::NotInstalling)?;
        self.flush(&mut install)?;
        self.install = Some(install);
        let read = self.disk.with(|disk| disk.read_range(NEW, range))?;
        read.ok_or(StoreError::NotInstalling)
    }

    fn finish_package(&mut self, id: &str) -> Result<(), StoreError> {
        let mut install = self.install.take().ok_or(StoreError::NotInstalling)?;
        self.flush(&mut install)?;
        let path = package_path(id);
        let path = self.leave(path)?;
        let to = path.clone();
        let done = self.disk.with(move |disk| Ok(disk.fs.rename(NEW, &to)?));
        if done.is_err() && self.came_about(move |disk| Ok(!disk.has(NEW)? && disk.has(&path)?)) {
            return Ok(());
        }
        self.leave(done)
    }

    fn abort_package(&mut self) -> Result<(), StoreError> {
        if self.install.take().is_some() {
            self.disk.with(|disk| disk.sweep_packages())?;
        }
        Ok(())
    }

    fn remove_package(&mut self, id: &str) -> Result<(), StoreError> {
        let Ok(path) = package_path(id) else { return Ok(()) };
        self.sweep();
        let from = path.clone();
        let removed = self.disk.with(move |disk| Ok(disk.remove(&from)?));
        if removed.is_err() && self.came_about(move |disk| Ok(!disk.has(&path)?)) {
            return Ok(());
        }
        removed
    }

    fn room(&mut self) -> Result<Room, StoreError> {
        let free = self.disk.with(|disk| Ok(disk.fs.available_blocks()?))?;
        let (block, total) = (Region::<F, BLOCKS>::BLOCK_BYTES, Region::<F, BLOCKS>::BYTES);
        Ok(Room { used: total.saturating_sub(free.saturating_mul(block)), total })
    }
}

impl<F: NorFlash + 'static, const BLOCKS: usize> FlashStore<F, BLOCKS> {
    /// Writes what was gathered.
    fn flush(&mut self, install: &mut Install) -> Result<(), StoreError> {
        if install.buffer.is_empty() && install.written > 0 {
            return Ok(());
        }
        let buffer = core::mem::take(&mut install.buffer);
        let (bytes, is_first) = (buffer.len(), install.written == 0);
        let done = self.disk.with(move |disk| {
            // The block that is not full yet is copied.
            disk.need_room(bytes + Region::<F, BLOCKS>::BLOCK_BYTES, false)?;
            disk.append(NEW, &buffer, is_first)
        });
        self.leave(done)?;
        install.written = install.written.saturating_add(bytes);
        Ok(())
    }
}

impl<S: Storage> Disk<'_, '_, S> {
    /// Removes a package that was not finished. Where the power went while one got its name, littlefs counts the files of the folder
    /// wrongly until it has put that right, which it does before it removes anything.
    pub(crate) fn sweep_packages(&self) -> Result<(), Trouble> {
        Ok(self.remove(NEW)?)
    }

    fn packages(&self) -> Result<Vec<PackageFile>, Trouble> {
        let (mut files, mut is_full) = (Vec::new(), false);
        self.fs.read_dir_and_then(PACKAGES, |entries| {
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().as_str();
                if entry.file_type().is_file() && is_id(name) {
                    is_full |= files.try_reserve(1).is_err();
                    if is_full {
                        break;
                    }
                    files.push(PackageFile { id: String::from(name), bytes: entry.metadata().len() });
                }
            }
            Ok(())
        })?;
        if is_full { Err(StoreError::Memory { bytes: size_of::<PackageFile>() }.into()) } else { Ok(files) }
    }

    fn append(&self, path: &Path, bytes: &[u8], is_first: bool) -> Result<(), Trouble> {
        let written = self.fs.open_file_with_options_and_then(
            |options| options.write(true).create(true).truncate(is_first).append(true),
            path,
            |file| file.write_all(bytes),
        );
        Ok(written?)
    }
}

fn package_path(id: &str) -> Result<PathBuf, StoreError> {
    let name = PathBuf::try_from(id).ok().filter(|_| is_id(id));
    name.map(|name| PACKAGES.join(&name)).ok_or_else(|| StoreError::PackageId(id.into()))
}

/// As in a manifest.
fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(allowed)
}
