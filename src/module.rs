use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use toehold_abi::{
    ALLOC, CLEANUP, EXECUTE_PREFIX, EXECUTE_SIGNATURE, FREE, HostFunction, IMPORT_MODULE, INIT, MEMORY,
    MIGRATE_SIGNATURE, Signature, ValueType,
};
use wasmi::{ExternType, FuncType, MemoryType, Module};

use crate::{Limits, engine::func_type, fault::Fault, shape::ModuleShape};

/// Bytes of a page of linear memory where its type does not say otherwise.
const PAGE_BYTES: u64 = 1 << 16;

/// What a module imports and exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its size in bytes.
    pub bytes: usize,
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// Bytes of memory that an instance starts with.
    pub memory_bytes: u64,
    /// How much of everything it has. A function of more than a few hundred locals makes slices shorter.
    pub shape: ModuleShape,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<Export>,
}

/// Something that a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module that it comes from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type, for people.
    pub ty: String,
    /// The host function behind it; none for a stub that faults when it is called.
    pub host_function: Option<HostFunction>,
}

/// Something that a module exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its type, for people.
    pub ty: String,
}

/// Why a module was not loaded. Nothing of it stays behind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LoadError {
    /// The module is over its limit of bytes.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The bytes are no valid WebAssembly module, or use a proposal that is off.
    Invalid(String),
    /// Imports that no host can give, and exports that are missing or have another type than the ABI's. All of them.
    Abi(Vec<String>),
    /// The memory that an instance starts with is over its limit.
    Memory {
        /// Bytes that it starts with.
        asked: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The module's `start` function or `plugin_init` broke the ABI, trapped or returned non-zero.
    Init {
        /// What happened.
        fault: Fault,
        /// Jobs that `register_job` refused, and why.
        refused: Vec<String>,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "the module has {bytes} bytes, the limit is {limit}")
            }
            Self::Invalid(reason) => write!(f, "not a WebAssembly module that can run here: {reason}"),
            Self::Abi(problems) => write!(f, "does not fit the guest ABI: {}", problems.join("; ")),
            Self::Memory { asked, limit } => {
                write!(f, "starts with {asked} bytes of memory, the limit is {limit}")
            }
            Self::Init { fault, refused } => {
                write!(f, "{fault}")?;
                refused.iter().try_for_each(|reason| write!(f, "; {reason}"))
            }
        }
    }
}

impl core::error::Error for LoadError {}

/// Checks all that the ABI asks of a module's imports and exports, and lists them.
#[inline(never)]
pub(crate) fn check(
    module: &Module,
    bytes: &[u8],
    hash: [u8; 32],
    limits: &Limits,
) -> Result<ModuleInfo, LoadError> {
    let mut problems = Vec::new();
    let imports: Vec<Import> = module
        .imports()
        .map(|import| {
            let host_function = check_import(import.module(), import.name(), import.ty(), &mut problems);
            Import {
                module: import.module().to_string(),
                name: import.name().to_string(),
                ty: describe(import.ty()),
                host_function,
            }
        })
        .collect();
    let memory_bytes = match module.get_export(MEMORY) {
        Some(ExternType::Memory(ty)) => ty.minimum().saturating_mul(page_bytes(ty)),
        Some(other) => {
            problems.push(format!("exports `{MEMORY}` as {}, not as a memory", describe(&other)));
            0
        }
        None => {
            problems.push(format!("exports no `{MEMORY}`"));
            0
        }
    };
    check_exports(module, &mut problems);
    if !problems.is_empty() {
        return Err(LoadError::Abi(problems));
    }
    if memory_bytes > limits.memory_bytes {
        return Err(LoadError::Memory { asked: memory_bytes, limit: limits.memory_bytes });
    }
    let exports = module
        .exports()
        .map(|export| Export { name: export.name().to_string(), ty: describe(export.ty()) })
        .collect();
    let shape = ModuleShape::of(bytes);
    Ok(ModuleInfo { bytes: bytes.len(), hash, memory_bytes, shape, imports, exports })
}

/// Bytes of a page: 1 or 65,536 are what the proposal for custom page sizes allows.
fn page_bytes(ty: MemoryType) -> u64 {
    // wasmi 2.0.0 does not tell the page size of a type, but whether two types are the same.
    let mut in_bytes = MemoryType::builder();
    in_bytes.memory64(ty.is_64()).min(ty.minimum()).max(ty.maximum()).page_size_log2(0);
    if in_bytes.build().is_ok_and(|in_bytes| in_bytes == ty) { 1 } else { PAGE_BYTES }
}

/// Whether a type is that of a job's export.
pub(crate) fn is_job(ty: &ExternType) -> bool {
    matches!(ty, ExternType::Func(ty) if *ty == func_type(EXECUTE_SIGNATURE))
}

/// Whether an export can be a job's migration.
pub(crate) fn is_migration(ty: &ExternType) -> bool {
    matches!(ty, ExternType::Func(ty) if *ty == func_type(MIGRATE_SIGNATURE))
}

/// A type as the ABI's documents write it.
pub(crate) fn describe(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => describe_func(ty),
        ExternType::Memory(_) => "memory".to_string(),
        ExternType::Table(_) => "table".to_string(),
        ExternType::Global(_) => "global".to_string(),
    }
}

fn check_import(
    module: &str,
    name: &str,
    ty: &ExternType,
    problems: &mut Vec<String>,
) -> Option<HostFunction> {
    let ExternType::Func(func) = ty else {
        problems
            .push(format!("imports the {} `{module}.{name}`; only functions can be imported", describe(ty)));
        return None;
    };
    if module != IMPORT_MODULE {
        return None;
    }
    let function = HostFunction::from_name(name);
    match function {
        None => problems.push(format!("imports `{module}.{name}`, which is no host function")),
        Some(function) if *func != func_type(function.signature()) => problems.push(format!(
            "imports `{module}.{name}` as {}, it is {}",
            describe_func(func),
            function.signature()
        )),
        Some(_) => {}
    }
    function
}

#[inline(never)]
fn check_exports(module: &Module, problems: &mut Vec<String>) {
    use ValueType::I32;
    const fn of(params: &'static [ValueType], results: &'static [ValueType]) -> Signature {
        Signature { params, results }
    }
    let unit = of(&[], &[]);
    let code = of(&[], &[I32]);
    let expected: [(&str, &[Signature]); 4] = [
        (ALLOC, &[of(&[I32], &[I32])]),
        (FREE, &[of(&[I32, I32], &[])]),
        (INIT, &[code, unit]),
        (CLEANUP, &[code, unit]),
    ];
    for (name, signatures) in expected {
        let Some(ty) = module.get_export(name) else { continue };
        let fits =
            |signature: &Signature| matches!(&ty, ExternType::Func(ty) if *ty == func_type(*signature));
        if !signatures.iter().any(fits) {
            problems.push(format!("exports `{name}` as {}, it is {}", describe(&ty), signatures[0]));
        }
    }
    let mut jobs = module.exports().filter(|export| export.name().starts_with(EXECUTE_PREFIX));
    if let Some(job) = jobs.find(|export| is_job(export.ty()))
        && module.get_export(ALLOC).is_none()
    {
        problems.push(format!("exports the job `{}` but no `{ALLOC}`, which its input needs", job.name()));
    }
}

fn describe_func(ty: &FuncType) -> String {
    let list = |types: &[wasmi::ValType]| {
        let names: Vec<String> = types.iter().map(|ty| format!("{ty:?}").to_lowercase()).collect();
        format!("({})", names.join(", "))
    };
    format!("{} -> {}", list(ty.params()), list(ty.results()))
}
