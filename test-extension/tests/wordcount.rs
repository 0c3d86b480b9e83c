//! The job `wordcount` on a folder that a fake host makes up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use test_extension::wordcount::{CountedFile, WordcountState, wordcount};
use toehold_sdk::testing::{FakeHost, Run, json};
use toehold_sdk::{JobResult, LogLevel};

type Files = &'static [(&'static str, &'static [u8])];

/// A folder `samples`; a read gives at most `chunk` bytes. Reading `broken` fails.
fn host(files: Files, chunk: usize) -> FakeHost {
    FakeHost::new()
        .on("query:fs.list", move |input| {
            if input["path"] != "samples" {
                return Err(format!("{} is not permitted", input["path"]));
            }
            let mut entries = vec![json!({ "name": "more", "kind": "folder", "size": 0 })];
            for (name, content) in files {
                entries.push(json!({ "name": name, "kind": "file", "size": content.len() }));
            }
            entries.push(json!({ "name": "pipe", "kind": "other", "size": 0 }));
            Ok(json!({ "entries": entries }))
        })
        .on("query:fs.read", move |input| {
            let name = input["path"].as_str().and_then(|path| path.strip_prefix("samples/"));
            let content = match files.iter().find(|file| Some(file.0) == name) {
                None | Some(("broken", _)) => return Err("not readable".into()),
                Some(("garbled", _)) => return Ok(json!({ "data": "?", "size": 1 })),
                Some((_, content)) => *content,
            };
            let number = |key: &str| usize::try_from(input[key].as_u64().unwrap()).unwrap();
            let start = number("offset").min(content.len());
            let end = content.len().min(start + number("length").min(chunk));
            Ok(json!({ "data": STANDARD.encode(&content[start..end]), "size": content.len() }))
        })
}

const SAMPLES: Files = &[
    ("climbing.txt", include_bytes!("../samples/climbing.txt")),
    ("empty.txt", include_bytes!("../samples/empty.txt")),
    ("languages.txt", include_bytes!("../samples/languages.txt")),
    ("spaces.txt", include_bytes!("../samples/spaces.txt")),
];

fn counted(name: &str, words: u64, bytes: u64, sha256: &str) -> CountedFile {
    CountedFile { name: name.into(), words, bytes, sha256: sha256.into() }
}

/// As `wc -w`, `wc -c` and `sha256sum` see the samples.
fn expected() -> Vec<CountedFile> {
    vec![
        counted("climbing.txt", 99, 489, "90ccd2929920118218187172a997d1a53e4ee34767286f37f39d4dd7001ffdd4"),
        counted("empty.txt", 0, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        counted("languages.txt", 20, 162, "421b1d537ea93a0e09ae97d1d5040a477db6ee8a2f6708c16233f91c8cebd56d"),
        counted("spaces.txt", 12, 67, "35003768e8c64387d1aa995d329c650be39337f6765d6463de49bebd2ae0b541"),
    ]
}

fn state(run: &Run<WordcountState>) -> &WordcountState {
    run.state.as_ref().expect("the job was entered")
}

#[test]
fn it_counts_the_samples() {
    let run = host(SAMPLES, usize::MAX).run_from(wordcount, b"");
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(state(&run).files, expected());
    assert_eq!((run.items, run.bytes), (4, 718));
    assert_eq!((run.checkpoints.len(), run.warnings.len()), (4, 0));
    let progress: Vec<_> = run.progress.iter().map(|p| (p.fraction, p.message.as_str())).collect();
    assert_eq!(
        progress,
        [(0.25, "climbing.txt"), (0.5, "empty.txt"), (0.75, "languages.txt"), (1.0, "spaces.txt")]
    );
    assert_eq!(
        run.log_texts()[3..],
        [
            "spaces.txt: 12 words, 67 bytes, \
             sha256 35003768e8c64387d1aa995d329c650be39337f6765d6463de49bebd2ae0b541",
            "Total: 4 files, 131 words, 718 bytes",
        ]
    );
}

#[test]
fn it_asks_for_32_kib_at_a_time() {
    let files: Files = &[("long", &[b'x'; 70_000])];
    let run = host(files, usize::MAX).run_from(wordcount, b"");
    assert_eq!((state(&run).files[0].words, run.bytes), (1, 70_000));
    let reads: Vec<_> = run.calls[1..].iter().map(|call| call.input.clone()).collect();
    let read = |offset| json!({ "path": "samples/long", "offset": offset, "length": 32_768 });
    assert_eq!(reads, [read(0), read(32_768), read(65_536)]);
}

#[test]
fn chunks_may_end_anywhere() {
    for chunk in 1..40 {
        let run = host(SAMPLES, chunk).run_from(wordcount, b"");
        assert_eq!(state(&run).files, expected(), "chunks of {chunk}");
    }
}

#[test]
fn wherever_it_is_interrupted_it_ends_the_same() {
    let chunk = 50;
    let straight = host(SAMPLES, chunk).run_from(wordcount, b"");
    for first in 0..straight.checks {
        let run = host(SAMPLES, chunk).interrupt_after(first).run_from(wordcount, b"");
        assert_eq!(run.result, JobResult::Interrupted);
        let rest = host(SAMPLES, chunk).run_from(wordcount, run.last_checkpoint().unwrap());
        assert_eq!(rest.result, JobResult::Completed);
        assert_eq!(rest.state, straight.state, "interrupted after {first}");
        assert_eq!((run.items + rest.items, run.bytes + rest.bytes), (straight.items, straight.bytes));
        assert!(run.progress.iter().chain(&rest.progress).eq(&straight.progress));
        assert_eq!(run.checkpoints.len() - 1 + rest.checkpoints.len(), straight.checkpoints.len());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_warning() {
    let files: Files = &[("a", b"one two"), ("broken", b""), ("garbled", b"x"), ("z", b"three")];
    let run = host(files, usize::MAX).run_from(wordcount, b"");
    assert_eq!(run.result, JobResult::Completed);
    let names: Vec<_> = state(&run).files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a", "z"]);
    assert_eq!(run.warnings.len(), 2);
    assert_eq!(run.warnings[0], "broken was skipped: query:fs.read: not readable");
    assert!(run.warnings[1].starts_with("garbled was skipped: the data is not base64"), "{:?}", run.warnings);
    assert_eq!((run.items, run.checkpoints.len(), run.progress[3].fraction), (2, 4, 1.0));
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let files: Files = &[("c", b"1"), ("a", b"1 2"), ("b", b"1 2 3")];
    let run = host(files, usize::MAX).interrupt_after(1).run_from(wordcount, b"");
    assert_eq!(state(&run).last.as_deref(), Some("a"));
    let rest = host(files, usize::MAX).run_from(wordcount, run.last_checkpoint().unwrap());
    let words: Vec<_> = state(&rest).files.iter().map(|file| file.words).collect();
    assert_eq!(words, [2, 3, 1]);
}

#[test]
fn a_folder_that_cannot_be_listed_fails() {
    let run = host(SAMPLES, usize::MAX).run_from(wordcount, br#"{"folder":"/etc"}"#);
    assert_eq!(run.result, JobResult::Failed);
    assert_eq!(run.logs[0].level, LogLevel::Error);
    assert_eq!(run.logs[0].text, "query:fs.list: \"/etc\" is not permitted");
}

#[test]
fn an_empty_folder_has_a_total() {
    let run = host(&[], usize::MAX).run_from(wordcount, b"");
    assert_eq!(run.log_texts(), ["Total: 0 files, 0 words, 0 bytes"]);
}
