//! Figures of boards: memory, and instructions for each unit of fuel. `cargo xtask bench` prints them.

use std::path::Path;

use toehold::{Manifest, Package};

use crate::bench::{Board, Console, boards, field};

/// A job that computes: a hash over numbers (FNV-1a), in a loop as a compiler makes it, with loads and stores.
const KERNEL: &str = r#"(module
    (memory (export "memory") 1 1 (pagesize 1))
    (func (export "execute_hash") (param i32 i32 i32 i32) (result i32) (local $i i32) (local $hash i32)
        (local.set $hash (i32.const 0x811c9dc5))
        (loop $next
            (i32.store8 (i32.and (local.get $i) (i32.const 0)) (local.get $i))
            (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.load8_u (i32.const 0))) (i32.const 0x01000193)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 2000000))))
        (i32.store8 (i32.const 0) (local.get $hash))
        (i32.const 0)))"#;

fn info(console: &mut Console, key: &str) -> u64 {
    let answer = console.ask("info");
    field(&answer, key).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {key}: {answer}"))
}

/// Bytes of the heap that were ever in use.
fn peak(console: &mut Console) -> u64 {
    info(console, "memory_total") - info(console, "memory_never_used")
}

/// Runs a job to its end, and gives what it says of itself then.
fn run(console: &mut Console, line: &str) -> String {
    let answer = console.ask(line);
    let id = field(&answer, "id").unwrap_or_else(|| panic!("{line}: {answer}"));
    console.until(|line| line.starts_with("* completed") && line.contains(&id));
    console.send(&format!("status {id}"));
    let status = console.until(|line| line.starts_with("- job"));
    console.answer();
    status
}

fn package(folder: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension").join(folder);
    let manifest: Manifest =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let module = std::fs::read(folder.join(manifest.wasm_file())).unwrap();
    Package::pack(&manifest, &module)
}

fn start(board: &mut Board) -> Console {
    board.power_off();
    board.power_on();
    let mut console = board.console();
    console.until(|line| line.contains("ready"));
    console
}

#[test]
#[ignore = "needs firmware: `cargo xtask bench` runs it"]
fn memory_and_instructions() {
    let mut rows = Vec::new();
    for mut board in boards() {
        let mut console = start(&mut board);
        let idle = peak(&mut console);
        let total = info(&mut console, "memory_total");
        let tiny = package("tiny");
        assert!(console.carry("install", &tiny).starts_with("ok"), "{}", board.name());
        console = start(&mut board);
        run(&mut console, r#"run test-extension:counter {"target": 100}"#);
        let tiny_job = peak(&mut console);
        assert!(console.carry("install", &package("small")).starts_with("ok"), "{}", board.name());
        let small_install = peak(&mut console);
        console = start(&mut board);
        run(&mut console, r#"run test-extension:counter {"target": 100}"#);
        let small_job = peak(&mut console);

        let kernel = Package::pack(&Manifest::new("kernel").unwrap(), &wat::parse_str(KERNEL).unwrap());
        assert!(console.carry("install", &kernel).starts_with("ok"), "{}", board.name());
        console = start(&mut board);
        let before = info(&mut console, "uptime_ms");
        let status = run(&mut console, "run kernel:hash");
        let after = info(&mut console, "uptime_ms");
        let fuel: u64 = field(&status, "fuel").unwrap().parse().unwrap();
        // A nanosecond of the board's time is an instruction, where the emulator counts them.
        let instructions = (after - before) as f64 * 1e6;
        rows.push(format!(
            "| {} | {total} | {idle} | {tiny_job} | {small_install} | {small_job} | {:.1} |",
            board.name(),
            instructions / fuel as f64
        ));
    }
    println!("\nBytes of the heap that were ever in use, and instructions for each unit of fuel:\n");
    println!(
        "| board | heap | started | tiny counter run | small test extension installed | its counter run | instructions |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    rows.iter().for_each(|row| println!("{row}"));
}
