use std::{
    ffi::OsString,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use serde::{Deserialize, Serialize};
use toehold::CallKey;

use super::{CallContext, FileError, payload::shortened, resolve::Place};

/// Bytes that one call writes at most.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
pub(super) struct Input {
    path: String,
    /// Standard base64, padded.
    data: String,
    /// Where to write in the file; the whole file is replaced if this is left out.
    offset: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    /// Bytes of the whole file now.
    size: u64,
}

/// `action:fs.write`: a whole file, or a piece of one. To do it a second time changes nothing.
pub(super) fn write(context: &CallContext<'_>, input: Input) -> Result<Output, String> {
    let Input { path, data, offset } = input;
    let data = STANDARD.decode(&data).map_err(|error| format!("`data` is no base64: {error}"))?;
    if data.len() > MAX_BYTES {
        return Err(format!("`data` has {} bytes; one call writes at most {MAX_BYTES}", data.len()));
    }
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", shortened(path.as_bytes()));
    let (place, found) = context.files().for_writing(&path).map_err(|error| named(&error))?;
    let Some(offset) = offset else {
        let replaced = replace(&place, found.as_ref(), context.key(), |file| file.write_all(&data));
        return replaced.map(|size| Output { size }).map_err(|error| named(&error));
    };
    let size = found.as_ref().map_or(0, Metadata::len);
    if offset > size {
        return Err(named(&format_args!(
            "`offset` is {offset}, and the file has {size} bytes: what lies between can't be left out"
        )));
    }
    piece(&place, found.is_none(), offset, &data).map(|size| Output { size }).map_err(|error| named(&error))
}

/// Puts a file that `fill` fills in the place of the one that is there, in one go: whatever happens, there is the old one or
/// the new one. Gives its size.
fn replace(
    place: &Place,
    old: Option<&Metadata>,
    key: CallKey,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<u64, FileError> {
    let Place { folder, name } = place;
    // A call that comes again after a crash finds what it left behind.
    let new = Place {
        folder: folder.clone(),
        name: OsString::from(format!(".toehold-{}-{}", key.job, key.number)),
    };
    match folder.remove_file(&new.name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let replaced = || {
        let mut file = new.open(OpenOptions::new().write(true).create_new(true))?;
        if let Some(old) = old {
            keep_mode(&file, old)?;
        }
        fill(&mut file)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        folder.rename(&new.name, folder, name)?;
        sync(folder)?;
        Ok(size)
    };
    let replaced: Result<u64, FileError> = replaced();
    if replaced.is_err() {
        // Half a file helps nobody; that it failed is the error to report.
        let _ = folder.remove_file(&new.name);
    }
    replaced
}

/// Writes a piece of a file. Gives the file's size.
fn piece(place: &Place, is_new: bool, offset: u64, data: &[u8]) -> Result<u64, FileError> {
    let mut file = place.open(OpenOptions::new().write(true).create(is_new))?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(data)?;
    file.sync_all()?;
    if is_new {
        sync(&place.folder)?;
    }
    Ok(file.metadata()?.len())
}

/// Gives a new file who may read and write the old one. Not more: a program that ran as its owner must not become the guest's.
#[cfg(unix)]
fn keep_mode(file: &File, old: &Metadata) -> io::Result<()> {
    use cap_std::fs::PermissionsExt as _;
    let mode = old.permissions().mode() & 0o777;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_mode(file: &File, old: &Metadata) -> io::Result<()> {
    cap_std::fs::File::from_std(file.try_clone()?).set_permissions(old.permissions())
}

/// Makes a name in a folder durable.
#[cfg(unix)]
fn sync(folder: &Dir) -> io::Result<()> {
    folder.open(".")?.sync_all()
}

/// Elsewhere a folder can't be opened as a file.
#[cfg(not(unix))]
fn sync(_folder: &Dir) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use serde_json::{Value, json};
    use toehold::Uuid;

    use super::{
        super::{FileAccess, FileGrants, Grants, testing::Disk, testing::call},
        *,
    };

    /// What an extension may do whose manifest asks for `out` and `samples`, and that may write to `out` and what is around
    /// the extension's folder.
    fn grants(disk: &Disk) -> Grants {
        fs::create_dir_all(disk.path("out/inner")).unwrap();
        let out = disk.path("out");
        let asked = [out.to_str().unwrap().to_owned(), "samples".to_owned()];
        let granted = FileGrants { write: &[disk.path("")], ..FileGrants::default() };
        Grants { files: FileAccess::new(&disk.path("ext"), &asked, granted).unwrap(), ..Grants::default() }
    }

    struct Writer(Disk, Grants);

    impl Writer {
        fn new() -> Self {
            let disk = Disk::new();
            let grants = grants(&disk);
            Self(disk, grants)
        }

        fn write(&self, path: &str, data: &[u8], offset: Option<u64>) -> Result<u64, String> {
            let path = self.0.path(path);
            self.call(json!({ "path": path, "data": STANDARD.encode(data), "offset": offset }))
        }

        fn call(&self, input: Value) -> Result<u64, String> {
            call(&self.1, "action:fs.write", input).map(|reply| reply["size"].as_u64().unwrap())
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.0.path(path)).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(self.0.path("out")).unwrap();
            let mut names: Vec<_> =
                names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_whole_file_is_replaced() {
        let writer = Writer::new();
        for text in ["first, and longer", "second", "second", ""] {
            assert_eq!(writer.write("out/a.txt", text.as_bytes(), None), Ok(text.len() as u64));
            assert_eq!(writer.text("out/a.txt"), text);
        }
        assert_eq!(writer.names(), ["a.txt", "inner"], "nothing is left over");
        fs::set_permissions(writer.0.path("out/a.txt"), fs::Permissions::from_mode(0o4640)).unwrap();
        writer.write("out/a.txt", b"third", None).unwrap();
        let mode = fs::metadata(writer.0.path("out/a.txt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        // What the extension has written it may read.
        let read = call(&writer.1, "query:fs.read", json!({ "path": writer.0.path("out/a.txt") })).unwrap();
        assert_eq!(read["size"], 5);
    }

    #[test]
    fn a_piece_is_written_where_it_belongs() {
        let writer = Writer::new();
        assert_eq!(writer.write("out/a", b"0123456789", Some(0)), Ok(10));
        for _ in 0..2 {
            assert_eq!(writer.write("out/a", b"ab", Some(4)), Ok(10));
            assert_eq!(writer.text("out/a"), "0123ab6789");
        }
        for _ in 0..2 {
            assert_eq!(writer.write("out/a", b"xyz", Some(9)), Ok(12));
            assert_eq!(writer.text("out/a"), "0123ab678xyz");
        }
        for (path, offset, size) in [("out/a", 13, 12), ("out/a", u64::MAX, 12), ("out/new", 1, 0)] {
            let error = writer.write(path, b"x", Some(offset)).unwrap_err();
            assert!(
                error.contains(&format!("`offset` is {offset}, and the file has {size} bytes")),
                "{error}"
            );
        }
        assert_eq!(writer.names(), ["a", "inner"]);
    }

    #[test]
    fn a_disk_that_is_full_leaves_the_old_file() {
        let writer = Writer::new();
        writer.write("out/a", b"old", None).unwrap();
        let path = writer.0.path("out/a");
        let (place, found) = writer.1.files.for_writing(path.to_str().unwrap()).unwrap();
        let key = CallKey { job: Uuid::from_u128(1), number: 2 };
        let full = |file: &mut File| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = replace(&place, found.as_ref(), key, full).unwrap_err();
        assert_eq!(error.to_string(), "no storage space");
        assert_eq!(
            (writer.text("out/a"), writer.names()),
            ("old".to_owned(), vec!["a".to_owned(), "inner".to_owned()])
        );
        // What a crash left of the same call is in nobody's way, also where it is a link.
        fs::write(writer.0.path(&format!("out/.toehold-{}-2", key.job)), "half").unwrap();
        assert_eq!(replace(&place, found.as_ref(), key, |file| file.write_all(b"new")).unwrap(), 3);
        writer.0.link("../outside/secret.txt", &format!("out/.toehold-{}-2", key.job));
        assert_eq!(replace(&place, found.as_ref(), key, |file| file.write_all(b"newer")).unwrap(), 5);
        assert_eq!((writer.text("out/a"), writer.names().len()), ("newer".to_owned(), 2));
        assert_eq!(writer.text("outside/secret.txt"), "secret");
    }

    #[test]
    fn what_may_not_be_written_is_refused_and_stays_as_it_is() {
        let writer = Writer::new();
        let disk = &writer.0;
        disk.pipe("out/pipe");
        disk.link("../outside/secret.txt", "out/secret");
        disk.link("../outside", "out/folder");
        disk.link("../ext/samples/a.txt", "out/own");
        disk.link("../outside/new.txt", "out/new-outside");
        disk.link("circle", "out/circle");
        fs::write(disk.path("out/read-only"), "old").unwrap();
        fs::set_permissions(disk.path("out/read-only"), fs::Permissions::from_mode(0o444)).unwrap();
        for (path, error) in [
            ("out", FileError::NotAFile),
            ("out/inner", FileError::NotAFile),
            ("out/pipe", FileError::NotAFile),
            ("out/none/a.txt", FileError::NotFound),
            ("out/read-only", FileError::ReadOnly),
            ("out/read-only/a.txt", FileError::NotAFolder),
            ("out/secret", FileError::Outside),
            ("out/folder/a.txt", FileError::Outside),
            ("out/new-outside", FileError::Outside),
            ("out/circle", FileError::TooManyLinks),
            ("out/own", FileError::Protected),
            ("out/../outside/a.txt", FileError::Outside),
            ("out/../outside/../out/a.txt", FileError::Outside),
            ("outside/secret.txt", FileError::Outside),
            ("outside/new.txt", FileError::Outside),
            ("ext/samples/a.txt", FileError::Protected),
            ("ext/samples/new.txt", FileError::Protected),
            ("ext/manifest.json", FileError::Outside),
        ] {
            for offset in [None, Some(0)] {
                let refused = writer.write(path, b"bad", offset).unwrap_err();
                assert!(refused.ends_with(&error.to_string()), "{path}: {refused}");
            }
        }
        assert_eq!(writer.text("outside/secret.txt"), "secret");
        assert_eq!(writer.text("ext/samples/a.txt"), "alpha");
        assert_eq!(writer.text("out/read-only"), "old");
        assert!(!disk.path("outside/new.txt").exists() && !disk.path("outside/a.txt").exists());
        // A link that stays inside is followed.
        disk.link("inner/b", "out/link");
        assert_eq!(writer.write("out/link", b"new", None), Ok(3));
        assert_eq!(writer.text("out/inner/b"), "new");
    }

    #[test]
    fn an_input_that_can_t_be_right_says_why() {
        let writer = Writer::new();
        let path = writer.0.path("out/a");
        for (input, expected) in [
            (json!({ "path": path, "data": "YQ" }), "`data` is no base64"),
            (json!({ "path": path, "data": "a b=" }), "`data` is no base64"),
            (json!({ "path": path }), "missing field `data`"),
            (json!({ "path": path, "data": "", "offset": -1 }), "invalid value: integer `-1`"),
            (json!({ "path": "", "data": "" }), "a path must have from 1"),
            (json!({ "path": "a\0", "data": "" }), "a path must have from 1"),
        ] {
            let error = writer.call(input).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = writer.write("out/a", &vec![0; MAX_BYTES + 1], None).unwrap_err();
        assert_eq!(error, "`data` has 1048577 bytes; one call writes at most 1048576");
        assert_eq!(writer.write("out/a", &vec![0; MAX_BYTES], None), Ok(MAX_BYTES as u64));
    }
}
