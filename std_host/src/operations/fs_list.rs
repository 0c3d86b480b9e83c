use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{CallContext, FileAccess, FileError, payload::shortened};

/// Entries of a folder that can be listed. The reply of this many still fits into a guest's memory.
const MAX_ENTRIES: usize = 10_000;

#[derive(Deserialize)]
pub(super) struct Input {
    path: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    /// Sorted by the bytes of the name.
    entries: Vec<Entry>,
    /// Entries whose name is not UTF-8, so that no guest could ask for them.
    skipped: usize,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    kind: Kind,
    /// Bytes of a file, else 0.
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Folder,
    Other,
}

/// `query:fs.list`: what is in a folder.
pub(super) fn list(context: &CallContext<'_>, Input { path }: Input) -> Result<Output, String> {
    entries(context.files(), &path, MAX_ENTRIES)
        .map_err(|error| format!("{}: {error}", shortened(path.as_bytes())))
}

fn entries(files: &FileAccess, path: &str, limit: usize) -> Result<Output, String> {
    let (folder, found) = files.open_folder(path).map_err(|error| error.to_string())?;
    let mut output = Output { entries: Vec::new(), skipped: 0 };
    for entry in found {
        let entry = entry.map_err(|error| FileError::from(error).to_string())?;
        if output.entries.len() + output.skipped == limit {
            return Err(format!(
                "the folder has more than {limit} entries, which is the most that can be listed"
            ));
        }
        match entry.file_name().into_string() {
            Ok(name) => output.entries.push(described(files, &folder, name)),
            Err(_) => output.skipped += 1,
        }
    }
    output.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(output)
}

fn described(files: &FileAccess, folder: &Path, name: String) -> Entry {
    let metadata = where_it_leads(files, folder, &name).and_then(|path| fs::symlink_metadata(path).ok());
    let kind = metadata.as_ref().map_or(Kind::Other, |metadata| match metadata {
        file if file.is_file() => Kind::File,
        folder if folder.is_dir() => Kind::Folder,
        _ => Kind::Other,
    });
    let size = metadata.filter(|_| kind == Kind::File).as_ref().map_or(0, Metadata::len);
    Entry { name, kind, size }
}

/// None for a link that leaves the allowed folders or leads nowhere, and for what has just been removed.
fn where_it_leads(files: &FileAccess, folder: &Path, name: &str) -> Option<PathBuf> {
    files.walk(folder.to_owned(), Path::new(name)).ok()
}
