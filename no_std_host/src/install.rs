//! Extensions: from a package in the store into memory, and away again.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::ops::Range;

use toehold::{
    Extension, LoadError, Manifest, ModuleShape, Package, PackageError, Trust, console::LineWriter,
};

use crate::{Board, Depot, Doing, Shell, Witness, steer::Refusal};

/// Memory that an extension needs while it is loaded, as multiples of its module: its bytes, and what the interpreter makes of
/// them. Measured with the guests of test-extension, see docs/embedded.md.
const BYTES_FOR_EACH: usize = 4;
/// What the interpreter makes of each function and of each local while it translates one: of modules that have more of them than most
/// with as many bytes.
const BYTES_OF_FUNCTION: usize = 100;
const BYTES_OF_LOCAL: usize = 16;
/// What any extension needs besides.
const BYTES_BESIDES: usize = 8 << 10;

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
    room: &Room,
    piece: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, NotLoaded>,
) -> Result<Package, NotLoaded> {
    let read = Package::read(length, trust, &mut |range: Range<usize>| {
        if range.len() >= MANY_BYTES {
            room.check(range.len())?;
        }
        piece(range)
    })?;
    // What was read is counted among what is needed.
    room.check(read.module().len())?;
    room.check_shape(read.module())?;
    Ok(read)
}

/// The memory for a package.
pub(crate) struct Room {
    free: usize,
    total: usize,
    /// It is to be loaded, and not only to be looked at.
    loads: bool,
}

impl Room {
    /// Whether there is enough for a package of which so many bytes are not schemas.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), NotLoaded> {
        let times = if self.loads { BYTES_FOR_EACH } else { 1 };
        let need = bytes.saturating_mul(times).saturating_add(BYTES_BESIDES);
        let Self { free, total, .. } = self;
        if need <= *free {
            return Ok(());
        }
        let text = format!(
            "a package of {bytes} bytes needs about {need} bytes of memory to load; {free} of {total} are free"
        );
        Err(NotLoaded { code: "memory", text, may_pass: true })
    }
}

impl Room {
    /// Whether there is enough for what the interpreter makes of a module that is odd.
    fn check_shape(&self, module: &[u8]) -> Result<(), NotLoaded> {
        let ModuleShape { functions, most_locals } = ModuleShape::of(module);
        if most_locals == u32::MAX {
            return Ok(()); // It is damaged, which whoever compiles it says better.
        }
        let of =
            |count: u32, bytes: usize| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(bytes);
        let made = of(functions, BYTES_OF_FUNCTION).saturating_add(of(most_locals, BYTES_OF_LOCAL));
        let need = module.len().saturating_add(made).saturating_add(BYTES_BESIDES);
        let Self { free, total, .. } = self;
        if !self.loads || need <= *free {
            return Ok(());
        }
        let text = format!(
            "a module of {functions} functions, one of which has {most_locals} locals, needs about {need} bytes of memory to load; {free} of {total} are free"
        );
        Err(NotLoaded { code: "memory", text, may_pass: true })
    }
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
        let room = self.room(loads);
        let Self { store, config, .. } = self;
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
        let room = self.room(true);
        let Self { store, config, .. } = self;
        read(bytes, &config.trust, &room, &mut |range| {
            store.read_begun_package(range).map_err(NotLoaded::flash)
        })
    }

    /// The memory that there is for a package, to be loaded or only looked at.
    pub(crate) fn room(&self, loads: bool) -> Room {
        Room { free: self.free_memory(), total: crate::Memory::total(&self.memory), loads }
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
