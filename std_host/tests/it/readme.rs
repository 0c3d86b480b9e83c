//! The commands of the README work.

use crate::{
    cli::{text, toehold},
    support::root,
};

#[test]
fn commands_that_it_shows() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let commands = readme.lines().filter_map(|line| {
        // The first command goes through cargo; the rest name the command itself.
        let arguments =
            line.strip_prefix("toehold ").or_else(|| line.split_once("cargo run --release -- ")?.1.into())?;
        let arguments = arguments.split_once(" #").map_or(arguments, |(before, _)| before).trim();
        (!arguments.contains("FILE")).then(|| words(arguments))
    });
    let mut count = 0;
    for command in commands {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let out = toehold(&root(), &arguments);
        assert_eq!(out.status.code(), Some(0), "{command:?}: {}", text(&out.stderr));
        count += 1;
    }
    assert!(count >= 5, "only {count} commands were found");
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
