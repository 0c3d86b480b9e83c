//! Guests that only compute: as a job in slices, and in wasmi alone.

use toehold::{Extension, Job, Registry};

use crate::{
    bare::Bare,
    desk::finish,
    guest,
    rounds::{Effort, Variant, compare, head, line, timed},
};

/// Kernels by name. The text ones each do one thing, in the tightest of loops.
const TEXTS: [(&str, &str); 7] = [
    ("sieve", include_str!("guests/sieve.wat")),
    ("matrix", include_str!("guests/matrix.wat")),
    ("sha256", include_str!("guests/sha256.wat")),
    ("crc", include_str!("guests/crc.wat")),
    ("words", include_str!("guests/words.wat")),
    ("fib", include_str!("guests/fib.wat")),
    ("copy", include_str!("guests/copy.wat")),
];

/// Jobs of a Rust guest, as LLVM makes them.
const JOBS: [&str; 4] = ["bodies", "hash", "sort", "text"];
const RUST: &[u8] = include_bytes!("../guest/bench_guest.wasm");

const SLICE: u64 = 100_000;

/// A module and its job.
struct Kernel {
    module: Vec<u8>,
    job: &'static str,
}

fn names() -> impl Iterator<Item = &'static str> {
    JOBS.into_iter().chain(TEXTS.map(|(name, _)| name))
}

fn kernel(name: &str) -> Kernel {
    if let Some(job) = JOBS.into_iter().find(|job| *job == name) {
        return Kernel { module: RUST.to_vec(), job };
    }
    let (_, text) = TEXTS.iter().find(|(known, _)| *known == name).expect("a kernel's name");
    Kernel { module: guest::wasm(text), job: guest::JOB }
}

fn start(extension: &Extension, job: &str) -> Job {
    guest::start_as(extension, &Registry::default(), job, guest::ID)
}

pub(crate) fn ratios(effort: Effort) {
    head("compute: a kernel, without and with fuel in wasmi alone, then as a job", "ms");
    let mut products = [[1.0; 4]; 2];
    for name in names() {
        let Kernel { module, job } = kernel(name);
        let extension = guest::load(&module);
        let mut unmetered = Bare::new(&module, false);
        let mut metered = Bare::new(&module, true);
        let slices = |slice: u64| {
            let extension = &extension;
            move || {
                let mut job = start(extension, job);
                timed(|| finish(&mut job, slice))
            }
        };
        let variants = vec![
            Variant::new("wasmi, no fuel", || unmetered.run(job)),
            Variant::new("wasmi, fuel, one slice", || metered.run(job)),
            Variant::timed("job, slices of 100,000", slices(SLICE)),
            Variant::timed("job, slices of 1,000,000", slices(10 * SLICE)),
        ];
        let products = &mut products[usize::from(job == guest::JOB)];
        for (summary, product) in compare(effort.pick(5, 50), variants).iter().zip(products) {
            *product *= summary.ratio[1];
            line(name, summary, summary.time.as_secs_f64() * 1e3);
        }
    }
    println!();
    for (what, products, count) in
        [("Rust guest", products[0], JOBS.len()), ("text guests", products[1], TEXTS.len())]
    {
        let [_, fuel, slices, long] = products.map(|product: f64| product.powf(1.0 / count as f64));
        println!(
            "Geometric mean, {what}: fuel **{fuel:.3}**, slices of 100,000 **{slices:.3}**, of 1,000,000 \
             **{long:.3}**."
        );
    }
}

#[divan::bench(args = names())]
fn wasmi_without_fuel(bencher: divan::Bencher<'_, '_>, name: &str) {
    let Kernel { module, job } = kernel(name);
    let mut bare = Bare::new(&module, false);
    bencher.bench_local(|| bare.run(job));
}

#[divan::bench(args = names())]
fn job_in_slices(bencher: divan::Bencher<'_, '_>, name: &str) {
    let Kernel { module, job } = kernel(name);
    let extension = guest::load(&module);
    bencher.with_inputs(|| start(&extension, job)).bench_local_refs(|job| finish(job, SLICE));
}
