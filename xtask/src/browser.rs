//! Runs the tests of the page in Chromium, through its driver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::process;

/// What is needed: the programs, any of which will do, and Debian's package of the first.
const PROGRAMS: [(&[&str], &str); 2] = [
    (&["chromium", "chromium-browser", "google-chrome"], "chromium"),
    (&["chromedriver"], "chromium-driver"),
];
/// What the driver says once it listens, before the port.
const LISTENS: &str = "started successfully on port ";

/// Runs the tests of std_host that need a browser.
pub(crate) fn test() -> Result<()> {
    run(None, &[])
}

/// The same, and makes the pictures in docs/screenshots anew.
pub(crate) fn test_with_screenshots() -> Result<()> {
    run(Some("TOEHOLD_SCREENSHOTS"), &[])
}

/// Measures how soon the page knows what a guest told.
pub(crate) fn bench() -> Result<()> {
    run(Some("TOEHOLD_BENCH"), &["live::a_guest_s_progress", "--nocapture"])
}

/// Debian's packages that are missing.
pub(crate) fn missing_packages() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().filter(|(programs, _)| find(programs).is_none()).map(|(_, package)| package)
}

fn find(programs: &[&str]) -> Option<std::path::PathBuf> {
    programs.iter().find_map(|program| process::find(program))
}

/// Runs the tests whose names have one of these in them, all where there is none, with a variable that says what they do besides.
fn run(besides: Option<&str>, which: &[&str]) -> Result<()> {
    let missing: Vec<&str> = missing_packages().collect();
    if !missing.is_empty() {
        bail!(
            "there is no browser with a driver. On Debian:\n  apt-get install --no-install-recommends {}\n  \
             cargo xtask test --install      (does it)",
            missing.join(" ")
        );
    }
    let driver = Driver::start()?;
    let mut test = process::cargo();
    test.args([
        "test",
        "--package",
        "std_host",
        "--test",
        "browser",
        "--",
        "--ignored",
        "--test-threads",
        "2",
    ]);
    test.args(which);
    test.env("TOEHOLD_BROWSER", format!("http://127.0.0.1:{}", driver.port));
    if let Some(besides) = besides {
        test.env(besides, "1");
    }
    process::run(&mut test)
}

/// The driver, for all tests of a run. It ends when this is dropped.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    fn start() -> Result<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped());
        process::show(&command)?;
        let mut child = command.spawn().context("chromedriver can't be started")?;
        let output = child.stdout.take();
        let mut driver = Self { child, port: 0 };
        let mut lines = BufReader::new(output.context("chromedriver has no output")?).lines();
        driver.port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| port(&line))
            .context("chromedriver ended before it listened")?;
        // Whatever else it says must not fill the pipe, or it would wait for somebody to read it.
        thread::spawn(move || lines.for_each(drop));
        Ok(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may be over. Tests close their browsers themselves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in the line in which the driver says that it listens.
fn port(line: &str) -> Option<u16> {
    line.split_once(LISTENS)?.1.trim().trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stands_in_what_the_driver_says() {
        assert_eq!(port("ChromeDriver was started successfully on port 41003."), Some(41_003));
        assert_eq!(port("Only local connections are allowed."), None);
        assert_eq!(port("ChromeDriver was started successfully on port 99999."), None);
    }
}
