use std::io::{self, Write};

use env_logger::{Builder, Env, Target};
use indicatif::ProgressBar;
use log::{Level, LevelFilter};

/// Logs to standard error, above the progress bar if there is one. `RUST_LOG` says what; `level` without it.
pub(crate) fn start(level: LevelFilter, bar: Option<&ProgressBar>) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(level.as_str()));
    if let Some(bar) = bar {
        builder.target(Target::Pipe(Box::new(Above(bar.clone()))));
    }
    builder.format(|out, record| {
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn ",
            Level::Info => "info ",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        writeln!(out, "{level} {}  {}", record.target(), printable(&record.args().to_string()))
    });
    // Fails only if there is a logger already.
    let _ = builder.try_init();
}

/// A guest's text without what would steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let keep = |c: char| !c.is_control() || c == '\t';
    if text.chars().all(keep) {
        return text.to_owned();
    }
    let escape = |c: char| -> String {
        match c {
            '\n' => "\n      ".to_owned(),
            c if keep(c) => c.to_string(),
            c => c.escape_default().to_string(),
        }
    };
    text.chars().map(escape).collect()
}

/// Standard error, with the progress bar out of the way while a line is written.
struct Above(ProgressBar);

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(printable("✓ Completed!"), "✓ Completed!");
        assert_eq!(printable("a\u{1b}[2Jb\rc"), "a\\u{1b}[2Jb\\rc");
        assert_eq!(printable("two\nlines"), "two\n      lines");
    }
}
