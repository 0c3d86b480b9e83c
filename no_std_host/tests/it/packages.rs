//! Packages that come over the wire.

use no_std_host::Config;
use toehold::{Manifest, Package, SigningKey, Trust};

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

#[test]
fn a_package_is_installed_listed_and_removed() {
    let mut bench = Bench::new();
    let answer = bench.install(&package("jobs", JOBS));
    assert!(
        answer.contains("id=jobs") && answer.contains("jobs=count,deaf,fail,log,nap,spin,tally"),
        "{answer}"
    );
    bench.restart();
    let listed = bench.ok("ls");
    assert!(listed.iter().any(|line| line.starts_with("- extension id=jobs")), "{listed:?}");
    bench.ok("remove jobs");
    assert_eq!(bench.refused("run jobs:count 10").0, "unknown_extension");
}

#[test]
fn a_damaged_line_is_asked_for_again() {
    let mut bench = Bench::new();
    let package = package("jobs", JOBS);
    let (bytes, checksum) = (package.len() as u32, toehold::Crc32::of(&package));
    assert_eq!(bench.tell(&format!("install {bytes} {checksum:08x}")), ["> 0"]);
    let data = toehold::console::Data::of(&package, 0).unwrap();
    assert_eq!(bench.tell(&data.to_string().replace('A', "B")), ["> 0"], "damaged");
    assert_eq!(bench.tell(&data.to_string()), ["> 240"]);
    // The wire is dead for a while: the board asks again by itself.
    bench.clock.now.set(2_000);
    assert_eq!(bench.answer(), ["> 240"]);
    // Then for good.
    for _ in 0..20 {
        bench.rounds(2);
    }
    let last = bench.lines.back().cloned().unwrap();
    assert!(last.starts_with("err timeout"), "{last}");
    bench.lines.clear();
    assert!(bench.install(&package).starts_with("ok"));
}

#[test]
fn what_is_no_package_changes_nothing() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let good = package("jobs", JOBS);
    let cut = &good[..good.len() - 10];
    assert!(bench.install(cut).starts_with("err package"), "cut short");
    assert!(bench.install(b"PK\x03\x04 is something else").starts_with("err package"), "foreign");
    let invalid = Package::pack(&Manifest::new("jobs").unwrap(), b"", b"\0asm\x01\0\0\0\xff");
    assert!(bench.install(&invalid).starts_with("err module"), "no module");
    let checksum = toehold::Crc32::of(&good) ^ 1;
    let answer = bench.carry(&format!("install {} {checksum:08x}", good.len()), &good);
    assert!(answer.starts_with("err checksum"), "{answer}");
    let id = bench.dispatch("jobs:count", &state(3));
    bench.until(&id, "completed");
}

#[test]
fn a_module_that_is_too_large_for_the_memory_is_refused_before_any_of_it_is_sent() {
    let mut bench = Bench::new();
    bench.memory.0.set(50_000);
    let (code, text) = bench.refused("install 60000 00000000");
    assert_eq!(code, "memory");
    assert!(text.contains("60000 bytes") && text.contains("free"), "{text}");
}

#[test]
fn one_that_jobs_run_on_is_not_replaced() {
    let mut bench = Bench::new();
    let package_1 = package("jobs", JOBS);
    let package_2 = package("jobs", &JOBS.replace("Counted", "counted"));
    bench.install(&package_1);
    let id = bench.dispatch("jobs:spin", "");
    assert!(bench.install(&package_2).starts_with("err busy"));
    assert!(bench.install(&package_1).starts_with("ok"), "the same again does no harm");
    bench.ok(&format!("cancel {id}"));
    bench.until(&id, "cancelled");
    assert!(bench.install(&package_2).starts_with("ok"));
}

#[test]
fn a_board_with_keys_takes_only_what_they_have_signed() {
    fn config() -> Config {
        Config {
            trust: Trust::Signed(vec![SigningKey::from_seed(&[1; 32]).public_key()]),
            ..Config::default()
        }
    }
    let mut bench = Bench::with(config);
    let module = wat::parse_str(JOBS).unwrap();
    let manifest = Manifest::new("jobs").unwrap();
    let signed = |seed| Package::pack_signed(&manifest, b"", &module, &SigningKey::from_seed(&[seed; 32]));
    for bad in [package("jobs", JOBS), signed(2)] {
        let answer = bench.install(&bad);
        assert!(answer.starts_with("err package"), "{answer}");
    }
    assert!(bench.install(&signed(1)).starts_with("ok"));
    let id = bench.dispatch("jobs:count", &state(3));
    bench.until(&id, "completed");
}

/// Schemas are for hosts that check states: a board keeps them on the flash, as part of what is signed, and never in memory.
#[test]
fn a_package_s_schemas_take_no_memory() {
    fn config() -> Config {
        Config {
            trust: Trust::Signed(vec![SigningKey::from_seed(&[1; 32]).public_key()]),
            ..Config::default()
        }
    }
    let mut bench = Bench::with(config);
    bench.memory.0.set(100_000);
    let module = wat::parse_str(JOBS).unwrap();
    let manifest = Manifest::new("jobs").unwrap();
    let key = SigningKey::from_seed(&[1; 32]);
    let schemas = format!(r#"{{"state_schemas": {{"count": {{"title": "{}"}}}}}}"#, "t".repeat(60_000));
    let package = Package::pack_signed(&manifest, schemas.as_bytes(), &module, &key);
    assert_eq!(package[3], 2, "the version that has schemas");

    // Without a word of the schemas, so long a package would need more memory than there is.
    let line = format!("install {} {:08x}", package.len(), toehold::Crc32::of(&package));
    assert_eq!(bench.refused(&line).0, "memory");
    let answer = bench.install(&package);
    assert!(answer.starts_with("ok") && answer.contains("id=jobs"), "{answer}");
    bench.restart();
    let listed = bench.ok("ls");
    let shown = |line: &String| line.contains("id=jobs") && line.contains("signer=");
    assert!(listed.iter().any(shown), "{listed:?}");
    let id = bench.dispatch("jobs:count", &state(3));
    bench.until(&id, "completed");

    // They are part of what is signed.
    let mut forged = package;
    forged[500] ^= 1;
    let end = forged.len() - 4;
    let checksum = toehold::Crc32::of(&forged[..end]).to_le_bytes();
    forged[end..].copy_from_slice(&checksum);
    let line = format!("install {} {:08x} 60000", forged.len(), toehold::Crc32::of(&forged));
    let answer = bench.carry(&line, &forged);
    assert!(answer.starts_with("err package") && answer.contains("changed after"), "{answer}");
}

/// Whoever says that more of a package are schemas than is true gets it as far as the board's memory goes.
#[test]
fn a_module_that_is_called_schemas_is_refused_before_it_is_read() {
    let mut bench = Bench::new();
    bench.memory.0.set(50_000);
    let module = [b"\0asm\x01\0\0\0".as_slice(), &[0; 60_000]].concat();
    let package = Package::pack(&Manifest::new("large").unwrap(), b"", &module);
    let line = format!("install {} {:08x} 60000", package.len(), toehold::Crc32::of(&package));
    let answer = bench.carry(&line, &package);
    assert!(answer.starts_with("err memory") && answer.contains("60008 bytes"), "{answer}");
    assert!(
        bench
            .install(&Package::pack(&Manifest::new("odd").unwrap(), b"", b"\0asm"))
            .starts_with("err module")
    );
}

#[test]
fn whoever_begins_something_else_has_given_up_on_the_data() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell("install 1000 00000000"), ["> 0"]);
    bench.ok("ls");
    assert_eq!(bench.refused(": 0 00000000 AAAA").0, "unasked");
    assert_eq!(bench.tell("install 1000 00000000"), ["> 0"]);
    bench.ok("abort");
    assert_eq!(bench.refused(": 0 00000000 AAAA").0, "unasked");
}
