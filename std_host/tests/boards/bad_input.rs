//! What people and wires do wrong: a clear line each, and the board goes on, other jobs too.

use toehold::{Checkpoint, Manifest, Package};

use crate::bench::{Board, boards, field};

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn each_mistake_gets_its_own_line_and_the_board_goes_on() {
    for mut board in boards() {
        board.power_on();
        board.install_small();
        let mut console = board.console();
        let answer = console.ask(r#"run test-extension:counter {"target": 100000000}"#);
        let id = field(&answer, "id").unwrap();
        assert!(console.ask("make me a sandwich").starts_with("err unknown"), "{}", board.name());
        assert!(console.ask(&"x".repeat(5_000)).starts_with("err too_long"), "{}", board.name());
        console.send_bytes(b"\x00\xff\xfe\n");
        assert!(console.answer().starts_with("err"), "{}", board.name());
        let mut damaged = Package::pack(&Manifest::new("damaged").unwrap(), b"\0asm\x01\0\0\0");
        damaged[10] ^= 1;
        let answer = console.carry("install", &damaged);
        assert!(answer.starts_with("err package") && answer.contains("damaged"), "{answer}");
        let answer =
            console.carry("install", &Package::pack(&Manifest::new("odd").unwrap(), b"\0asm\x01\0\0\0\x7f"));
        assert!(answer.starts_with("err module"), "{answer}");
        let answer = console.ask("install 10000000 00000000");
        assert!(answer.starts_with("err memory"), "{answer}");
        drop(console);
        a_bundle_of_another_module(&board, &id);
        let mut console = board.console();
        assert!(console.ask("status no-such-job").starts_with("err unknown_job"), "{}", board.name());
        // And the job still counts.
        let items = |console: &mut crate::bench::Console| {
            console.send(&format!("status {id}"));
            let line = console.until(|line| line.starts_with("- job"));
            console.answer();
            assert_eq!(field(&line, "state").as_deref(), Some("running"), "{line}");
            field(&line, "items").unwrap().parse::<u64>().unwrap()
        };
        let before = items(&mut console);
        while items(&mut console) <= before {}
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
