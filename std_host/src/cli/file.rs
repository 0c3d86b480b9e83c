//! Files that are written whole or not at all, and read within bounds.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::problem::Problem;

/// Writes a file whole or not at all. One that is there is only replaced where that is wanted.
pub(crate) fn write(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Problem> {
    put(path, bytes, replace, &mut File::options())
        .map_err(|error| failed(path, &error, "; --force replaces it"))
}

/// Writes a file that nobody else may read, and that is not there yet.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    put(path, bytes, false, &mut options)
        .map_err(|error| failed(path, &error, "; a key is never replaced: choose another name"))
}

fn failed(path: &Path, error: &io::Error, if_there: &str) -> Problem {
    let hint = if error.kind() == io::ErrorKind::AlreadyExists { if_there } else { "" };
    Problem::new("file", format!("{}: {error}{hint}", path.display()))
}

fn put(path: &Path, bytes: &[u8], replace: bool, options: &mut OpenOptions) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let written = (|| {
        let mut file = options.write(true).create_new(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if replace {
            return fs::rename(&new, path);
        }
        // Makes no name that is there already.
        match fs::hard_link(&new, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
                // Some file systems have no links.
                fs::rename(&new, path)
            }
            linked => linked,
        }
    })();
    // It has its name, or is of no use.
    let _ = fs::remove_file(&new);
    written
}

/// Reads a file, or standard input for `-`, of at most `limit` bytes, the most that `what` has.
pub(crate) fn read(path: &Path, limit: usize, what: &str) -> Result<Vec<u8>, Problem> {
    let failed = |error: io::Error| failed(path, &error, "");
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        // A device or a pipe may have no end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file")));
        }
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > limit {
        let message = format!("has more than {limit} bytes, the limit for {what}");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    Ok(bytes)
}
