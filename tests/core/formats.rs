//! What every released version has written stays readable: `tests/fixtures/VERSION/` has files of each.
//!
//! A change of a format fails here. Then give the format a new version, keep reading the old one, and write the new
//! version's files with `cargo test -p toehold --test core write_fixtures -- --ignored`.

use std::{fs, path::PathBuf};

use toehold::{
    Bundle, BundledExtension, CallDigest, Checkpoint, Digest, Interrupt, JobRecord, JobState, JournalEntry,
    LastWords, LogLevel, LogLine, Manifest, NoticedLimits, Package, Priority, Progress, Report, Saved, Sleep,
    Trust, Uuid,
};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/1").join(name)
}

/// Of formats that have a version 2.
fn fixture_2(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/2").join(name)
}

fn report() -> Report {
    Report {
        progress: Some(Progress {
            fraction: 0.25,
            phase: Some("hashing".to_owned()),
            steps: Some((3, 12)),
            message: "b.txt".to_owned(),
        }),
        items: 3,
        bytes: 70_000,
        warnings: vec!["a.txt was skipped".to_owned()],
        warnings_dropped: 1,
        log_lines: 2,
        log_lines_dropped: 0,
        refused: 4,
        checkpoints: 5,
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        job_id: Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        library: Some(Uuid::from_u128(8)),
        extension: "test-extension".to_owned(),
        extension_version: "0.1.0".to_owned(),
        state_version: 2,
        module_hash: [0xab; 32],
        job: "counter".to_owned(),
        sequence: 5,
        calls: 300,
        fuel_used: 1 << 40,
        limits: NoticedLimits {
            memory_bytes: 64 << 20,
            table_elements: 1 << 17,
            call_depth: 1_000,
            stack_bytes: 1 << 20,
        },
        report: report(),
        state: br#"{"current":3}"#.to_vec(),
    }
}

fn entries() -> Vec<JournalEntry> {
    let call = CallDigest {
        number: 301,
        method: "action:kv.put".to_owned(),
        library: None,
        payload: Digest { bytes: 20, crc32: 0x1234_5678 },
        refused: false,
    };
    vec![
        JournalEntry::Call(call),
        JournalEntry::Reply(br#"{"version":1}"#.to_vec()),
        JournalEntry::Interrupt { check: 9, code: 1 },
        JournalEntry::Checkpoint { state: Digest { bytes: 13, crc32: 0x9abc_def0 }, durable: true },
    ]
}

fn record() -> JobRecord {
    JobRecord {
        job: "test-extension:counter".to_owned(),
        module_hash: [0xab; 32],
        library: Some(Uuid::from_u128(8)),
        parent: Some(Uuid::from_u128(9)),
        state: JobState::Queued,
        wanted: Interrupt::Pause,
        priority: Priority::High,
        reason: Some("trap: unreachable".to_owned()),
        attempt: 2,
        attempts: 3,
        retry_at: Some(1_735_689_600_000),
        sleep: Some(Sleep { call: 301, ms: 60_000, until: 1_735_689_660_000 }),
        created_at: 1_735_689_000_000,
        started_at: Some(1_735_689_000_001),
        ended_at: None,
        report: report(),
        fuel_used: 1 << 40,
        last_words: Some(LastWords {
            cause: "trap".to_owned(),
            fault: true,
            last_error: Some("panicked at src/lib.rs:1:1".to_owned()),
            memory_bytes: 65_536,
            log_tail: vec![LogLine { level: LogLevel::Warn, text: "hm".to_owned() }],
        }),
    }
}

fn journal() -> Vec<u8> {
    fs::read(fixture("journal")).unwrap()
}

fn bundle() -> Bundle {
    let encoded = checkpoint().encode();
    let saved =
        Saved { record: record().encode(), base: encoded.clone(), newest: encoded, journal: journal() };
    let extension = BundledExtension { manifest: "{}".to_owned(), module: b"\0asm".to_vec() };
    Bundle::new(checkpoint().job_id, saved, Some(extension))
}

fn manifest() -> Manifest {
    let json = r#"{
        "id": "example", "name": "Example", "version": "1.2.3", "description": "d", "author": "a",
        "homepage": "https://example.org", "wasm_file": "example.wasm", "state_version": 2,
        "permissions": {
            "methods": ["query:"], "libraries": ["*", "00000000-0000-0000-0000-000000000008"],
            "rate_limits": { "requests_per_minute": 300, "concurrent_jobs": 2 }, "max_memory_mb": 1,
            "fuel_per_job": 1000, "network_access": ["example.org"], "file_access": ["samples"]
        }
    }"#;
    serde_json::from_str(json).unwrap()
}

#[test]
fn packages_of_version_1_are_read_and_written_the_same() {
    let bytes = fs::read(fixture("package")).unwrap();
    assert_eq!(Package::pack(&manifest(), b"", b"\0asm"), bytes);
    let package = Package::open(&bytes, &Trust::Anyone).unwrap();
    assert_eq!((package.manifest(), package.module()), (&manifest(), b"\0asm".as_slice()));
}

#[cfg(feature = "signatures")]
#[test]
fn signed_packages_of_version_1_are_read_and_written_the_same() {
    let bytes = fs::read(fixture("package-signed")).unwrap();
    assert_eq!(Package::pack_signed(&manifest(), b"", b"\0asm", &signing_key()), bytes);
    let trust = Trust::Signed(vec![signing_key().public_key()]);
    assert_eq!(Package::open(&bytes, &trust).unwrap().manifest(), &manifest());
}

const SCHEMAS: &[u8] =
    br#"{"config_schema":{"type":"object"},"state_schemas":{"counter":{"type":"object"}}}"#;

#[test]
fn packages_of_version_2_are_read_and_written_the_same() {
    let bytes = fs::read(fixture_2("package")).unwrap();
    assert_eq!(Package::pack(&manifest(), SCHEMAS, b"\0asm"), bytes);
    let package = Package::open(&bytes, &Trust::Anyone).unwrap();
    assert_eq!((package.manifest(), package.module()), (&manifest(), b"\0asm".as_slice()));
    assert_eq!(package.schemas(), SCHEMAS);
}

#[cfg(feature = "signatures")]
#[test]
fn signed_packages_of_version_2_are_read_and_written_the_same() {
    let bytes = fs::read(fixture_2("package-signed")).unwrap();
    assert_eq!(Package::pack_signed(&manifest(), SCHEMAS, b"\0asm", &signing_key()), bytes);
    let trust = Trust::Signed(vec![signing_key().public_key()]);
    assert_eq!(Package::open(&bytes, &trust).unwrap().schemas(), SCHEMAS);
}

#[cfg(feature = "signatures")]
fn signing_key() -> toehold::SigningKey {
    toehold::SigningKey::from_seed(&[7; 32])
}

#[test]
fn files_of_version_1_are_read_and_written_the_same() {
    let read = |name| fs::read(fixture(name)).unwrap();
    assert_eq!(Checkpoint::decode(&read("checkpoint")), Ok(checkpoint()));
    assert_eq!(checkpoint().encode(), read("checkpoint"));
    assert_eq!(JobRecord::decode(&read("record")), Ok(record()));
    assert_eq!(record().encode(), read("record"));
    assert_eq!(JournalEntry::decode_all(&read("journal")), Ok(entries()));
    assert_eq!(JournalEntry::encode_all(&entries()), read("journal"));
    assert_eq!(Bundle::decode(&read("bundle")), Ok(bundle()));
    assert_eq!(bundle().encode(), read("bundle"));
}

/// The bytes that docs/checkpoint-format.md shows are those of the fixtures.
#[test]
fn the_documented_bytes_are_true() {
    let document = fs::read_to_string(fixture("../../../docs/checkpoint-format.md")).unwrap();
    for name in ["checkpoint", "journal"] {
        let (_, rest) = document.split_once(&format!("```text {name}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let digits: String = block
            .lines()
            .map(|line| line.split("  ").next().unwrap_or_default())
            .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
            .collect();
        let expected: String =
            fs::read(fixture(name)).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, expected, "{name}");
    }
}

#[test]
#[ignore = "writes the fixtures of a new version"]
fn write_fixtures() {
    fs::create_dir_all(fixture("")).unwrap();
    fs::write(fixture("checkpoint"), checkpoint().encode()).unwrap();
    fs::write(fixture("record"), record().encode()).unwrap();
    fs::write(fixture("journal"), JournalEntry::encode_all(&entries())).unwrap();
    fs::write(fixture("bundle"), bundle().encode()).unwrap();
    fs::create_dir_all(fixture_2("")).unwrap();
    for (file, schemas) in [(fixture("package"), &b""[..]), (fixture_2("package"), SCHEMAS)] {
        fs::write(&file, Package::pack(&manifest(), schemas, b"\0asm")).unwrap();
        #[cfg(feature = "signatures")]
        fs::write(
            file.with_file_name("package-signed"),
            Package::pack_signed(&manifest(), schemas, b"\0asm", &signing_key()),
        )
        .unwrap();
    }
}
