//! Host functions: answered in place, and by way of the shell.

use crate::{
    bare::Bare,
    desk::{REPLY, finish},
    guest,
    rounds::{Effort, Variant, compare, head, line, timed},
};

const SLICE: u64 = 100_000;
const TIMES: u32 = 5_000;

/// The call that leaves the core.
const LEAVES: &str = "spacedrive_call";

const CALLS: [(&str, &str); 4] = [
    ("job_check_interrupt", "(drop (call $interrupt (i32.const 64)))"),
    ("job_increment_items", "(call $items (i32.const 64) (i64.const 1))"),
    ("spacedrive_log, 16 bytes", "(call $log (i32.const 1) (i32.const 112) (i32.const 16))"),
    (
        LEAVES,
        "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 112) (i32.const 16)))",
    ),
];

fn module(call: &str) -> Vec<u8> {
    guest::module(&format!(
        "(local.set $i (i32.const {TIMES}))
        (loop {call} (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    ))
}

pub(crate) fn ratios(effort: Effort) {
    head("calls: a host function that does nothing in wasmi alone, then Toehold's", "ns a call");
    for (name, call) in CALLS {
        let module = module(call);
        let extension = guest::load(&module);
        let mut unmetered = Bare::new(&module, false);
        let mut stopping = Bare::stopping(&module);
        let mut variants = vec![
            Variant::new("wasmi, no fuel", || unmetered.run(guest::JOB)),
            Variant::timed("job", || {
                let mut job = guest::start(&extension);
                timed(|| finish(&mut job, SLICE))
            }),
        ];
        if name == LEAVES {
            let once = || stopping.run_with_replies(REPLY);
            variants.push(Variant::new("wasmi, no fuel, stopped and resumed", once));
        }
        for summary in compare(effort.pick(10, 200), variants) {
            line(name, &summary, summary.time.as_secs_f64() * 1e9 / f64::from(TIMES));
        }
    }
}

#[divan::bench(args = CALLS.map(|(name, _)| name))]
fn job_with_5000_calls(bencher: divan::Bencher<'_, '_>, name: &str) {
    let found = CALLS.iter().find(|(known, _)| *known == name);
    let extension = guest::load(&module(found.expect("a call's name").1));
    bencher.with_inputs(|| guest::start(&extension)).bench_local_refs(|job| finish(job, SLICE));
}
