//! Extensions: from a package in the store into memory, and away again.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::ops::Range;

use toehold::{Extension, LoadError, Manifest, Package, PackageError, Trust, console::LineWriter};

use crate::{
    Board, Depot, Doing, Shell, Witness,
    room::{NoRoom, Room},
    steer::Refusal,
};

/// Why an extension is not there.
pub(crate) struct NotLoaded {
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// There is no room for it now, but there may be later.
    pub(crate) may_pass: bool,
}

impl From<NotLoaded> for Refusal {
    fn from(error: NotLoaded) -> Self {
        Self { code: error.code, text: error.text }
    }
}

impl From<PackageError> for NotLoaded {
    fn from(error: PackageError) -> Self {
        Self { code: "package", text: error.to_string(), may_pass: false }
    }
}

impl From<NoRoom> for NotLoaded {
    fn from(NoRoom(text): NoRoom) -> Self {
        Self { code: "memory", text, may_pass: true }
    }
}

impl NotLoaded {
    fn flash(error: impl ToString) -> Self {
        Self { code: "flash", text: error.to_string(), may_pass: false }
    }
}

/// Bytes of a piece of a package that are looked for before they are taken.
const MANY_BYTES: usize = 1 << 10;

/// Reads a package piece by piece. Its schemas stay where they are: nobody looks at them here.
fn read(
    length: usize,
    trust: &Trust,
    room: &Room<'_>,
    piece: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, NotLoaded>,
) -> Result<Package, NotLoaded> {
    let read = Package::read(length, trust, &mut |range: Range<usize>| {
        if range.len() >= MANY_BYTES {
            room.for_package(range.len())?;
        }
        piece(range)
    })?;
    // What was read is counted among what is needed.
    room.for_package(read.module().len())?;
    room.for_module(read.module())?;
    Ok(read)
}

#[inline(never)]
fn not_loaded(error: LoadError) -> NotLoaded {
    NotLoaded { code: "module", text: error.to_string(), may_pass: false }
}

impl<B: Board> Shell<B> {
    /// The extension with this id, in memory.
    #[inline(never)]
    pub(crate) fn load(&mut self, id: &str) -> Result<Extension, NotLoaded> {
        if let Some(extension) = self.extensions.get(id) {
            return Ok(extension.clone());
        }
        // What was loaded to be looked at, and no job has, takes the room of this one.
        self.drop_extensions();
        let (manifest, module) = self.open(id)?;
        let extension = self.compile(manifest, module).map_err(not_loaded)?;
        self.extensions.insert(String::from(id), extension.clone());
        Ok(extension)
    }

    /// The package with this id, from the store.
    #[inline(never)]
    fn open(&mut self, id: &str) -> Result<(Manifest, Vec<u8>), NotLoaded> {
        let installed = self.store.packages().map_err(NotLoaded::flash)?;
        let Some(file) = installed.iter().find(|file| file.id == id) else {
            let known: Vec<&str> = installed.iter().map(|file| file.id.as_str()).collect();
            let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
            let text = format!("extension {id} is not installed; there is {known}");
            return Err(NotLoaded { code: "unknown_extension", text, may_pass: false });
        };
        // Its signature again, since it was installed: keys may have been taken from the list.
        let package = self.read_installed(id, file.bytes, true).map_err(|error| match error.code {
            "package" => NotLoaded { text: format!("extension {id}: {}", error.text), ..error },
            _ => error,
        });
        Ok(package?.into_parts())
    }

    #[inline(never)]
    fn read_installed(&mut self, id: &str, bytes: usize, loads: bool) -> Result<Package, NotLoaded> {
        let Self { store, config, memory, .. } = self;
        let room = Room::new(memory, config.reserve_bytes, loads);
        read(bytes, &config.trust, &room, &mut |range| {
            let piece = store.read_package(id, range).map_err(NotLoaded::flash)?;
            piece.ok_or_else(|| NotLoaded {
                code: "unknown_extension",
                text: format!("extension {id} is not installed"),
                may_pass: false,
            })
        })
    }

    #[inline(never)]
    fn read_begun(&mut self, bytes: usize) -> Result<Package, NotLoaded> {
        let Self { store, config, memory, .. } = self;
        let room = Room::new(memory, config.reserve_bytes, true);
        read(bytes, &config.trust, &room, &mut |range| {
            store.read_begun_package(range).map_err(NotLoaded::flash)
        })
    }

    /// Drops the extensions that no job in memory has.
    #[inline(never)]
    pub(crate) fn drop_extensions(&mut self) {
        let in_memory = |id: &str| {
            self.entries.values().any(|entry| entry.held.is_some() && entry.record.extension() == id)
                || self.scheduler.jobs().any(|job| job.context().extension() == id)
        };
        let idle: Vec<String> = self.extensions.keys().filter(|id| !in_memory(id)).cloned().collect();
        for id in idle {
            self.extensions.remove(&id);
        }
    }

    fn compile(&self, manifest: Manifest, module: Vec<u8>) -> Result<Extension, LoadError> {
        let limits = &self.config.limits;
        if let Some(compile) = self.config.compile {
            return Extension::load_unvalidated(manifest, module, limits, compile);
        }
        #[cfg(feature = "validate")]
        return Extension::load(manifest, module, limits);
        #[cfg(not(feature = "validate"))]
        Err(LoadError::Invalid(String::from(
            "this firmware has nothing that loads modules: it needs the feature `validate`, or `Config::compile`",
        )))
    }

    /// Tries the package that was begun, and installs it.
    #[inline(never)]
    pub(crate) fn install(&mut self, size: usize) -> Result<LineWriter, Refusal> {
        self.drop_extensions();
        let package = self.read_begun(size)?;
        let id = String::from(package.manifest().id());
        let (manifest, module) = package.into_parts();
        let hash_before = self.busy_with(&id);
        self.witness.note(Doing::Install);
        let loaded = self.compile(manifest, module);
        self.witness.note(Doing::Idle);
        let extension = loaded.map_err(|error| Refusal::new("module", error))?;
        if let Some((job, hash)) = hash_before
            && hash != extension.module().hash
        {
            return Err(Refusal::new(
                "busy",
                format!("job {job} runs on the {id} that is installed: let it end, or cancel it first"),
            ));
        }
        let jobs: Vec<&str> = extension.jobs().iter().map(|job| job.name.as_str()).collect();
        let line = LineWriter::new("ok")
            .field("id", &id)
            .field("version", extension.manifest().version())
            .field("bytes", size)
            .field("jobs", jobs.join(","));
        for warning in extension.warnings() {
            self.port.write_line(&LineWriter::new("- warning").field("text", warning).finish());
        }
        self.store.finish_package(&id).map_err(|error| Self::flash(&error))?;
        // It may be another version: what is in memory is not that of the next job.
        self.extensions.remove(&id);
        self.look = true;
        Ok(line)
    }

    /// A job of this extension that has not ended, and the module that it runs on.
    fn busy_with(&self, id: &str) -> Option<(toehold::Uuid, [u8; 32])> {
        let entry = self.entries.values().find(|entry| entry.record.extension() == id)?;
        Some((entry.id, entry.record.module_hash))
    }

    #[inline(never)]
    pub(crate) fn remove_extension(&mut self, id: &str) -> Result<(), Refusal> {
        if let Some((job, _)) = self.busy_with(id) {
            return Err(Refusal::new(
                "busy",
                format!("job {job} needs {id}: let it end, or cancel it first"),
            ));
        }
        self.store.remove_package(id).map_err(|error| Self::flash(&error))?;
        self.extensions.remove(id);
        self.offer_again();
        Ok(())
    }

    /// Whether a name is that of an extension.
    pub(crate) fn is_installed(&mut self, name: &str) -> Result<bool, Refusal> {
        let packages = self.store.packages().map_err(|error| Self::flash(&error))?;
        Ok(packages.iter().any(|file| file.id == name))
    }

    /// Shows the extensions.
    #[inline(never)]
    pub(crate) fn list_extensions(&mut self) -> Result<usize, Refusal> {
        let files = self.store.packages().map_err(|error| Self::flash(&error))?;
        for file in &files {
            let line = LineWriter::new("- extension").field("id", &file.id).field("bytes", file.bytes);
            let line = match self.read_installed(&file.id, file.bytes, false) {
                Ok(package) => {
                    line.field("version", package.manifest().version()).maybe("signer", package.signer())
                }
                // There may be later.
                Err(error) if error.may_pass => line,
                Err(error) => line.field("refused", error.text),
            };
            let jobs = self.extensions.get(&file.id).map(|extension| {
                let names: Vec<&str> = extension.jobs().iter().map(|job| job.name.as_str()).collect();
                names.join(",")
            });
            self.port.write_line(&line.maybe("jobs", jobs).finish());
        }
        Ok(files.len())
    }
}
