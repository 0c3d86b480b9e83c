//! wasmi alone: the very build and settings that the core uses, without its slices, checks and host functions.

use toehold::Limits;
use wasmi::{
    Caller, CompilationMode, Config, CustomFuelCosts, Engine, Error, Extern, Func, Instance, Linker, Module,
    ResumableCall, Store, Val,
    errors::{HostError, LinkerError},
};

/// A guest in wasmi alone.
pub(crate) struct Bare {
    pub(crate) store: Store<()>,
    pub(crate) instance: Instance,
}

/// An engine like the core's, see its `engine.rs`, with or without fuel.
pub(crate) fn engine(mode: CompilationMode, fuel: bool) -> Engine {
    let limits = Limits::default();
    let mut config = Config::default();
    config
        .consume_fuel(fuel)
        .compilation_mode(mode)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .ignore_custom_sections(true)
        .set_max_recursion_depth(limits.call_depth)
        .set_min_stack_height(1_000)
        .set_max_stack_height(limits.stack_bytes)
        .wasm_multi_memory(false)
        .wasm_tail_call(false);
    Engine::new(&config)
}

/// All nine host functions, which do nothing. `spacedrive_call` answers, or stops the guest.
pub(crate) fn linker(engine: &Engine, answers: bool) -> Linker<()> {
    link(engine, answers).expect("each name once")
}

fn link(engine: &Engine, answers: bool) -> Result<Linker<()>, LinkerError> {
    const HOST: &str = "spacedrive";
    type Env<'a> = Caller<'a, ()>;
    let call = move |_: Env<'_>, _: i32, _: i32, _: i32, _: i32, _: i32| match answers {
        true => Ok(4096),
        false => Err(Error::host(Stopped)),
    };
    let mut linker = Linker::new(engine);
    linker
        .func_wrap(HOST, "spacedrive_call", call)?
        .func_wrap(HOST, "spacedrive_log", |_: Env<'_>, _: i32, _: i32, _: i32| ())?
        .func_wrap(HOST, "job_report_progress", |_: Env<'_>, _: i32, _: f32, _: i32, _: i32| ())?
        .func_wrap(HOST, "job_checkpoint", |_: Env<'_>, _: i32, _: i32, _: i32| 0)?
        .func_wrap(HOST, "job_check_interrupt", |_: Env<'_>, _: i32| 0)?
        .func_wrap(HOST, "job_add_warning", |_: Env<'_>, _: i32, _: i32, _: i32| ())?
        .func_wrap(HOST, "job_increment_bytes", |_: Env<'_>, _: i32, _: i64| ())?
        .func_wrap(HOST, "job_increment_items", |_: Env<'_>, _: i32, _: i64| ())?
        .func_wrap(HOST, "register_job", |_: Env<'_>, _: i32, _: i32, _: i32, _: i32, _: i32| 0)?;
    Ok(linker)
}

/// Why a guest stands still in its `spacedrive_call`.
#[derive(Debug)]
struct Stopped;

impl core::fmt::Display for Stopped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("stopped")
    }
}

impl HostError for Stopped {}

impl Bare {
    pub(crate) fn new(module: &[u8], fuel: bool) -> Self {
        let engine = engine(CompilationMode::LazyTranslation, fuel);
        let module = Module::new(&engine, module).expect("the module is valid");
        Self::of(&module, &linker(&engine, true))
    }

    /// One without fuel that stops at each `spacedrive_call`.
    pub(crate) fn stopping(module: &[u8]) -> Self {
        let engine = engine(CompilationMode::LazyTranslation, false);
        let module = Module::new(&engine, module).expect("the module is valid");
        Self::of(&module, &linker(&engine, false))
    }

    pub(crate) fn of(module: &Module, linker: &Linker<()>) -> Self {
        let mut store = Store::new(module.engine(), ());
        if store.get_fuel().is_ok() {
            refuel(&mut store);
        }
        let instance = linker.instantiate_and_start(&mut store, module).expect("the module instantiates");
        Self { store, instance }
    }

    pub(crate) fn func(&self, name: &str) -> Func {
        self.instance.get_func(&self.store, name).expect("the export is there")
    }

    /// Runs a job to its end, which must be a good one.
    pub(crate) fn run(&mut self, job: &str) {
        if self.store.get_fuel().is_ok() {
            refuel(&mut self.store);
        }
        let mut code = [Val::I32(-1)];
        let arguments = [const { Val::I32(0) }; 4];
        self.func(&format!("execute_{job}"))
            .call(&mut self.store, &arguments, &mut code)
            .expect("the guest does not trap");
        assert!(matches!(code, [Val::I32(0)]), "{code:?}");
    }

    /// Runs the job `go` to its end, and stops at each `spacedrive_call` to write a reply into a block of the guest's.
    pub(crate) fn run_with_replies(&mut self, reply: &[u8]) {
        let mut call = self.enter("execute_go", b"{}", u64::MAX);
        let store = &mut self.store;
        let memory = self.instance.get_export(&*store, "memory").and_then(Extern::into_memory);
        let memory = memory.expect("it has memory");
        let alloc =
            self.instance.get_typed_func::<i32, i32>(&*store, "wasm_alloc").expect("it has wasm_alloc");
        while let ResumableCall::HostTrap(stopped) = call {
            let pointer = alloc.call(&mut *store, reply.len() as i32).expect("it allocates");
            memory.write(&mut *store, pointer as usize, reply).expect("it has room");
            call = stopped.resume(&mut *store, &[Val::I32(pointer)], &mut [Val::I32(0)]).expect("it goes on");
        }
    }

    /// Calls a job's export as the core does: `plugin_init` where there is one, then the context by `wasm_alloc`.
    pub(crate) fn enter(&mut self, export: &str, context: &[u8], fuel: u64) -> ResumableCall {
        let store = &mut self.store;
        if let Some(init) = self.instance.get_func(&*store, "plugin_init") {
            init.call(&mut *store, &[], &mut [Val::I32(0)]).expect("plugin_init runs");
        }
        let alloc =
            self.instance.get_typed_func::<i32, i32>(&*store, "wasm_alloc").expect("it has wasm_alloc");
        let pointer = alloc.call(&mut *store, context.len() as i32).expect("it allocates");
        let memory = self.instance.get_export(&*store, "memory").and_then(Extern::into_memory);
        memory.expect("it has memory").write(&mut *store, pointer as usize, context).expect("it has room");
        let arguments = [pointer, context.len() as i32, 0, 0].map(Val::I32);
        if store.get_fuel().is_ok() {
            store.set_fuel(fuel).expect("the engine meters fuel");
        }
        let func = self.instance.get_func(&*store, export).expect("the export is there");
        func.call_resumable(&mut *store, &arguments, &mut [Val::I32(0)]).expect("it stops well")
    }

    /// Bytes of linear memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let memory = self.instance.get_export(&self.store, "memory").and_then(Extern::into_memory);
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }
}

pub(crate) fn refuel(store: &mut Store<()>) {
    store.set_fuel(u64::MAX).expect("the engine meters fuel");
}
