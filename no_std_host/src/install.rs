//! Extensions: from a package in the store into memory, and away again.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use toehold::{Extension, LoadError, Manifest, Package, PackagedModule, console::LineWriter};

use crate::{Board, Depot, Doing, Shell, Witness, steer::Refusal};

/// Memory that an extension needs while it is loaded, as multiples of its module: its bytes, and what the interpreter makes of
/// them. Measured with the guests of test-extension, see docs/embedded.md.
const BYTES_FOR_EACH: usize = 4;
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
    fn open(&mut self, id: &str) -> Result<(Manifest, PackagedModule), NotLoaded> {
        let not = |code, text: String| NotLoaded { code, text, may_pass: false };
        let installed = self.store.packages().map_err(|error| not("flash", error.to_string()))?;
        let Some(file) = installed.iter().find(|file| file.id == id) else {
            let known: Vec<&str> = installed.iter().map(|file| file.id.as_str()).collect();
            let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
            return Err(not(
                "unknown_extension",
                format!("extension {id} is not installed; there is {known}"),
            ));
        };
        self.room_for(file.bytes, 0).map_err(|text| NotLoaded { code: "memory", text, may_pass: true })?;
        let bytes = self.store.read_package(id).map_err(|error| not("flash", error.to_string()))?;
        let bytes =
            bytes.ok_or_else(|| not("unknown_extension", format!("extension {id} is not installed")))?;
        // Again, since it was installed: keys may have been taken from the list.
        let package = Package::open(bytes, &self.config.trust);
        Ok(package.map_err(|error| not("package", format!("extension {id}: {error}")))?.into_parts())
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

    /// Whether a package of so many bytes can be loaded now, of which so many are in memory already.
    pub(crate) fn room_for(&self, package_bytes: usize, there: usize) -> Result<(), String> {
        let need = package_bytes.saturating_mul(BYTES_FOR_EACH).saturating_add(BYTES_BESIDES);
        let free = self.free_memory().saturating_add(there);
        if need <= free {
            return Ok(());
        }
        let total = crate::Memory::total(&self.memory);
        Err(format!(
            "a package of {package_bytes} bytes needs about {need} bytes of memory to load; {free} of {total} are free"
        ))
    }

    fn compile(&self, manifest: Manifest, module: PackagedModule) -> Result<Extension, LoadError> {
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
    pub(crate) fn install(&mut self) -> Result<LineWriter, Refusal> {
        let bytes = self.store.begun_package().map_err(|error| Self::flash(&error))?;
        let size = bytes.len();
        let package =
            Package::open(bytes, &self.config.trust).map_err(|error| Refusal::new("package", error))?;
        let id = String::from(package.manifest().id());
        let (manifest, module) = package.into_parts();
        let hash_before = self.busy_with(&id);
        self.drop_extensions();
        self.room_for(size, size).map_err(|text| Refusal::new("memory", text))?;
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
            let line = if file.bytes < self.free_memory() {
                match self.store.read_package(&file.id) {
                    Ok(Some(bytes)) => match Package::open(bytes, &self.config.trust) {
                        Ok(package) => line
                            .field("version", package.manifest().version())
                            .maybe("signer", package.signer()),
                        Err(error) => line.field("refused", error),
                    },
                    Ok(None) => line,
                    Err(error) => line.field("refused", error),
                }
            } else {
                line
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
