//! What people and wires do wrong: a clear line each, and the board goes on, other jobs too.

use toehold::{Checkpoint, Manifest, Package};

use crate::bench::{Board, boards, field};

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn each_mistake_gets_its_own_line_and_the_board_goes_on() {
    for mut board in boards() {
        let (mut console, id) = board.counting();
        assert!(console.ask("make me a sandwich").starts_with("err unknown"), "{}", board.name());
        assert!(console.ask(&"x".repeat(5_000)).starts_with("err too_long"), "{}", board.name());
        console.send_bytes(b"\x00\xff\xfe\n");
        assert!(console.answer().starts_with("err"), "{}", board.name());
        let mut damaged = Package::pack(&Manifest::new("damaged").unwrap(), b"", b"\0asm\x01\0\0\0");
        damaged[10] ^= 1;
        let answer = console.carry("install", &damaged);
        assert!(answer.starts_with("err package") && answer.contains("damaged"), "{answer}");
        let answer = console
            .carry("install", &Package::pack(&Manifest::new("odd").unwrap(), b"", b"\0asm\x01\0\0\0\x7f"));
        assert!(answer.starts_with("err module"), "{answer}");
        let answer = console.ask("install 10000000 00000000");
        assert!(answer.starts_with("err memory"), "{answer}");
        drop(console);
        a_bundle_of_another_module(&board, &id);
        let mut console = board.console();
        assert!(console.ask("status no-such-job").starts_with("err unknown_job"), "{}", board.name());
        // And the job still counts.
        console.counts_on(&id);
    }
}

fn a_bundle_of_another_module(board: &Board, id: &str) {
    let mut bundle = board.bundle(id);
    bundle.job_id = toehold::Uuid::from_u128(7);
    for part in [&mut bundle.base, &mut bundle.newest] {
        let mut checkpoint = Checkpoint::decode(part).unwrap();
        (checkpoint.module_hash, checkpoint.state_version) = ([7; 32], 0);
        checkpoint.job_id = bundle.job_id;
        *part = checkpoint.encode();
    }
    bundle.journal.clear();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bundle.encode()).unwrap();
    let output = board.desk(&["import", file.path().to_str().unwrap()]);
    assert!(!output.status.success());
    let said = crate::bench::text(&[output.stdout, output.stderr].concat());
    assert!(said.contains("module"), "{said}");
}

/// A package whose module has a memory of so many bytes, and a job that takes it all, page after page of a kilobyte.
fn greedy(bytes: u32) -> Vec<u8> {
    let module = format!(
        r#"(module
            (memory (export "memory") 1024 (pagesize 1))
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 16))
            (func (export "execute_grow") (param i32 i32 i32 i32) (result i32)
                (loop $more
                    (if (i32.eq (memory.grow (i32.const 1024)) (i32.const -1)) (then unreachable))
                    (br_if $more (i32.lt_u (memory.size) (i32.const {bytes}))))
                (loop $for_ever (br $for_ever))
                (i32.const 0)))"#
    );
    Package::pack(&Manifest::new("greedy").unwrap(), b"", &wat::parse_str(module).unwrap())
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn a_job_that_takes_all_memory_fails_and_the_board_and_the_others_go_on() {
    for mut board in boards() {
        board.power_on();
        board.install_small();
        let mut console = board.console();
        let answer = console.carry("install", &greedy(10_000_000));
        assert!(answer.starts_with("ok"), "{answer}");
        let counter =
            field(&console.ask(r#"run test-extension:counter {"target": 100000000}"#), "id").unwrap();
        let greedy = field(&console.ask("run greedy:grow"), "id").unwrap();
        let failed = console.until(|line| line.starts_with("* failed"));
        assert!(failed.contains(&greedy), "{}: {failed}", board.name());
        println!("{}: {failed}", board.name());
        console.counts_on(&counter);
        // There is room for another.
        console.ask(&format!("cancel {counter}"));
        let answer = console.ask(r#"run test-extension:counter {"target": 5}"#);
        let id = field(&answer, "id").unwrap();
        console.until(|line| line.starts_with("* completed") && line.contains(&id));
    }
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn flash_with_something_else_in_it_is_left_alone_until_somebody_types_format() {
    for mut board in boards() {
        let mut flash = std::fs::OpenOptions::new().write(true).open(board.flash()).unwrap();
        std::io::Write::write_all(&mut flash, b"the photographs of a holiday").unwrap();
        board.power_on();
        let mut console = board.console();
        let told = console.until(|line| line.starts_with("# no store:"));
        assert!(told.contains("format"), "{}: {told}", board.name());
        for line in ["ls", "install 10 00000000", "format please"] {
            let answer = console.ask(line);
            assert!(answer.starts_with("err flash") && answer.contains("format"), "{line}: {answer}");
        }
        let there = std::fs::read(board.flash()).unwrap();
        assert!(there.starts_with(b"the photographs of a holiday"), "{}", board.name());
        assert_eq!(console.ask("format"), "ok", "{}", board.name());
        console.until(|line| line.contains("ready"));
        let answer = console.carry("install", &greedy(2_048));
        assert!(answer.starts_with("ok"), "{}: {answer}", board.name());
    }
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn flash_that_is_full_takes_no_more_until_something_is_removed() {
    for mut board in boards() {
        let (mut console, counter) = board.counting();
        // Small enough to be loaded beside the job.
        let padding = |id: &str| {
            let data = "x".repeat(1_500);
            let module = format!(
                r#"(module (memory (export "memory") 1500 (pagesize 1)) (data (i32.const 0) "{data}"))"#
            );
            Package::pack(&Manifest::new(id).unwrap(), b"", &wat::parse_str(module).unwrap())
        };
        let mut count = 0;
        let refused = loop {
            let answer = console.carry("install", &padding(&format!("padding-{count}")));
            if !answer.starts_with("ok") {
                break answer;
            }
            count += 1;
            assert!(
                count < 200,
                "{}: neither 64 blocks of 4 KiB nor 128 of 256 KiB hold 200 packages",
                board.name()
            );
        };
        assert!(refused.starts_with("err flash") && refused.contains("full"), "{refused}");
        assert!(count > 20, "{}: {refused}", board.name());
        // What is there runs on.
        console.counts_on(&counter);
        for id in ["padding-0", "padding-1", "padding-2"] {
            assert!(console.ask(&format!("remove {id}")).starts_with("ok"));
        }
        let answer = console.carry("install", &padding("another"));
        assert!(answer.starts_with("ok"), "{answer}");
        console.counts_on(&counter);
    }
}
