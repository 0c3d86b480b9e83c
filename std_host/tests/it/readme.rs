//! The commands of the README work.

use crate::{
    cli::{text, toehold},
    support::root,
};

#[test]
fn commands_of_a_checkout() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let commands = readme.lines().filter_map(|line| line.split_once("cargo run --release -- "));
    let mut count = 0;
    for (_, command) in commands.filter(|(before, _)| before.is_empty()) {
        let command = words(command);
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let out = toehold(&root(), &arguments);
        assert_eq!(out.status.code(), Some(0), "{command:?}: {}", text(&out.stderr));
        count += 1;
    }
    assert!(count >= 1, "no command was found");
}

/// All that stands under "Use it", in its order: a `toehold serve` alone in a block runs beside those that come after it.
#[cfg(unix)]
#[test]
fn commands_that_it_shows() {
    use std::process::Command;

    use crate::command::Place;

    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("## Use it").unwrap();
    let (part, _) = rest.split_once("\n### ").unwrap();
    let place = Place::empty();
    let copied = Command::new("cp").arg("-r").arg(root().join("test-extension")).arg(place.folder()).status();
    assert!(copied.unwrap().success());
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_toehold")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (mut servers, mut count) = (Vec::new(), 0);
    for block in part.split("```sh\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        if block == "toehold serve\n" {
            servers.push(place.serve());
            continue;
        }
        // FILE stands for what an earlier command has told.
        let lines: Vec<&str> = block.lines().filter(|line| !line.contains(" FILE")).collect();
        let mut bash = place.command_of("bash", &["-euo", "pipefail", "-c", &lines.join("\n")]);
        let out = bash.env("PATH", &path).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{block}: {out:?}");
        count += lines.len();
    }
    assert!(count >= 10 && servers.len() == 1, "only {count} commands were found");
}

/// Splits as a shell does, as far as the README needs it: white space, and single quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
