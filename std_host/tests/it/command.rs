//! The command on a data folder, with and without a `toehold serve`.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{cli::text, support::root};

/// A data folder, which is made by the command, and a folder to be in.
pub(crate) struct Place(TempDir);

impl Place {
    /// With the test extension.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.ok(&["extension", "add", &root().join("test-extension").display().to_string()]);
        place
    }

    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The folder that commands are run in.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_toehold"), arguments)
    }

    /// Another program, for which the same holds.
    pub(crate) fn command_of<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("TOEHOLD_") || name == "RUST_LOG")
        {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder()).env("TOEHOLD_DATA", self.data());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command printed that went well, without the line's end.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert_eq!(out.status.code(), Some(0), "{arguments:?}: {out:?}");
        text(&out.stdout).trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// A command that must fail with `code` and name `expected` in its one line of error; in `--json` too.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, expected: &str) {
        let out = self.run(arguments);
        let stderr = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {out:?}");
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{arguments:?}: {stderr}");
        assert!(errors[0].contains(expected), "{expected:?} is not in {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        if code == 7 {
            let out = self.run(&[arguments, &["--json"]].concat());
            let json: Value = serde_json::from_slice(&out.stdout).unwrap();
            assert!(json["error"]["message"].as_str().unwrap().contains(expected), "{json}");
            assert!(json["error"]["code"].is_string(), "{json}");
        }
    }

    /// Dispatches a job of the test extension.
    #[track_caller]
    pub(crate) fn dispatch(&self, job: &str, state: &Value) -> String {
        self.ok(&["job", "dispatch", &format!("test-extension:{job}"), "--state", &state.to_string()])
    }

    #[track_caller]
    pub(crate) fn status(&self, id: &str) -> Value {
        self.json(&["job", "show", id])
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// A server that is ready.
    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(&[&["serve", "--json"], arguments].concat());
        let mut child = command.env("TOEHOLD_LISTEN", "127.0.0.1:0").stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().expect("the server is not ready").unwrap();
        Server { child, ready: serde_json::from_str(&ready).unwrap() }
    }
}

/// A server that is killed with SIGKILL, without any warning, when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// What it said once it was ready.
    pub(crate) ready: Value,
}

impl Server {
    pub(crate) fn socket(&self) -> PathBuf {
        self.ready["socket"].as_str().unwrap().into()
    }

    /// Asks it to stop, and gives its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        signal("-TERM", self.child.id());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// A command that prints lines for as long as it runs; it is killed when this is dropped.
pub(crate) struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place.command(arguments).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line with this in it.
    #[track_caller]
    pub(crate) fn until(&mut self, expected: &str) -> String {
        let line = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(expected));
        line.unwrap_or_else(|| panic!("{expected:?} never came"))
    }

    /// The lines that are left, and the exit code.
    pub(crate) fn rest(mut self) -> (Vec<String>, Option<i32>) {
        let lines = self.lines.by_ref().map(Result::unwrap).collect();
        (lines, self.child.wait().unwrap().code())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
