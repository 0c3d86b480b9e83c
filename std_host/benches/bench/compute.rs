//! Guests that only compute: as a job in slices, and in wasmi alone.

use std::time::Instant;

use crate::{
    bare::Bare,
    desk::finish,
    guest,
    rounds::{Effort, Variant, compare, head, line},
};

const KERNELS: [(&str, &str); 7] = [
    ("sieve", include_str!("guests/sieve.wat")),
    ("matrix", include_str!("guests/matrix.wat")),
    ("sha256", include_str!("guests/sha256.wat")),
    ("crc", include_str!("guests/crc.wat")),
    ("words", include_str!("guests/words.wat")),
    ("fib", include_str!("guests/fib.wat")),
    ("copy", include_str!("guests/copy.wat")),
];

const SLICE: u64 = 100_000;

fn kernel(name: &str) -> Vec<u8> {
    let found = KERNELS.iter().find(|(known, _)| *known == name);
    guest::wasm(found.expect("a kernel's name").1)
}

pub(crate) fn ratios(effort: Effort) {
    head("compute: a kernel, without and with fuel in wasmi alone, then as a job", "ms");
    let mut products = [1.0; 4];
    for (name, text) in KERNELS {
        let module = guest::wasm(text);
        let extension = guest::load(&module);
        let mut unmetered = Bare::new(&module, false);
        let mut metered = Bare::new(&module, true);
        let job = |slice: u64| {
            let extension = &extension;
            move || {
                let mut job = guest::start(extension);
                let start = Instant::now();
                finish(&mut job, slice);
                start.elapsed()
            }
        };
        let variants = vec![
            Variant::new("wasmi, no fuel", || unmetered.go()),
            Variant::new("wasmi, fuel, one slice", || metered.go()),
            Variant::timed("job, slices of 100,000", job(SLICE)),
            Variant::timed("job, slices of 1,000,000", job(10 * SLICE)),
        ];
        for (summary, product) in compare(effort.pick(5, 60), variants).iter().zip(&mut products) {
            *product *= summary.ratio[1];
            line(name, summary, summary.time.as_secs_f64() * 1e3);
        }
    }
    let mean = products.map(|product: f64| product.powf(1.0 / KERNELS.len() as f64));
    println!(
        "\nGeometric mean: fuel **{:.3}**, slices of 100,000 **{:.3}**, of 1,000,000 **{:.3}**.",
        mean[1], mean[2], mean[3]
    );
}

#[divan::bench(args = KERNELS.map(|(name, _)| name))]
fn wasmi_without_fuel(bencher: divan::Bencher<'_, '_>, name: &str) {
    let mut bare = Bare::new(&kernel(name), false);
    bencher.bench_local(|| bare.go());
}

#[divan::bench(args = KERNELS.map(|(name, _)| name))]
fn job_in_slices(bencher: divan::Bencher<'_, '_>, name: &str) {
    let extension = guest::load(&kernel(name));
    bencher.with_inputs(|| guest::start(&extension)).bench_local_refs(|job| finish(job, SLICE));
}
