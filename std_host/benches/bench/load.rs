//! From a module's bytes to its first call of a host function, which a job makes at once.

use toehold::{Extension, Job, Limits, Manifest, Permissions, Registry, Step};
use wasmi::{CompilationMode, Module, ResumableCall};

use crate::{
    bare::{self, Bare},
    guest,
    rounds::{Effort, Variant, compare, head, line},
};

/// The canonical extension: a Rust guest with JSON, base64 and SHA-256 inside.
pub(crate) const MODULE: &[u8] = include_bytes!("../../../test-extension/test_extension.wasm");
/// Its job that starts with a `spacedrive_call`.
pub(crate) const CALLS: &str = "wordcount";
/// Its job that counts for a while.
pub(crate) const COUNTS: &str = "counter";

pub(crate) const CONTEXT: &[u8] = br#"{"job_id":"00000000-0000-0000-0000-000000000007","library_id":"00000000-0000-0000-0000-000000000000"}"#;

pub(crate) fn extension() -> Extension {
    let permissions =
        Permissions { methods: vec!["query:".to_owned()], ..guest::manifest().permissions().clone() };
    let manifest = Manifest::new("test-extension").expect("a good id").with_permissions(permissions);
    Extension::load(manifest, MODULE, &Limits { grace_fuel: 0, ..Limits::default() }).expect("it loads")
}

/// A job that waits for its first call.
pub(crate) fn first_call(extension: &Extension, registry: &Registry, id: toehold::Uuid) -> Job {
    let mut job = guest::start_as(extension, registry, CALLS, id);
    loop {
        match job.step(100_000, 0) {
            Ok(Step::Call(_)) => return job,
            Ok(Step::Yielded) => {}
            other => panic!("the job should call, not {other:?}"),
        }
    }
}

/// The same in wasmi alone, with engine, module, linker and instance of its own.
fn bare_first_call(fuel: bool) -> ResumableCall {
    let engine = bare::engine(CompilationMode::LazyTranslation, fuel);
    let module = compile(&engine);
    let call = Bare::of(&module, &bare::linker(&engine, false)).enter(
        &format!("execute_{CALLS}"),
        CONTEXT,
        u64::MAX,
    );
    assert!(matches!(call, ResumableCall::HostTrap(_)));
    call
}

fn compile(engine: &wasmi::Engine) -> Module {
    Module::new(engine, MODULE).expect("the module is valid")
}

pub(crate) fn ratios(effort: Effort) {
    head(&format!("load: {} KB from bytes to the first host function", MODULE.len() / 1000), "ms");
    let module = |mode: CompilationMode| {
        move || {
            compile(&bare::engine(mode, true));
        }
    };
    let loaded = extension();
    let variants = vec![
        Variant::new("wasmi, `Module::new`, lazy", module(CompilationMode::LazyTranslation)),
        Variant::new("wasmi, `Module::new`, eager", module(CompilationMode::Eager)),
        Variant::new("wasmi, to the first call", || drop(bare_first_call(true))),
        Variant::new("`Extension::load`", || drop(extension())),
        Variant::new("job of a loaded extension, to its first call", || {
            drop(first_call(&loaded, &Registry::default(), guest::ID));
        }),
        Variant::new("Toehold, to the first call", || {
            drop(first_call(&extension(), &Registry::default(), guest::ID));
        }),
    ];
    for summary in compare(effort.pick(20, 400), variants) {
        let time = summary.time.as_secs_f64() * 1e3;
        let what = format!("{:.3} for each 100 KB", time * 1e5 / MODULE.len() as f64);
        line(&what, &summary, time);
    }
}

#[divan::bench]
fn wasmi_module_lazy() -> Module {
    compile(&bare::engine(CompilationMode::LazyTranslation, true))
}

#[divan::bench]
fn wasmi_module_eager() -> Module {
    compile(&bare::engine(CompilationMode::Eager, true))
}

#[divan::bench]
fn extension_load() -> Extension {
    extension()
}

#[divan::bench]
fn job_to_its_first_call(bencher: divan::Bencher<'_, '_>) {
    let extension = extension();
    bencher.bench_local(|| first_call(&extension, &Registry::default(), guest::ID));
}
