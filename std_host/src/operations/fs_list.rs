use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    CallContext, FileAccess, FileError,
    payload::shortened,
    resolve::{Found, What},
};

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
    // An error for a link that leaves the allowed folders, and for what has just been removed.
    let (kind, size) = match files.walk(folder.to_owned(), Path::new(&name)) {
        Ok(Found { what: What::Folder(_), .. }) => (Kind::Folder, 0),
        Ok(Found { what: What::Entry(_, found), .. }) if found.is_file() => (Kind::File, found.len()),
        _ => (Kind::Other, 0),
    };
    Entry { name, kind, size }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::{
        super::testing::{Disk, call},
        *,
    };

    fn list(disk: &Disk, path: &str) -> Result<Value, String> {
        call(&disk.grants(), "query:fs.list", json!({ "path": path }))
    }

    #[test]
    fn entries_are_sorted_and_say_what_they_are() {
        let disk = Disk::new();
        fs::write(disk.path("ext/samples/B.txt"), "").unwrap();
        fs::write(disk.path("ext/samples/ä \"\n.txt"), "12").unwrap();
        disk.pipe("ext/samples/pipe");
        disk.link("a.txt", "ext/samples/l-file");
        disk.link("inner", "ext/samples/l-folder");
        disk.link("../private.txt", "ext/samples/l-outside");
        disk.link("../none", "ext/samples/l-outside-none");
        disk.link("none", "ext/samples/l-none");
        disk.link("l-circle", "ext/samples/l-circle");
        let expected = [
            ("B.txt", "file", 0),
            ("a.txt", "file", 5),
            ("inner", "folder", 0),
            ("l-circle", "other", 0),
            ("l-file", "file", 5),
            ("l-folder", "folder", 0),
            ("l-none", "other", 0),
            ("l-outside", "other", 0),
            ("l-outside-none", "other", 0),
            ("pipe", "other", 0),
            ("ä \"\n.txt", "file", 2),
        ];
        let entries = expected.map(|(name, kind, size)| json!({ "name": name, "kind": kind, "size": size }));
        assert_eq!(list(&disk, "samples"), Ok(json!({ "entries": entries, "skipped": 0 })));
    }

    #[test]
    fn a_folder_that_is_not_allowed_or_none_is_not_listed() {
        let disk = Disk::new();
        for path in ["..", ".", "../outside", "../none", "/"] {
            let error = list(&disk, path).unwrap_err();
            assert_eq!(error, format!("{path}: {}", FileError::Outside));
        }
        assert_eq!(list(&disk, "samples/a.txt"), Err("samples/a.txt: not a folder".to_owned()));
        assert_eq!(list(&disk, "samples/none"), Err("samples/none: no such file or folder".to_owned()));
        let long = list(&disk, &format!("samples/{}", "x".repeat(100_000))).unwrap_err();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_folder_of_too_many_entries_is_an_error() {
        let disk = Disk::new();
        let files = disk.grants().files;
        assert_eq!(entries(&files, "samples", 2).unwrap().entries.len(), 2);
        let error = entries(&files, "samples", 1).unwrap_err();
        assert_eq!(error, "the folder has more than 1 entries, which is the most that can be listed");
    }

    /// Other systems don't let such names exist.
    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_are_no_text_are_counted() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let disk = Disk::new();
        fs::write(disk.path("ext/samples/inner").join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let entries = json!([{ "name": "b.txt", "kind": "file", "size": 4 }]);
        assert_eq!(list(&disk, "samples/inner"), Ok(json!({ "entries": entries, "skipped": 1 })));
    }
}
