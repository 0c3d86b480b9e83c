//! The mounted file system, and what the store needs of it.

use alloc::vec::Vec;
use core::ops::Range;

use littlefs2::{
    driver::Storage,
    fs::Filesystem,
    io::{self, Error, SeekFrom, Write},
    path,
    path::Path,
};

use crate::store_error::{StoreError, Trouble};

/// The mounted file system.
pub(crate) struct Disk<'d, 'm, S: Storage> {
    pub(crate) fs: &'d Filesystem<'m, S>,
}

/// What the root says of the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// Nothing: it is not ours.
    None,
    /// Something that we don't know.
    Unknown,
    /// The store is being made.
    Forming,
    /// The store has this layout.
    Version(u8),
}

/// Where the jobs are.
pub(crate) const JOBS: &Path = path!("/jobs");
/// Where the packages are.
pub(crate) const PACKAGES: &Path = path!("/packages");

/// Blocks that stay free, so that jobs can end and be removed whatever happens: for folders that grow or move.
const RESERVE: usize = 4;

const LABEL: u8 = b't';
const LABEL_MARK: &[u8; 7] = b"toehold";

impl<'d, 'm, S: Storage> Disk<'d, 'm, S> {
    pub(crate) fn new(fs: &'d Filesystem<'m, S>) -> Self {
        Self { fs }
    }

    pub(crate) fn label(&self) -> io::Result<Label> {
        let mut bytes = [0; 16];
        let Some(label) = self.fs.attribute(path!("/"), LABEL, &mut bytes)? else { return Ok(Label::None) };
        Ok(match label.data().strip_prefix(LABEL_MARK) {
            Some([0]) => Label::Forming,
            // A newer layout may say more.
            Some([version, ..]) => Label::Version(*version),
            _ => Label::Unknown,
        })
    }

    pub(crate) fn set_label(&self, label: &Label) -> io::Result<()> {
        let mut bytes = Vec::from(*LABEL_MARK);
        bytes.push(if let Label::Version(version) = label { *version } else { 0 });
        self.fs.set_attribute(path!("/"), LABEL, &bytes)
    }

    pub(crate) fn make_folders(&self) -> io::Result<()> {
        for folder in [JOBS, PACKAGES] {
            match self.fs.create_dir(folder) {
                Ok(()) | Err(Error::ENTRY_ALREADY_EXISTED) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fails where not so many bytes can be written and the reserve kept. A job that ends may use the reserve.
    pub(crate) fn need_room(&self, bytes: usize, may_use_reserve: bool) -> Result<(), Trouble> {
        // A file's blocks hold a few bytes less than they have, for pointers.
        let blocks = bytes.div_ceil(S::BLOCK_SIZE - 32);
        let needed = blocks + if may_use_reserve { 0 } else { RESERVE };
        let free = self.fs.available_blocks()?;
        if free < needed { Err(StoreError::Full { blocks: needed, free }.into()) } else { Ok(()) }
    }

    /// An attribute of at most `most` bytes.
    pub(crate) fn attribute(&self, path: &Path, id: u8, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let mut bytes = zeros(most)?;
        let Some(attribute) = self.fs.attribute(path, id, &mut bytes)? else { return Ok(None) };
        let length = attribute.total_size().min(most);
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    /// All of a file; `None` if there is none.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Trouble> {
        self.read_range(path, 0..usize::MAX)
    }

    /// Those bytes of a file that are in the range; `None` if there is no file.
    pub(crate) fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Option<Vec<u8>>, Trouble> {
        let mut length = 0;
        let read = self.fs.open_file_and_then(path, |file| {
            let end = range.end.min(file.len()?);
            length = end.saturating_sub(range.start);
            let Ok(mut bytes) = zeros(length) else { return Err(Error::NO_MEMORY) };
            let start = u32::try_from(range.start).ok().filter(|_| length > 0);
            file.seek(SeekFrom::Start(start.unwrap_or_default()))?;
            let got = file.read(&mut bytes)?;
            bytes.truncate(got);
            Ok(bytes)
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NO_SUCH_ENTRY) => Ok(None),
            Err(Error::NO_MEMORY) => Err(StoreError::Memory { bytes: length }.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, path: &Path) -> Result<bool, Trouble> {
        match self.fs.metadata(path) {
            Ok(_) => Ok(true),
            Err(Error::NO_SUCH_ENTRY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes all of a file.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.fs.create_file_and_then(path, |file| file.write_all(bytes))
    }

    /// Removes a file, which need not be there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match self.fs.remove(path) {
            Err(error) if error != Error::NO_SUCH_ENTRY => Err(error),
            _ => Ok(()),
        }
    }
}

/// So many zeros, if there is memory for them.
pub(crate) fn zeros(count: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    match bytes.try_reserve_exact(count) {
        Ok(()) => bytes.resize(count, 0),
        Err(_) => return Err(StoreError::Memory { bytes: count }.into()),
    }
    Ok(bytes)
}
