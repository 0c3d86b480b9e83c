use alloc::{string::String, vec::Vec};
use core::ops::Range;

use toehold::Store;

/// Where a board keeps what must outlive it: jobs, as a [`Store`], and packages.
///
/// A package is written in pieces beside those that are installed, and takes the place of the one with its id at once, when
/// it is whole: a power cut at any instant leaves the old one or the new one. What was begun and not finished is gone after
/// the next start.
pub trait Depot: Store {
    /// The packages that are installed.
    ///
    /// # Errors
    /// Whatever keeps the flash from being read.
    fn packages(&mut self) -> Result<Vec<PackageFile>, Self::Error>;

    /// Those of a package's bytes that are in the range; fewer if it ends before. `None` if none with this id is installed.
    ///
    /// # Errors
    /// Whatever keeps the flash from being read, and that there is no memory for so many.
    fn read_package(&mut self, id: &str, range: Range<usize>) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Begins a package, in the place of another one that was begun.
    ///
    /// # Errors
    /// Whatever keeps the flash from being written.
    fn begin_package(&mut self) -> Result<(), Self::Error>;

    /// Adds to the package that was begun.
    ///
    /// # Errors
    /// Whatever keeps the flash from being written: it is full, worn.
    fn write_package(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// As [`Depot::read_package`], of what was written of the package that was begun.
    ///
    /// # Errors
    /// As there, and whatever keeps the flash from being written.
    fn read_begun_package(&mut self, range: Range<usize>) -> Result<Vec<u8>, Self::Error>;

    /// Installs the package that was begun, in the place of one with this id.
    ///
    /// # Errors
    /// Whatever keeps the flash from it; then the old one is installed as before.
    fn finish_package(&mut self, id: &str) -> Result<(), Self::Error>;

    /// Drops the package that was begun, if one was.
    ///
    /// # Errors
    /// Whatever keeps the flash from being written; it is gone after the next start all the same.
    fn abort_package(&mut self) -> Result<(), Self::Error>;

    /// Removes a package, durably. It need not be there.
    ///
    /// # Errors
    /// Whatever keeps the flash from being written; then it is still there.
    fn remove_package(&mut self, id: &str) -> Result<(), Self::Error>;

    /// How much room there is.
    ///
    /// # Errors
    /// Whatever keeps the flash from being read.
    fn room(&mut self) -> Result<Room, Self::Error>;
}

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// The extension's id.
    pub id: String,
    /// Bytes of the package.
    pub bytes: usize,
}

/// Room in a depot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes in use, in whole blocks.
    pub used: usize,
    /// Bytes in all.
    pub total: usize,
}
