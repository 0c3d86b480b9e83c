//! Extensions that are copied into the folder of a manager, and removed from it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde_json::{Map, Value};
use toehold::{Extension, Limits, Manifest, Trust, Uuid};

pub(crate) use super::files::canonical;
use super::{
    CONFIG_FILE, ExtensionError, MANIFEST_FILE, PACKAGE_FILE,
    files::{self, ExtensionFiles, Source},
    schema::Schemas,
    signed::{self, SignedPackage},
};

/// What an extension's folder may hold, all files and folders together.
const FILES: usize = 10_000;
/// What names in the folder start with that are no extension: copies under way, and what they replace.
const UNDER_WAY: &str = ".";

/// Copies the extension at `path`, a folder or a package, into `root`, in the place of one with its id. Gives its id. Its
/// configuration is `config`, or that of its folder, or the one that is there already.
///
/// Whatever fails, what was there before is there after; after a crash in between, [`repair`] brings it back.
pub(crate) fn add(
    path: &Path,
    root: &Path,
    limits: &Limits,
    trust: &Trust,
    config: Option<&Value>,
) -> Result<String, ExtensionError> {
    match Source::of(path)? {
        Source::Folder(folder) => add_folder(&folder, root, limits, trust, config),
        Source::Package(path) => add_package(&path, root, limits, trust, config),
    }
}

fn add_folder(
    folder: &Path,
    root: &Path,
    limits: &Limits,
    trust: &Trust,
    config: Option<&Value>,
) -> Result<String, ExtensionError> {
    let mut files = ExtensionFiles::read(folder, limits, trust)?;
    let id = files.manifest.id().to_owned();
    let installed = root.join(&id);
    // The operator's configuration stays through a new version that brings none.
    let kept = !folder.join(CONFIG_FILE).exists() && is_file(&installed.join(CONFIG_FILE));
    if kept {
        files.config = files::config(&canonical(&installed)?)?.0;
    }
    // What can't be loaded is not installed.
    files.configured(config)?;
    let extension = Extension::load(files.manifest.clone(), &files.module, limits)
        .map_err(|source| ExtensionError::Load { path: files.module_path.clone(), source })?;
    files.check_jobs(&extension)?;
    if fs::canonicalize(&installed).is_ok_and(|target| target == files.folder) {
        return Ok(id);
    }
    put(root, &id, |new| {
        copy(&files.folder, new, &mut 0)?;
        if kept {
            write(&new.join(CONFIG_FILE), &fs::read(installed.join(CONFIG_FILE))?)?;
        }
        sync(new)
    })?;
    Ok(id)
}

fn add_package(
    path: &Path,
    root: &Path,
    limits: &Limits,
    trust: &Trust,
    config: Option<&Value>,
) -> Result<String, ExtensionError> {
    let (package, bytes) = signed::read(path, trust)?;
    let signed = SignedPackage::of(&package, &bytes);
    let (_, schemas) = signed::checked(&package, path, limits)?;
    let (manifest, module) = package.into_parts();
    // The operator's, not the package's: it stays through a new version, which it has to fit.
    let installed = root.join(manifest.id());
    let kept = installed.join(CONFIG_FILE);
    let has_config = is_file(&kept);
    let there =
        if has_config { files::config(&canonical(&installed)?)?.0 } else { Value::Object(Map::new()) };
    files::configured(&schemas, config, &there, &kept)?;
    put(root, manifest.id(), |new| {
        fs::create_dir(new)?;
        unpack(&manifest, &schemas, &module, new)?;
        if let Some(signed) = &signed {
            write(&new.join(PACKAGE_FILE), signed.bytes())?;
        }
        if has_config {
            write(&new.join(CONFIG_FILE), &fs::read(&kept)?)?;
        }
        sync(new)
    })?;
    Ok(manifest.id().to_owned())
}

/// Whether there is a regular file, and no link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Writes a package's manifest, with its schemas, and its module into a new folder.
fn unpack(manifest: &Manifest, schemas: &Schemas, module: &[u8], folder: &Path) -> io::Result<()> {
    check_module_name(manifest).map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
    let path = folder.join(manifest.wasm_file());
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    write(&path, module)?;
    // All folders on the way to it.
    for between in path.ancestors().skip(1).take_while(|between| *between != folder) {
        sync(between)?;
    }
    write(&folder.join(MANIFEST_FILE), &manifest_json(manifest, schemas)?)
}

/// Refuses a module that is called as another file of an extension, or that lies in a folder which is called so.
pub(crate) fn check_module_name(manifest: &Manifest) -> Result<(), String> {
    let file = manifest.wasm_file();
    let first = file.split('/').next().unwrap_or_default();
    match [MANIFEST_FILE, CONFIG_FILE, PACKAGE_FILE].iter().find(|name| name.eq_ignore_ascii_case(first)) {
        Some(name) => Err(format!(
            "`wasm_file` is {file:?}, but {name} is another file of an extension; call the module otherwise"
        )),
        None => Ok(()),
    }
}

/// A manifest's file, for people where that is not too long.
fn manifest_json(manifest: &Manifest, schemas: &Schemas) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(manifest)?;
    if let Value::Object(keys) = &mut value {
        keys.extend(schemas.keys());
    }
    let fits = |json: &[u8]| json.len() as u64 <= files::JSON_BYTES;
    let pretty = serde_json::to_vec_pretty(&value)?;
    if fits(&pretty) {
        return Ok(pretty);
    }
    let json = serde_json::to_vec(&value)?;
    if fits(&json) {
        return Ok(json);
    }
    let (bytes, limit) = (json.len(), files::JSON_BYTES);
    let message =
        format!("the package's manifest and schemas have {bytes} bytes as JSON; the limit is {limit}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Makes a folder with this id in `root`, which `fill` makes and fills, in the place of the one that is there.
fn put(root: &Path, id: &str, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), ExtensionError> {
    let error = |path: &Path, source| ExtensionError::Read { path: path.to_owned(), source };
    // Configurations may hold secrets.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(root).map_err(|source| error(root, source))?;
    let target = root.join(id);
    let new = root.join(format!("{UNDER_WAY}new-{}", Uuid::new_v4().simple()));
    let old = root.join(format!("{UNDER_WAY}old-{id}"));
    let copied = fill(&new).and_then(|()| {
        if target.exists() {
            if old.exists() {
                fs::remove_dir_all(&old)?;
            }
            fs::rename(&target, &old)?;
        }
        let renamed = fs::rename(&new, &target);
        if renamed.is_err() && old.exists() {
            fs::rename(&old, &target)?;
        }
        renamed?;
        sync(root)
    });
    if let Err(source) = copied {
        // Half a copy helps nobody; that it failed is the error to report.
        let _ = fs::remove_dir_all(&new);
        return Err(error(&target, source));
    }
    // The new one is in place; what is left of the old one is removed now or at the next start.
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// Removes the extension in `folder`, which must lie in `root`.
pub(crate) fn remove(folder: &Path, root: &Path) -> Result<(), ExtensionError> {
    let error = |source| ExtensionError::Read { path: folder.to_owned(), source };
    let inside = fs::canonicalize(root).is_ok_and(|root| folder.parent() == Some(root.as_path()));
    if !inside {
        return Err(error(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("does not lie in {}, so it is not removed", root.display()),
        )));
    }
    // By one rename it is gone, whatever happens to the rest.
    let gone = root.join(format!("{UNDER_WAY}new-{}", Uuid::new_v4().simple()));
    fs::rename(folder, &gone).and_then(|()| sync(root)).map_err(error)?;
    fs::remove_dir_all(&gone).map_err(error)
}

/// Brings a folder in order after a crash: what was being replaced and has no successor comes back, the rest goes.
pub(crate) fn repair(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let lost = name.strip_prefix(".old-").map(|id| root.join(id)).filter(|target| !target.exists());
        let done = match lost {
            Some(target) => fs::rename(&path, target),
            None if name.starts_with(".old-") || name.starts_with(".new-") => fs::remove_dir_all(&path),
            None => Ok(()),
        };
        if let Err(error) = done {
            log::warn!("{}: {error}", path.display());
        }
    }
}

/// Copies a folder. Links are not followed: what they lead to may be elsewhere.
fn copy(from: &Path, to: &Path, count: &mut usize) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        *count += 1;
        if *count > FILES {
            return Err(io::Error::other(format!("{}: has more than {FILES} files", from.display())));
        }
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target, count)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    sync(to)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder can't be opened as a file.
#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a folder's name says that it is no extension.
pub(super) fn is_under_way(folder: &Path) -> bool {
    folder.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(UNDER_WAY))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn extension(folder: &Path, version: &str) -> PathBuf {
        fs::create_dir_all(folder.join("samples")).unwrap();
        let manifest = format!(
            r#"{{"id": "a", "name": "A", "version": "{version}", "description": "", "author": "", "wasm_file": "a.wasm"}}"#
        );
        fs::write(folder.join("manifest.json"), manifest).unwrap();
        fs::write(folder.join("a.wasm"), wat::parse_str("(module (memory (export \"memory\") 1))").unwrap())
            .unwrap();
        fs::write(folder.join("samples/x"), version).unwrap();
        folder.to_owned()
    }

    #[test]
    fn one_takes_the_place_of_another() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("installed");
        for version in ["1", "2"] {
            let source = extension(&temp.path().join(version), version);
            assert_eq!(add(&source, &root, &Limits::default(), &Trust::Anyone, None).unwrap(), "a");
            assert_eq!(fs::read_to_string(root.join("a/samples/x")).unwrap(), version);
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        }
        let folder = fs::canonicalize(root.join("a")).unwrap();
        assert!(remove(temp.path(), &root).is_err(), "it lies elsewhere");
        remove(&folder, &root).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }

    #[test]
    fn one_that_can_not_be_loaded_changes_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("installed");
        add(&extension(&temp.path().join("1"), "1"), &root, &Limits::default(), &Trust::Anyone, None)
            .unwrap();
        let bad = extension(&temp.path().join("2"), "2");
        fs::write(bad.join("a.wasm"), "no module").unwrap();
        assert!(matches!(
            add(&bad, &root, &Limits::default(), &Trust::Anyone, None),
            Err(ExtensionError::Load { .. })
        ));
        assert_eq!(fs::read_to_string(root.join("a/samples/x")).unwrap(), "1");
    }

    #[test]
    fn what_a_crash_left_is_brought_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        extension(&root.join(".old-a"), "1");
        extension(&root.join(".new-0"), "2");
        repair(root);
        assert_eq!(fs::read_to_string(root.join("a/samples/x")).unwrap(), "1");
        extension(&root.join(".old-a"), "0");
        repair(root);
        assert_eq!(fs::read_to_string(root.join("a/samples/x")).unwrap(), "1");
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    }
}
