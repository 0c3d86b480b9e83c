//! Memory that a job holds while it stands still, beyond its linear memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicIsize, Ordering},
};

use toehold::{Extension, Job, Registry, Step, Uuid};
use wasmi::{CompilationMode, Engine, Module, ResumableCall};

use crate::{
    bare::{self, Bare},
    guest, load,
    rounds::Effort,
};

/// The system's allocator, which counts the bytes that are asked of it while [`sizes`] runs.
pub(crate) struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes as isize - layout.size() as isize);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// Where a job yields: in its export, after `plugin_init`, and before the first checkpoint.
const FUEL: u64 = 10_000;

pub(crate) fn sizes(effort: Effort) {
    let jobs = effort.pick(50, 1_000);
    let small = guest::load(&guest::module("(loop (br 0))"));
    let caller = guest::load(&guest::module(
        "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 112) (i32.const 16)))",
    ));
    let real = load::extension();
    println!("\n## memory: bytes that an idle job holds beyond its linear memory, at {jobs:?} jobs\n");
    println!("| guest | job | bytes | of its linear memory | wasmi alone | ratio |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    let registry = Registry::default();
    let started = |extension: &Extension, job: &str, id| guest::start_as(extension, &registry, job, id);
    let yielded = |extension: &Extension, job: &str, id| {
        let mut job = guest::start_as(extension, &registry, job, id);
        assert!(matches!(job.step(FUEL, 0), Ok(Step::Yielded)));
        job
    };
    let waiting = |extension: &Extension, job: &str, id| {
        let mut job = guest::start_as(extension, &registry, job, id);
        while matches!(job.step(100_000, 0), Ok(Step::Yielded)) {}
        assert!(job.call().is_some());
        job
    };
    let small_bare = BareGuest::new(&guest::module("(loop (br 0))"), "execute_go", FUEL);
    let caller_bare = BareGuest::new(
        &guest::module(
            "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 112) (i32.const 16)))",
        ),
        "execute_go",
        u64::MAX,
    );
    let real_bare = BareGuest::new(load::MODULE, "execute_counter", FUEL);
    let real_caller = BareGuest::new(load::MODULE, "execute_wordcount", u64::MAX);
    row("a few lines", "not yet stepped", held(jobs, |id| started(&small, guest::JOB, id)), None);
    row(
        "a few lines",
        "yielded",
        held(jobs, |id| yielded(&small, guest::JOB, id)),
        Some(held(jobs, |_| small_bare.stop())),
    );
    row(
        "a few lines",
        "waits for a call",
        held(jobs, |id| waiting(&caller, guest::JOB, id)),
        Some(held(jobs, |_| caller_bare.stop())),
    );
    row("test_extension", "not yet stepped", held(jobs, |id| started(&real, load::COUNTS, id)), None);
    row(
        "test_extension",
        "yielded",
        held(jobs, |id| yielded(&real, load::COUNTS, id)),
        Some(held(jobs, |_| real_bare.stop())),
    );
    row(
        "test_extension",
        "waits for a call",
        held(jobs, |id| waiting(&real, load::CALLS, id)),
        Some(held(jobs, |_| real_caller.stop())),
    );
}

fn row(guest: &str, job: &str, (bytes, linear): (usize, usize), bare: Option<(usize, usize)>) {
    let (bare, ratio) = match bare {
        Some((bare, _)) => (bare.to_string(), format!("**{:.2}**", bytes as f64 / bare as f64)),
        None => (String::new(), String::new()),
    };
    println!("| {guest} | {job} | {bytes} | {linear} | {bare} | {ratio} |");
}

/// Bytes that one of `count` holds, and bytes of its linear memory, which are not among them.
fn held<T: Linear>(count: usize, mut make: impl FnMut(Uuid) -> T) -> (usize, usize) {
    // The first one translates the functions that all of them share.
    drop(make(guest::ID));
    let mut all = Vec::with_capacity(count);
    HELD.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    for id in 0..count {
        all.push(make(Uuid::from_u128(id as u128)));
    }
    COUNTS.store(false, Ordering::Relaxed);
    let linear: usize = all.iter().map(Linear::linear).sum();
    let total = HELD.load(Ordering::Relaxed).cast_unsigned() + size_of::<T>() * count;
    ((total - linear) / count, linear / count)
}

trait Linear {
    fn linear(&self) -> usize;
}

impl Linear for Job {
    fn linear(&self) -> usize {
        self.memory_bytes()
    }
}

impl Linear for (Bare, ResumableCall) {
    fn linear(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// A guest in wasmi alone that stops after so much fuel, or at its first `spacedrive_call`.
struct BareGuest {
    engine: Engine,
    module: Module,
    export: &'static str,
    fuel: u64,
}

impl BareGuest {
    fn new(module: &[u8], export: &'static str, fuel: u64) -> Self {
        let engine = bare::engine(CompilationMode::LazyTranslation, true);
        let module = Module::new(&engine, module).expect("the module is valid");
        Self { engine, module, export, fuel }
    }

    fn stop(&self) -> (Bare, ResumableCall) {
        let mut bare = Bare::of(&self.module, &bare::linker(&self.engine, false));
        let call = bare.enter(self.export, load::CONTEXT, self.fuel);
        assert!(!matches!(call, ResumableCall::Finished));
        (bare, call)
    }
}
