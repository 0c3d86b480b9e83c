//! Memory that a job holds while it stands still, beyond its linear memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicIsize, Ordering},
};

use toehold::{Job, Registry, Step, Uuid};
use wasmi::{CompilationMode, Engine, Module, ResumableCall};

use crate::{
    bare::{self, Bare},
    guest, load,
    rounds::Effort,
};

/// The system's allocator, which counts the bytes that are asked of it while [`sizes`] or [`grown`] runs.
pub(crate) struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What some work gives, and the bytes that are held after it and were not before.
pub(crate) fn grown<T>(work: impl FnOnce() -> T) -> (T, usize) {
    HELD.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let given = work();
    COUNTS.store(false, Ordering::Relaxed);
    (given, HELD.load(Ordering::Relaxed).max(0).unsigned_abs())
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

/// Where a job stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Start,
    Yield,
    Call,
}

pub(crate) fn sizes(effort: Effort) {
    let jobs = effort.pick(50, 1_000);
    let endless = guest::module("(loop (br 0))");
    let calling = guest::module(
        "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 112) (i32.const 16)))",
    );
    println!("\n## memory: bytes that an idle job holds beyond its linear memory, at {jobs} jobs\n");
    println!("| guest | job | bytes | linear memory | wasmi alone | ratio |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for (name, module, job, at) in [
        ("a few lines", &endless[..], guest::JOB, At::Start),
        ("a few lines", &endless, guest::JOB, At::Yield),
        ("a few lines", &calling, guest::JOB, At::Call),
        ("test_extension", load::MODULE, load::COUNTS, At::Start),
        ("test_extension", load::MODULE, load::COUNTS, At::Yield),
        ("test_extension", load::MODULE, load::CALLS, At::Call),
    ] {
        let extension = guest::load(module);
        let registry = Registry::default();
        let (bytes, linear) = held(jobs, |id| stand(guest::start_as(&extension, &registry, job, id), at));
        let bare = BareGuest::new(module, job, at);
        let (alone, _) = held(jobs, |_| bare.stop());
        let state = match at {
            At::Start => "not yet stepped",
            At::Yield => "yielded",
            At::Call => "waits for a call",
        };
        let ratio = bytes as f64 / alone as f64;
        println!("| {name} | {state} | {bytes} | {linear} | {alone} | **{ratio:.3}** |");
    }
}

/// Steps a job to where it is to stand still.
fn stand(mut job: Job, at: At) -> Job {
    match at {
        At::Start => {}
        At::Yield => assert!(matches!(job.step(FUEL, 0), Ok(Step::Yielded))),
        At::Call => {
            while matches!(job.step(100_000, 0), Ok(Step::Yielded)) {}
            assert!(job.call().is_some());
        }
    }
    job
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

impl Linear for (Bare, Option<ResumableCall>) {
    fn linear(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// A guest in wasmi alone.
struct BareGuest {
    engine: Engine,
    module: Module,
    export: String,
    at: At,
}

impl BareGuest {
    fn new(module: &[u8], job: &str, at: At) -> Self {
        let engine = bare::engine(CompilationMode::LazyTranslation, true);
        let module = Module::new(&engine, module).expect("the module is valid");
        Self { engine, module, export: format!("execute_{job}"), at }
    }

    /// An instance that stands still at the same place as the job.
    fn stop(&self) -> (Bare, Option<ResumableCall>) {
        let mut bare = Bare::of(&self.module, &bare::linker(&self.engine, false));
        let fuel = match self.at {
            At::Start => return (bare, None),
            At::Yield => FUEL,
            At::Call => u64::MAX,
        };
        let call = bare.enter(&self.export, load::CONTEXT, fuel);
        assert!(!matches!(call, ResumableCall::Finished));
        (bare, Some(call))
    }
}
