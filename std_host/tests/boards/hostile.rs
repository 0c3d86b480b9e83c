//! Guests that mean harm, on a board: none resets it, and none keeps another job from going on.

#[path = "../../../tests/core/hostile/gallery.rs"]
mod gallery;

use toehold::{Manifest, Package, Permissions};

use self::gallery::{Ends, ID, MEMORY_MB, gallery};
use crate::bench::{boards, field};

fn has_ended(line: &str, id: &str) -> bool {
    ["* completed", "* failed", "* cancelled"].iter().any(|end| line.starts_with(end)) && line.contains(id)
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn no_hostile_guest_resets_a_board_or_keeps_another_job_from_going_on() {
    // The smaller board has no room for the memory of most.
    let (mut ran, mut refused) = (0, 0);
    for mut board in boards() {
        let (mut console, counter) = board.counting();
        for hostile in gallery() {
            let permissions = Permissions {
                methods: vec!["query:".to_owned()],
                max_memory_mb: MEMORY_MB,
                ..Permissions::default()
            };
            let manifest = Manifest::new("hostile").unwrap().with_permissions(permissions);
            let answer = console.carry("install", &Package::pack(&manifest, b"", &hostile.module));
            if answer.starts_with("ok") {
                ran += 1;
                let id = field(&console.ask("run hostile:go"), "id").unwrap();
                if hostile.ends == Ends::Cancelled {
                    console.until(|line| line.starts_with("* running") && line.contains(&id));
                    console.counts_on(&counter);
                    console.send(&format!("cancel {id}"));
                }
                let end = console.until(|line| has_ended(line, &id));
                println!("{}: {}: {end}", board.name(), hostile.name);
                let answer = console.ask("remove hostile");
                assert!(answer.starts_with("ok"), "{}: {answer}", hostile.name);
            } else {
                refused += 1;
                println!("{}: {}: {answer}", board.name(), hostile.name);
                assert!(answer.starts_with("err"), "{}: {answer}", hostile.name);
            }
            console.counts_on(&counter);
        }
        println!("up to {}: {ran} ran, {refused} were refused", board.name());
    }
    assert!(ran > 0 && refused > 0);
}

/// A package whose job takes as much memory as its state says, a few bytes at a time, and then for ever saves what
/// there is of it as its state, as far as it may, and says so.
fn greedy() -> Vec<u8> {
    let module = format!(
        r#"(module
        (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
        (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1024 (pagesize 1))
        (data (i32.const 100) "has it")
        (global $top (mut i32) (i32.const 200))
        (func (export "wasm_alloc") (param i32) (result i32)
            (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
        {ID}
        (func (export "execute_hold") (param i32 i32 i32 i32) (result i32) (local $bytes i32) (local $end i32)
            (call $id (local.get 0))
            (local.set $end (i32.add (local.get 2) (local.get 3)))
            (loop $digits
                (local.set $bytes (i32.add (i32.mul (local.get $bytes) (i32.const 10))
                    (i32.sub (i32.load8_u (local.get 2)) (i32.const 48))))
                (br_if $digits (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (local.get $end))))
            (loop $more
                (drop (memory.grow (i32.const 64)))
                (br_if $more (i32.lt_u (memory.size) (local.get $bytes))))
            (loop $for_ever
                (drop (call $checkpoint (i32.const 64) (i32.const 0)
                    (select (memory.size) (i32.const 4096) (i32.lt_u (memory.size) (i32.const 4096)))))
                (call $log (i32.const 1) (i32.const 100) (i32.const 6))
                (br $for_ever))
            (unreachable)))"#
    );
    Package::pack(&Manifest::new("greedy").unwrap(), b"", &wat::parse_str(module).unwrap())
}

/// Whatever a job leaves of the memory, it is enough for the board to go on, and to say so.
#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn a_job_that_leaves_next_to_no_memory_does_not_reset_the_board() {
    let (mut held, mut failed) = (0, 0);
    for mut board in boards() {
        let (mut console, counter) = board.counting();
        let answer = console.carry("install", &greedy());
        assert!(answer.starts_with("ok"), "{answer}");
        for bytes in (1_100..64_000).step_by(9_000) {
            let id = field(&console.ask(&format!("run greedy:hold {bytes}")), "id").unwrap();
            let said = console
                .until(|line| (line.starts_with("* log") && line.contains("has it")) || has_ended(line, &id));
            if has_ended(&said, &id) {
                failed += 1;
                println!("{}: {bytes}: {said}", board.name());
                assert!(said.contains("memory"), "{said}");
            } else {
                held += 1;
                console.counts_on(&counter);
                console.send(&format!("cancel {id}"));
                console.until(|line| has_ended(line, &id));
            }
        }
        println!("up to {}: {held} held what they wanted, {failed} failed", board.name());
        console.counts_on(&counter);
    }
    assert!(held > 0 && failed > 0);
}
