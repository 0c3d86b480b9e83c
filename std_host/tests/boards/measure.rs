//! Figures of boards: memory, and instructions for each unit of fuel. `cargo xtask bench` prints them.

use std::path::Path;

use toehold::{Manifest, Package};

use crate::bench::{Board, Console, boards, field};

/// A job that computes: a hash over numbers (FNV-1a), in a loop as a compiler makes it, with loads and stores. Nothing else in
/// it takes time, so each round counts as the instructions of the loop.
const KERNEL: &str = r#"(module
    (memory (export "memory") 512 512 (pagesize 1))
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 16))
    (func (export "execute_hash") (param i32 i32 i32 i32) (result i32) (local $i i32) (local $hash i32)
        (local.set $hash (i32.const 0x811c9dc5))
        (loop $next
            (i32.store8 (i32.and (local.get $i) (i32.const 7)) (local.get $i))
            (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.load8_u (i32.const 0))) (i32.const 0x01000193)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 2000000))))
        (i32.store8 (i32.const 0) (local.get $hash))
        (i32.const 0)))"#;

/// Rounds of its loop, and the instructions of WebAssembly in each: what is written above, `loop` itself left out.
const ROUNDS: f64 = 2e6;
const GUEST_INSTRUCTIONS: f64 = 20.0;

fn info(console: &mut Console, key: &str) -> u64 {
    let answer = console.ask("info");
    field(&answer, key).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {key}: {answer}"))
}

/// A row about memory: the heap's bytes that were ever in use, and the stack's that never were.
fn memory(console: &mut Console, what: &str) -> String {
    let peak = info(console, "memory_total") - info(console, "memory_never_used");
    format!("| {what} | {peak} | {} |", info(console, "stack_never_used"))
}

/// Installs a package.
fn install(console: &mut Console, package: &[u8]) {
    let answer = console.carry("install", package);
    assert!(answer.starts_with("ok"), "{answer}");
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
    Package::pack(&manifest, b"", &module)
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
    let mut speeds = Vec::new();
    for mut board in boards() {
        let mut rows = Vec::new();
        let mut console = start(&mut board);
        let total = info(&mut console, "memory_total");
        rows.push(memory(&mut console, "started, without any job"));
        install(&mut console, &package("tiny"));
        console = start(&mut board);
        rows.push(memory(&mut console, "started, with the tiny test extension in flash"));
        run(&mut console, r#"run test-extension:counter {"target": 100}"#);
        rows.push(memory(&mut console, "tiny counter, run"));
        console = start(&mut board);
        install(&mut console, &package("small"));
        rows.push(memory(&mut console, "small test extension, installed"));
        console = start(&mut board);
        run(&mut console, r#"run test-extension:counter {"target": 100}"#);
        rows.push(memory(&mut console, "small counter, run"));
        rows.push(after_a_cut(&mut board));
        println!("\n{}, whose heap has {total} bytes:\n", board.name());
        println!(
            "| what | bytes of the heap ever in use | bytes of the stack never in use |\n| --- | ---: | ---: |"
        );
        rows.iter().for_each(|row| println!("{row}"));
        speeds.push(speed(&mut board));
    }
    println!(
        "\n| board | for each unit of fuel | for each instruction of the guest |\n| --- | ---: | ---: |"
    );
    speeds.iter().for_each(|row| println!("{row}"));
}

/// A row about memory: the power goes while the small counter runs, and it goes on from its checkpoint.
fn after_a_cut(board: &mut Board) -> String {
    let mut console = start(board);
    let answer = console.ask(r#"run test-extension:counter {"target": 100000000}"#);
    let id = field(&answer, "id").unwrap_or_else(|| panic!("{answer}"));
    console.until(|line| line.starts_with("* progress"));
    console = start(board);
    console.until(|line| line.starts_with("* progress"));
    let row = memory(&mut console, "small counter, after a power cut");
    // What is measured next has the board for itself.
    console.send(&format!("cancel {id}"));
    console.until(|line| line.starts_with("* cancelled"));
    row
}

/// A row about how many instructions the board executes.
fn speed(board: &mut Board) -> String {
    let mut console = start(board);
    let kernel = Package::pack(&Manifest::new("kernel").unwrap(), b"", &wat::parse_str(KERNEL).unwrap());
    install(&mut console, &kernel);
    console = start(board);
    let before = info(&mut console, "uptime_ms");
    let status = run(&mut console, "run kernel:hash");
    let after = info(&mut console, "uptime_ms");
    let fuel: f64 = field(&status, "fuel").unwrap().parse().unwrap();
    // A nanosecond of the board's time is an instruction, where the emulator counts them.
    let instructions = (after - before) as f64 * 1e6;
    let (by_fuel, by_guest) = (instructions / fuel, instructions / (ROUNDS * GUEST_INSTRUCTIONS));
    format!("| {} | {by_fuel:.1} | {by_guest:.1} |", board.name())
}
