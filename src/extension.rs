use alloc::{
    borrow::ToOwned, boxed::Box, collections::BTreeSet, format, string::String, sync::Arc, vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use spin::Mutex;
use toehold_abi::{CLEANUP, EXECUTE_PREFIX, EXECUTE_SIGNATURE};
use uuid::Uuid;
use wasmi::{Engine, Error, ExternType, Linker, Module};

use crate::{
    Limits, Millis, NoticedLimits,
    engine::{engine, error_text},
    guest::{Guest, JobRole, Registration, Role},
    host_functions::{self, is_job_name},
    lifecycle,
    limiter::Limiter,
    manifest::Manifest,
    module::{self, LoadError, ModuleInfo},
    rate_limit::RateLimit,
};

/// Warnings of a kind that are listed one by one.
const WARNINGS: usize = 20;
/// Jobs of an extension.
const JOBS: usize = 256;

/// Makes a module of bytes that are not validated: [`Module::new_unchecked`](wasmi::Module::new_unchecked), which is unsafe,
/// so that it stands in the code of whoever vouches for the bytes.
pub type Compile = fn(&Engine, &[u8]) -> Result<Module, Error>;

/// A loaded extension: its compiled module, its jobs, and what they may do. Clones share it.
#[derive(Clone)]
pub struct Extension(Arc<Loaded>);

struct Loaded {
    shared: Arc<ExtensionShared>,
    module: Module,
    linker: Linker<Guest>,
    info: ModuleInfo,
    jobs: Vec<JobInfo>,
    warnings: Vec<String>,
}

/// A job that an extension offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// Its name; the full one is `EXTENSION_ID:NAME`.
    pub name: String,
    /// The export that runs it.
    pub export: String,
    /// Whether it can go on from a checkpoint. One that can't is never told to pause, but held where it is; and
    /// [`Extension::resume`] refuses it.
    pub resumable: bool,
    /// Whether `register_job` named it; else its export's name did.
    pub registered: bool,
}

impl Extension {
    /// Parses, validates and checks a module, runs its `plugin_init`, and notes its jobs.
    ///
    /// `limits` are the host's; the manifest can lower them. A module that is given by value is dropped before `plugin_init`
    /// gets its memory, which is what a board has room for.
    ///
    /// # Errors
    /// [`LoadError`] says all that is wrong with the module, and nothing of it stays behind.
    #[cfg(feature = "validate")]
    pub fn load(manifest: Manifest, module: impl AsRef<[u8]>, limits: &Limits) -> Result<Self, LoadError> {
        Self::build(manifest, module, limits, None, |engine, bytes| Module::new(engine, bytes))
    }

    /// As [`Extension::load`], for builds without the feature `validate`: what is wrong with the module's code is not
    /// noticed, and may do anything to the host. Only for modules whose maker is known, by the signature of their package.
    ///
    /// # Errors
    /// As [`Extension::load`].
    pub fn load_unvalidated(
        manifest: Manifest,
        module: impl AsRef<[u8]>,
        limits: &Limits,
        compile: Compile,
    ) -> Result<Self, LoadError> {
        Self::build(manifest, module, limits, None, compile)
    }

    /// Loads a new module or manifest in this extension's place. Jobs that run keep the old module, and still count
    /// among the jobs and calls that the new one may have.
    ///
    /// # Errors
    /// As [`Extension::load`]; this one is as good as before.
    #[cfg(feature = "validate")]
    pub fn reload(
        &self,
        manifest: Manifest,
        module: impl AsRef<[u8]>,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        Self::build(manifest, module, limits, Some(self), |engine, bytes| Module::new(engine, bytes))
    }

    // What it calls is `#[inline(never)]`: a build for size that sees the whole program would have it all lie on the stack at
    // once, below the deepest of it, which is the parsing of a module.
    #[inline(never)]
    fn build(
        manifest: Manifest,
        module: impl AsRef<[u8]>,
        limits: &Limits,
        old: Option<&Self>,
        compile: impl FnOnce(&Engine, &[u8]) -> Result<Module, Error>,
    ) -> Result<Self, LoadError> {
        log::info!("Loading extension: {}", manifest.id());
        let limits = limits.lowered_by(manifest.permissions());
        let bytes = module.as_ref();
        if bytes.len() > limits.module_bytes {
            return Err(LoadError::TooLarge { bytes: bytes.len(), limit: limits.module_bytes });
        }
        check_magic(bytes)?;
        let compiled = compile(&engine(&limits), bytes).map_err(invalid)?;
        let info = check(&compiled, bytes, &limits)?;
        drop(module); // Its memory may be needed for the instance that `plugin_init` runs in.
        Self::initialize(share(manifest, limits, info.shape.most_locals, old), compiled, info)
    }

    /// Runs `plugin_init`, and notes what it registered.
    #[inline(never)]
    fn initialize(
        shared: Arc<ExtensionShared>,
        compiled: Module,
        info: Box<ModuleInfo>,
    ) -> Result<Self, LoadError> {
        let mut linker = Linker::new(compiled.engine());
        let mut warnings = Vec::new();
        link(&mut linker, &compiled, &info, &mut warnings).map_err(|error| invalid(Error::from(error)))?;
        let lifecycle::Loaded { registrations, lines_dropped } =
            lifecycle::load(&shared, &compiled, &linker)?;
        if lines_dropped > 0 {
            warnings.push(format!(
                "{lines_dropped} log lines of plugin_init were over the limit and were dropped"
            ));
        }
        let jobs = jobs(&compiled, registrations, &mut warnings);
        for warning in &warnings {
            log::warn!("{}: {warning}", shared.id());
        }
        Ok(Self(Arc::new(Loaded { shared, module: compiled, linker, info: *info, jobs, warnings })))
    }

    /// Runs the module's `plugin_cleanup`, if it has one, in an instance of its own.
    ///
    /// Jobs that still run keep the module until they end.
    ///
    /// # Errors
    /// The fault that ended it. The extension can be dropped all the same.
    pub fn cleanup(&self) -> Result<(), crate::Fault> {
        if self.0.info.exports.iter().any(|export| export.name == CLEANUP) {
            lifecycle::unload(&self.0.shared, &self.0.module, &self.0.linker)?;
        }
        Ok(())
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.shared.id()
    }

    /// The manifest that it was loaded with.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.shared.manifest
    }

    /// The limits of its jobs: the lower of the host's and the manifest's.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.shared.limits
    }

    /// What the module imports and exports, and its hash.
    #[must_use]
    pub fn module(&self) -> &ModuleInfo {
        &self.0.info
    }

    /// Its jobs: those that it registered first, in that order.
    #[must_use]
    #[inline(never)]
    pub fn jobs(&self) -> &[JobInfo] {
        &self.0.jobs
    }

    /// The job of this name.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&JobInfo> {
        self.0.jobs.iter().find(|job| job.name == name)
    }

    /// What is odd about the module, but did not keep it from loading.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// How many of its jobs run now.
    #[must_use]
    pub fn running_jobs(&self) -> u32 {
        self.0.shared.running.load(Ordering::Relaxed)
    }

    pub(crate) fn shared(&self) -> &Arc<ExtensionShared> {
        &self.0.shared
    }

    pub(crate) fn compiled(&self) -> (&Module, &Linker<Guest>) {
        (&self.0.module, &self.0.linker)
    }
}

impl core::fmt::Debug for Extension {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Extension").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// What an extension and all of its guests share.
#[derive(Debug)]
pub(crate) struct ExtensionShared {
    pub(crate) manifest: Manifest,
    pub(crate) limits: Limits,
    /// Of its module's functions, see [`ModuleShape::most_locals`](crate::ModuleShape::most_locals).
    pub(crate) most_locals: u32,
    /// There was no memory to translate one of its functions.
    pub(crate) starved: AtomicBool,
    /// These two outlive a reload.
    rate: Arc<Mutex<RateLimit>>,
    running: Arc<AtomicU32>,
}

impl ExtensionShared {
    fn new(manifest: Manifest, limits: Limits, most_locals: u32, old: Option<&Self>) -> Self {
        let rate = match old {
            Some(old) if old.limits.requests_per_minute == limits.requests_per_minute => old.rate.clone(),
            _ => Arc::new(Mutex::new(RateLimit::new(limits.requests_per_minute))),
        };
        let running = old.map(|old| old.running.clone()).unwrap_or_default();
        Self { manifest, limits, most_locals, starved: AtomicBool::new(false), rate, running }
    }

    pub(crate) fn id(&self) -> &str {
        self.manifest.id()
    }

    /// Whether the manifest allows a call; else what to say to the guest.
    pub(crate) fn permit(&self, method: &str, library: Option<Uuid>) -> Result<(), String> {
        let permissions = self.manifest.permissions();
        if !permissions.allow_method(method) {
            return Err(format!(
                "{method}: not permitted; `permissions.methods` of {}'s manifest are {:?}",
                self.id(),
                permissions.methods
            ));
        }
        if !permissions.allow_library(library) {
            return Err(format!(
                "{method}: library {} is not in `permissions.libraries` of {}'s manifest",
                library.unwrap_or_default(),
                self.id()
            ));
        }
        Ok(())
    }

    /// Whether one more call may leave at `now`; else what to say to the guest.
    pub(crate) fn admit(&self, method: &str, now: Millis) -> Result<(), String> {
        if self.rate.lock().allow(now) {
            return Ok(());
        }
        Err(format!("{method}: over the limit of {} requests per minute", self.limits.requests_per_minute))
    }

    /// Takes a place among the jobs that run, if there is one left.
    pub(crate) fn take_place(self: &Arc<Self>) -> Option<Place> {
        let limit = self.limits.concurrent_jobs;
        let more = |running| (running < limit).then_some(running + 1);
        let taken = self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(self.clone()))
    }

    pub(crate) fn guest(self: &Arc<Self>, role: Role) -> Guest {
        Guest::new(self.clone(), Limiter::new(&self.limits), role)
    }

    /// The guest of a job that brought limits along.
    pub(crate) fn guest_of_job(self: &Arc<Self>, role: JobRole, limits: NoticedLimits) -> Guest {
        Guest::new(self.clone(), Limiter::of_job(&self.limits, limits), Role::Job(role))
    }
}

/// A place among the jobs that run at a time; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<ExtensionShared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What modules in binary form begin with.
const MAGIC: &[u8] = b"\0asm";

/// Says of what is no module at all what it is not: the interpreter shows bytes.
#[inline(never)]
fn check_magic(bytes: &[u8]) -> Result<(), LoadError> {
    if cfg!(not(feature = "error-text")) || bytes.starts_with(MAGIC) {
        return Ok(());
    }
    let is_text = core::str::from_utf8(bytes.get(..64).unwrap_or(bytes)).is_ok() && !bytes.is_empty();
    let what = if is_text {
        "it is text; WebAssembly text (.wat) has to be made a binary first, such as by `wat2wasm`"
    } else {
        "it does not begin as one"
    };
    Err(LoadError::Invalid(String::from(what)))
}

#[inline(never)]
fn invalid(error: Error) -> LoadError {
    LoadError::Invalid(error_text(&error))
}

#[inline(never)]
fn check(module: &Module, bytes: &[u8], limits: &Limits) -> Result<Box<ModuleInfo>, LoadError> {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    module::check(module, bytes, hash, limits).map(Box::new)
}

#[inline(never)]
fn share(
    manifest: Manifest,
    limits: Limits,
    most_locals: u32,
    old: Option<&Extension>,
) -> Arc<ExtensionShared> {
    Arc::new(ExtensionShared::new(manifest, limits, most_locals, old.map(|old| &*old.0.shared)))
}

#[inline(never)]
fn link(
    linker: &mut Linker<Guest>,
    module: &Module,
    info: &ModuleInfo,
    warnings: &mut Vec<String>,
) -> Result<(), wasmi::errors::LinkerError> {
    host_functions::link(linker)?;
    let mut stubs = BTreeSet::new();
    for (import, entry) in module.imports().zip(&info.imports) {
        let (None, ExternType::Func(ty)) = (entry.host_function, import.ty()) else { continue };
        if stubs.insert((import.module(), import.name())) {
            host_functions::link_stub(linker, import.module(), import.name(), ty)?;
        }
    }
    for (module, name) in stubs.iter().take(WARNINGS) {
        warnings.push(format!(
            "imports `{module}.{name}`, which no host has: a job that calls it ends with a fault"
        ));
    }
    if stubs.len() > WARNINGS {
        warnings.push(format!("imports {} more functions that no host has", stubs.len() - WARNINGS));
    }
    Ok(())
}

/// The jobs that were registered, then those that only an export's name tells of.
#[inline(never)]
fn jobs(module: &Module, registrations: Vec<Registration>, warnings: &mut Vec<String>) -> Vec<JobInfo> {
    let mut jobs: Vec<JobInfo> = Vec::new();
    for registration in registrations {
        if let Some(reason) = &registration.refused {
            warnings.push(registration.refusal(reason));
        } else {
            let Registration { name, export, resumable, .. } = registration;
            jobs.push(JobInfo { name, export, resumable, registered: true });
        }
    }
    let registered: BTreeSet<String> =
        jobs.iter().flat_map(|job| [job.name.clone(), job.export.clone()]).collect();
    for export in module.exports() {
        let Some(name) = export.name().strip_prefix(EXECUTE_PREFIX) else { continue };
        // A module exports a name once, so only what was registered can be there already.
        if registered.contains(export.name()) || registered.contains(name) {
            continue;
        }
        if warnings.len() > 2 * WARNINGS || jobs.len() > JOBS {
            warnings
                .push(format!("has more than {JOBS} jobs, or too many odd exports: the rest is left out"));
            break;
        }
        if !module::is_job(export.ty()) {
            warnings.push(format!(
                "exports `{}` as {}, so it is no job; a job's export is {EXECUTE_SIGNATURE}",
                export.name(),
                module::describe(export.ty())
            ));
        } else if is_job_name(name) {
            jobs.push(JobInfo {
                name: name.to_owned(),
                export: export.name().to_owned(),
                resumable: true,
                registered: false,
            });
        } else {
            warnings.push(format!("exports {:?}, whose name cannot be a job's", export.name()));
        }
    }
    jobs
}
