//! What Toehold costs beside wasmi alone: times by divan, then ratios, in one run. See docs/benchmarks.md.
//!
//! `cargo bench -p std_host -- [--quick] [compute | calls | load | pause | stop | memory | store | jobs | web]...`

mod bare;
mod calls;
mod compute;
mod desk;
mod guest;
mod jobs;
mod load;
mod memory;
mod pause;
mod rounds;
mod stop;
mod store;
mod web;

use std::time::Duration;

use rounds::Effort;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

type Section = fn(Effort);

const SECTIONS: [(&str, Section); 9] = [
    ("compute", compute::ratios),
    ("calls", calls::ratios),
    ("load", load::ratios),
    ("pause", pause::distribution),
    ("stop", stop::distribution),
    ("memory", memory::sizes),
    ("store", store::ratios),
    ("jobs", jobs::ratios),
    ("web", web::ratios),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // `cargo bench` adds `--bench`; without it this is `cargo test --benches`, which only wants to see it work.
    let quick = has("--quick") || !has("--bench");
    let all = !SECTIONS.iter().any(|(name, _)| has(name));
    let chosen = |name: &str| all || has(name);

    let time = Duration::from_millis(if quick { 20 } else { 250 });
    let mut divan = divan::Divan::default().max_time(time).sample_count(100);
    for (name, _) in SECTIONS.iter().filter(|(name, _)| !chosen(name)) {
        divan = divan.skip_regex(format!("^bench::{name}::").as_str());
    }
    divan.run_benches();

    let effort = if quick { Effort::Quick } else { Effort::Full };
    for (name, section) in SECTIONS {
        if chosen(name) {
            section(effort);
        }
    }
}
