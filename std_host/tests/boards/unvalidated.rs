//! Firmware that does not validate modules: it takes what a key has signed that it was built with, and nothing else.

use std::path::Path;

use toehold::{Manifest, Package, SigningKey};

use crate::bench::{Console, boards_of, field, small, text};

/// The seed of the key that `cargo xtask test unvalidated` builds this firmware with.
const SEED: [u8; 32] = *b"a key for tests, and not for you";

fn signed_by(seed: &[u8; 32], folder: &Path) -> Vec<u8> {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read("manifest.json")).unwrap();
    Package::pack_signed(&manifest, b"", &read(manifest.wasm_file()), &SigningKey::from_seed(seed))
}

#[test]
#[ignore = "needs firmware: `cargo xtask test unvalidated` runs it"]
fn only_what_the_key_of_the_firmware_has_signed_is_taken() {
    for mut board in boards_of("TOEHOLD_UNVALIDATED_BOARDS") {
        board.power_on();
        let mut console = board.console();
        console.until(|line| line.contains("ready"));
        assert_eq!(field(&console.ask("info"), "signed").as_deref(), Some("true"), "{}", board.name());
        let refused = |console: &mut Console, package: &[u8], why: &str| {
            let answer = console.carry("install", package);
            assert!(answer.starts_with("err package") && answer.contains(why), "{why}: {answer}");
        };
        let signed = signed_by(&SEED, &small());
        refused(&mut console, &signed_by(&[7; 32], &small()), "not among the keys");
        assert_eq!(console.ask("ls"), "ok extensions=0 jobs=0", "{}", board.name());
        assert!(console.carry("install", &signed).starts_with("ok"), "{}", board.name());
        let counter =
            field(&console.ask(r#"run test-extension:counter {"target": 100000000}"#), "id").unwrap();
        console.until(|line| line.starts_with("* running"));
        // Nobody else's is taken instead of it, and the job goes on.
        let not_even_a_module = Package::pack(&Manifest::new("test-extension").unwrap(), b"", b"\0asm\x7f");
        refused(&mut console, &not_even_a_module, "not signed");
        // Small ones, which have room beside the job.
        let tiny = small().with_file_name("tiny");
        refused(&mut console, &signed_by(&[7; 32], &tiny), "not among the keys");
        let mut changed = signed_by(&SEED, &tiny);
        *changed.last_mut().unwrap() ^= 1;
        refused(&mut console, &changed, "damaged");
        console.counts_on(&counter);
        drop(console);
        // A person is told, too.
        let output = board.desk(&["install", tiny.to_str().unwrap()]);
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(!output.status.success() && said.contains("not signed"), "{}: {said}", board.name());
        // And it goes through a power cut.
        board.power_off();
        board.power_on();
        let mut console = board.console();
        console.until(|line| line.starts_with("* running"));
        console.counts_on(&counter);
        console.ask(&format!("cancel {counter}"));
        let answer = console.ask(r#"run test-extension:counter {"target": 10}"#);
        let id = field(&answer, "id").unwrap_or_else(|| panic!("{answer}"));
        console.until(|line| line.starts_with("* completed") && line.contains(&id));
        assert_eq!(field(&console.status(&id), "items").as_deref(), Some("10"), "{}", board.name());
    }
}
