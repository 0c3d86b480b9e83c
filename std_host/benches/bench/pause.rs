//! From `pause()` on one thread to a job that stands still on another.

use std::{
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use toehold::{
    Call, Called, Commit, Extension, JobContext, Limits, NotDurable, Outcome, Platform, Stopped, run,
};

use crate::{
    guest,
    rounds::{Effort, quantile},
};

const SLICE: u64 = 100_000;

/// Guests that never end, as pages of memory and body.
const ENDLESS: [(&str, u32, &str); 4] = [
    ("loop", 1, "(loop (br 0))"),
    (
        "memory.copy of 64 KiB",
        3,
        "(loop (memory.copy (i32.const 65536) (i32.const 0) (i32.const 65536)) (br 0))",
    ),
    (
        "memory.copy of 32 MiB",
        1024,
        "(loop (memory.copy (i32.const 33554432) (i32.const 0) (i32.const 33554432)) (br 0))",
    ),
    ("recursion, 900 deep", 1, "(loop (call $deep (i32.const 900)) (br 0))"),
];

fn extension(name: &str) -> Extension {
    let (_, pages, body) = ENDLESS.iter().find(|(known, ..)| *known == name).expect("a guest's name");
    let module = guest::wasm(&format!(
        r#"(module
            (memory (export "memory") {pages})
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
            (func $deep (param i32)
                (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))))
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) {body} (unreachable)))"#
    ));
    let limits = Limits { memory_bytes: 64 << 20, ..guest::limits() };
    Extension::load(guest::manifest(), &module, &limits).expect("the module is an extension")
}

pub(crate) fn distribution(effort: Effort) {
    println!("\n## pause: from `pause()` to stopped, in slices of 100,000 fuel\n");
    println!(
        "| guest | a slice, µs | median, µs | p99, µs | max, µs | median, slices | p99, slices | max, slices |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, ..) in ENDLESS {
        let (mut pauses, mut slices) = measure(&extension(name), effort.pick(30, 1_000));
        let slice = quantile(&mut slices, 0.5);
        let [median, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(&mut pauses, part));
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | **{:.2}** | {:.2} | {:.2} |",
            slice * 1e6,
            median * 1e6,
            p99 * 1e6,
            max * 1e6,
            median / slice,
            p99 / slice,
            max / slice
        );
    }
}

/// Pauses a job again and again. Gives the seconds until it stood still, and those of the slices in between.
fn measure(extension: &Extension, times: usize) -> (Vec<f64>, Vec<f64>) {
    let mut job = guest::start(extension);
    let context = job.context().clone();
    let (stopped, wait) = mpsc::channel();
    let (go, going) = mpsc::channel();
    let worker = thread::spawn(move || {
        let mut watch = Watch { since: Instant::now(), slices: Vec::new() };
        loop {
            watch.since = Instant::now();
            let reason = run(&mut job, &mut watch, SLICE);
            let now = Instant::now();
            if reason == Stopped::Finished(Outcome::Cancelled) {
                return watch.slices;
            }
            assert_eq!(reason, Stopped::Paused);
            stopped.send(now).expect("somebody waits");
            going.recv().expect("somebody says when to go on");
        }
    });
    let mut random = 0x9e37_79b9_u32;
    let mut pauses = Vec::new();
    for _ in 0..times {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        thread::sleep(Duration::from_micros(u64::from(300 + random % 1_000)));
        let asked = Instant::now();
        context.control().pause();
        let stopped = wait.recv().expect("the job stops");
        pauses.push(stopped.saturating_duration_since(asked).as_secs_f64());
        context.control().resume();
        go.send(()).expect("the job goes on");
    }
    context.control().cancel();
    (pauses, worker.join().expect("the job's thread ends"))
}

/// Notes how long each slice takes.
struct Watch {
    since: Instant,
    slices: Vec<f64>,
}

impl Platform for Watch {
    fn now(&mut self) -> u64 {
        0
    }

    fn call(&mut self, _call: &Arc<Call>) -> Called {
        unreachable!("the guest calls nothing")
    }

    fn commit(&mut self, _job: &JobContext, _commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        unreachable!("the guest has no state")
    }

    fn idle(&mut self, _until: Option<u64>) {}

    fn yielded(&mut self, _job: &JobContext) {
        let now = Instant::now();
        self.slices.push(now.duration_since(self.since).as_secs_f64());
        self.since = now;
    }
}

#[divan::bench(args = ENDLESS.map(|(name, ..)| name))]
fn one_slice(bencher: divan::Bencher<'_, '_>, name: &str) {
    let mut job = guest::start(&extension(name));
    bencher.bench_local(|| job.step(SLICE, 0));
}
