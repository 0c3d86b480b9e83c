//! Where checkpoints become durable: a file for each job.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use toehold::{Checkpoint, FormatError, Uuid};

/// A folder with the newest checkpoint of each job, `JOB_ID.checkpoint`.
///
/// After a crash or a power cut at any instant, a job's file holds the newest checkpoint that [`CheckpointFolder::save`]
/// has acknowledged, or the one that it was about to; never a mix.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
}

/// Bytes of a checkpoint's file; what is longer is cut, and so refused as damaged. Far above what a job may checkpoint.
const FILE_BYTES: u64 = 1 << 30;

/// Why a checkpoint could not be read. Its file is left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadCheckpointError {
    /// The file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no checkpoint that this version reads.
    #[error("{path}: {source}", path = path.display())]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        source: FormatError,
    },
}

impl CheckpointFolder {
    /// A folder of checkpoints, which is made when the first one is saved.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file of a job's checkpoint.
    #[must_use]
    pub fn path(&self, job: Uuid) -> PathBuf {
        self.folder.join(format!("{job}.checkpoint"))
    }

    /// Makes a checkpoint durable: written to a file beside, synced, renamed, and the folder synced.
    ///
    /// # Errors
    /// Whatever the operating system says. Then either the job's older checkpoint is there or, where only the sync of
    /// the folder failed, the new one.
    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        make_folder(&self.folder)?;
        let path = self.path(checkpoint.job_id);
        // A name of its own, also beside another process that runs the same job.
        let new = path.with_extension(format!("{}.new", Uuid::new_v4().simple()));
        let written = write_synced(&new, &checkpoint.encode()).and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            // Half a file helps nobody; that it could not be written is the error to report.
            let _ = fs::remove_file(&new);
        }
        written?;
        sync_folder(&self.folder)
    }

    /// Removes a job's checkpoint, once nobody needs it any more. It need not be there.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn remove(&self, job: Uuid) -> io::Result<()> {
        match fs::remove_file(self.path(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads a checkpoint from its file, wherever that lies.
    ///
    /// # Errors
    /// [`ReadCheckpointError`], which names the file.
    pub fn read(path: &Path) -> Result<Checkpoint, ReadCheckpointError> {
        let read = |source| ReadCheckpointError::Read { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(read)?.is_file() {
            return Err(read(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file")));
        }
        let mut bytes = Vec::new();
        File::open(path).map_err(read)?.take(FILE_BYTES).read_to_end(&mut bytes).map_err(read)?;
        Checkpoint::decode(&bytes)
            .map_err(|source| ReadCheckpointError::Decode { path: path.to_owned(), source })
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder with all that it lies in, each of them durable.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
        make_one(folder)?;
        return sync_folder(parent);
    }
    make_one(folder)
}

/// For its owner alone: a checkpoint has what a job works on.
fn make_one(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder can't be opened as a file; the rename is as durable as the file system makes it.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
